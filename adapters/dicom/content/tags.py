"""The tags of a received object, read from its bytes without loading pixels or samples."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag, tag_for_keyword

from adapters.dicom.content import elements, part10, values
from adapters.dicom.content.element_stream import ElementStream
from adapters.dicom.content.elements import Data, Element, Encoding
from adapters.dicom.content.keywords import KEYWORDS
from adapters.dicom.content.layout import Layouts, Value
from adapters.dicom.content.uids import LONGEST_UID
from gateway.errors import Unreadable, Unusable

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
DEFLATED_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
GE_PRIVATE_IMPLICIT = "1.2.840.113619.5.2"

MOST_INFLATED = 1024**3
"""Bytes that a deflated data set may grow to; a small object that grows beyond is an attack or an accident."""

_IN_UIDS = str.maketrans("", "", "0123456789.")
_INFLATED_AT_ONCE = 256 * 1024
_LONGEST_REMEMBERED = 128

_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_IDENTITY = {0x00080016: "SOPClassUID", 0x00080018: "SOPInstanceUID", 0x0020000D: "StudyInstanceUID"}
_UIDS = _IDENTITY | {0x0020000E: "SeriesInstanceUID"}
_SPECIFIC_CHARACTER_SET = 0x00080005
_ISSUER = "IssuerOfAccessionNumberSequence"
_SHARED = 0x52009229
"""Shared Functional Groups Sequence."""
_WAVEFORM = 0x54000100
"""Waveform Sequence."""
_CHANNELS, _SAMPLES, _FREQUENCY = 0x003A0005, 0x003A0010, 0x003A001A
_UNTOLD = frozenset({"", "UN"})
_PIXEL_MEASURES, _PLANE_ORIENTATION = 0x00289110, 0x00209116


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One keyword's dictionary entry. `several`: at least two values by the dictionary, so always a list."""

    keyword: str
    vr: str
    several: bool


def read_tags(header: bytes, dataset: Iterable[bytes], extra_keywords: Iterable[str] = ()) -> dict[str, Any]:
    """DICOM keyword → value of `KEYWORDS` and `extra_keywords`, as `gateway.ports.TagReader` asks; JSON-serialisable.

    `header`: preamble and file meta information; `dataset`: the encoded data set, in pieces, in any transfer syntax.
    PN and text are Unicode, DS is float, IS and binary integers int. Several values are a list, and so is an attribute
    that must have at least two (ImageType, PixelSpacing). Empty elements are left out. Of enhanced multi-frame objects
    PixelSpacing, SliceThickness, SpacingBetweenSlices and ImageOrientationPatient come from the shared functional
    groups (PS3.3 C.7.6.16) where the top level lacks them; of waveforms NumberOfWaveformChannels is that of all groups,
    samples and frequency those of the first; the issuer of the accession number is one string.

    Raises Unreadable (cut short, no DICOM) and Unusable (a UID is missing or too long).
    """
    stream = TagStream(header, extra_keywords)
    for piece in dataset:
        stream.feed(piece)
    return stream.tags()


class TagStream:
    """`read_tags` of a data set as its bytes pass, in any pieces; see there. Implements gateway.ports.TagStream."""

    def __init__(self, header: bytes, extra_keywords: Iterable[str] = (), layouts: Layouts | None = None) -> None:
        """`layouts`: of objects read before, with the same keywords. Raises Unreadable where `header` has no file meta
        information."""
        meta = part10.parse(header)
        self._syntax = meta.transfer_syntax_uid
        self._wanted = _table(tuple(extra_keywords))
        kind = (meta.sop_class_uid, meta.source_ae_title)
        self._elements = ElementStream(_encoding(self._syntax), self._wanted,
                                       partial(layouts.recognise, kind) if layouts else None)
        self._inflater = Inflater(self._elements.feed) if self._syntax == DEFLATED_LITTLE_ENDIAN else None
        self._tags: dict[str, Any] | None = None

    def feed(self, piece: Data) -> None:
        """Raises Unreadable."""
        (self._inflater or self._elements).feed(piece)

    def uids(self) -> Mapping[str, str]:
        """See `gateway.ports.TagStream.uids`; what of the tags may be unreadable has been read after it."""
        if self._inflater:
            self._inflater.finish()
        found, recognised = self._elements.finish(), self._elements.recognised
        if not _are_plain(found.values()) or (recognised and not recognised.is_plain):
            return self.tags()
        uids = {}
        for tag, keyword in _UIDS.items():
            value = found.get(tag) or (recognised.get(tag) if recognised else None)
            if value is not None:
                uids[keyword] = _remembered(tag, *value, values.DEFAULT_CHARSET)
        _require(uids)
        return uids

    def tags(self) -> dict[str, Any]:
        """Once everything has been fed. Raises Unreadable and Unusable."""
        if self._tags is None:
            self._tags = self._read_tags()
        return self._tags

    def _read_tags(self) -> dict[str, Any]:
        if self._inflater:
            self._inflater.finish()
        found, recognised = self._elements.finish(), self._elements.recognised
        if recognised is not None:
            found = recognised.values() | found
        charset = _charset(found.get(_SPECIFIC_CHARACTER_SET))
        tags: dict[str, Any] = {"TransferSyntaxUID": self._syntax}
        keywords = self._wanted
        for tag, (vr, raw, encoding) in found.items():
            value = (_remembered if len(raw) <= _LONGEST_REMEMBERED else _read)(tag, vr, raw, encoding, charset)
            if value is not None:
                tags[keywords[tag]] = value
        if _SHARED in found:
            for keyword, value in _from_shared_groups(found[_SHARED], charset):
                tags.setdefault(keyword, value)
        if _WAVEFORM in found:
            tags |= _from_waveform(found[_WAVEFORM], charset)
        _require(tags)
        return tags


def tag_streamer(extra_keywords: Iterable[str] = ()) -> Callable[[bytes], TagStream]:
    """TagStream for objects that come one after another: what one lies like, the next probably does."""
    keywords = tuple(extra_keywords)
    return partial(TagStream, extra_keywords=keywords, layouts=Layouts(_table(keywords)))


class Inflater:
    """A deflated data set, plain bytes handed on in pieces as they come out."""

    def __init__(self, feed: Callable[[bytes], None]) -> None:
        self._feed = feed
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._size = 0

    def feed(self, piece: Data) -> None:
        """Raises Unreadable."""
        rest: Data = piece
        try:
            while rest and not self._inflater.eof:
                plain = self._inflater.decompress(rest, _INFLATED_AT_ONCE)
                rest = self._inflater.unconsumed_tail
                self._hand_on(plain)
        except zlib.error as error:
            raise Unreadable("The deflated data set cannot be inflated.") from error

    def finish(self) -> None:
        """Raises Unreadable."""
        if not self._inflater.eof:
            raise Unreadable("The deflated data set was cut short.")

    def _hand_on(self, plain: bytes) -> None:
        self._size += len(plain)
        if self._size > MOST_INFLATED:
            raise Unreadable("The deflated data set inflates to more than 1 GB.")
        self._feed(plain)


def _encoding(transfer_syntax_uid: str) -> Encoding:
    """Every transfer syntax that is not named here is explicit VR little endian (PS3.5 A.4)."""
    if transfer_syntax_uid in {IMPLICIT_LITTLE_ENDIAN, GE_PRIVATE_IMPLICIT}:
        return elements.IMPLICIT
    return elements.BIG_ENDIAN if transfer_syntax_uid == EXPLICIT_BIG_ENDIAN else elements.EXPLICIT


@lru_cache(maxsize=8)
def _table(extra_keywords: tuple[str, ...]) -> Mapping[int, str]:
    """Tag → keyword."""
    table = {}
    for keyword in (*KEYWORDS, *extra_keywords):
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise ValueError(f"{keyword} is no DICOM keyword")
        table[tag] = keyword
    return table


@lru_cache(maxsize=1024)
def _entry(tag: int) -> _Wanted:
    # "US or SS" reads as US where the encoding does not tell: only PixelPaddingValue may care, and it is read again
    # with the pixels
    return _Wanted(keyword_for_tag(tag), dictionary_VR(tag).split()[0], dictionary_VM(tag).split("-")[0] not in "01")


def _are_plain(found: Collection[Value]) -> bool:
    """Whether reading them cannot fail: no sequence, no characters but ASCII, no VR to be guessed."""
    texts = [value[1] for value in found if value[0] in elements.TEXTS]
    plain = len(texts) + len([value for value in found if value[0] in elements.NUMBERS])
    return plain == len(found) and b"".join(texts).isascii()


def _charset(value: Value | None) -> tuple[str, ...]:
    return tuple(values.charset(value[1])) if value else values.DEFAULT_CHARSET


def _read(tag: int, vr: str, raw: bytes, encoding: Encoding, charset: tuple[str, ...]) -> Any:
    """None where the element is empty."""
    if tag in (_SHARED, _WAVEFORM):
        return None
    wanted = _entry(tag)
    if wanted.vr == "SQ":
        return _sequence((vr, raw, encoding), wanted.keyword, charset)
    found = values.decode(vr if vr not in _UNTOLD else wanted.vr, raw, encoding.big_endian, charset)
    if not found:
        return None
    return found if wanted.several or len(found) > 1 else found[0]


_remembered = lru_cache(maxsize=8192)(_read)
"""The slices of a series repeat nearly all of their values; nobody changes one."""


def _sequence(value: Value, keyword: str, charset: tuple[str, ...]) -> Any:
    read = [_item(value, charset, start, end) for start, end in elements.items(value[1], _whole(value))]
    if keyword == _ISSUER:
        issuer = read[0] if read else {}
        return issuer.get("UniversalEntityID") or issuer.get("LocalNamespaceEntityID")
    return read or None


def _whole(sequence: Value) -> Element:
    vr, raw, encoding = sequence
    return Element(0, vr, 0, len(raw), encoding)


def _item(sequence: Value, charset: tuple[str, ...], start: int, end: int) -> dict[str, Any]:
    """One item as keyword → value, private and unknown elements left out."""
    tags = {}
    _, raw, encoding = sequence
    for element in elements.walk(raw, encoding, start, end):
        if keyword_for_tag(element.tag):
            value = _read(element.tag, *_value(raw, element), charset)
            if value is not None:
                tags[keyword_for_tag(element.tag)] = value
    return tags


def _value(data: bytes, element: Element) -> Value:
    return element.vr, data[element.start:element.end], element.encoding


def _from_shared_groups(shared: Value, charset: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Geometry from the Pixel Measures and Plane Orientation macros."""
    _, raw, encoding = shared
    for start, end in elements.items(raw, _whole(shared)):
        for element in elements.walk(raw, encoding, start, end):
            if element.tag in {_PIXEL_MEASURES, _PLANE_ORIENTATION}:
                macro = _value(raw, element)
                for item_start, item_end in elements.items(macro[1], _whole(macro)):
                    yield from _item(macro, charset, item_start, item_end).items()


def _from_waveform(sequence: Value, charset: tuple[str, ...]) -> dict[str, Any]:
    """Channels of all multiplex groups together; samples and frequency of the first (PS3.3 C.10.9)."""
    _, raw, encoding = sequence
    groups = []
    for start, end in elements.items(raw, _whole(sequence)):
        told = (e for e in elements.walk(raw, encoding, start, end) if e.tag in (_CHANNELS, _SAMPLES, _FREQUENCY))
        read = {keyword_for_tag(e.tag): _read(e.tag, *_value(raw, e), charset) for e in told}
        groups.append({keyword: value for keyword, value in read.items() if value is not None})
    channels = sum(group.get("NumberOfWaveformChannels", 0) for group in groups)
    return {**(groups[0] if groups else {}), **({"NumberOfWaveformChannels": channels} if channels else {})}


def _require(tags: Mapping[str, Any]) -> None:
    for keyword in _REQUIRED:
        uid = tags.get(keyword)
        if not uid:
            raise Unusable(f"The data set has no {keyword}.", element=keyword)
        if not isinstance(uid, str) or len(uid) > LONGEST_UID:
            raise Unusable(f"{keyword} is no single UID of at most {LONGEST_UID} characters.", element=keyword)
        if uid.translate(_IN_UIDS):
            raise Unusable(f"{keyword} is no UID: it has other characters than digits and dots.", element=keyword)


def identity(header: bytes, dataset: Iterable[bytes]) -> dict[str, str]:
    """SOPClassUID, SOPInstanceUID and StudyInstanceUID as far as the data set has them. Raises Unreadable."""
    meta = part10.parse(header)
    stream = ElementStream(_encoding(meta.transfer_syntax_uid), _IDENTITY)
    inflater = Inflater(stream.feed) if meta.transfer_syntax_uid == DEFLATED_LITTLE_ENDIAN else None
    for piece in dataset:
        (inflater or stream).feed(piece)
    found = stream.found
    return {_IDENTITY[tag]: value[1].decode("ascii", "replace").strip("\0 ") for tag, value in found.items()}


def require_announced(header: bytes, dataset: Iterable[bytes]) -> None:
    """Raise Unusable where the data set is of another class or instance than the header made of a C-STORE request says.

    Only for what came over DIMSE (PS3.4 B.2.2): in files the two often differ, and the data set counts.
    """
    meta = part10.parse(header)
    found = identity(header, dataset)
    for keyword, uid in (("SOPClassUID", meta.sop_class_uid), ("SOPInstanceUID", meta.sop_instance_uid)):
        if found.get(keyword, uid) != uid:
            raise Unusable(f"{keyword} of the data set is not the one announced.", element=keyword)
