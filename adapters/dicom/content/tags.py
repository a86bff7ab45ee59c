"""The tags of a received object, read from its bytes without loading pixels or samples."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from pydicom.datadict import tag_for_keyword

from adapters.dicom.content import elements, part10, values
from adapters.dicom.content.element_stream import ElementStream
from adapters.dicom.content.elements import Data, Encoding
from adapters.dicom.content.keywords import KEYWORDS
from adapters.dicom.content.layout import Layouts, Recognised, Value
from adapters.dicom.content.tag_values import (
    LONGEST_REMEMBERED,
    SHARED,
    WAVEFORM,
    from_shared_groups,
    from_waveform,
    read_value,
    remembered,
)
from adapters.dicom.content.uids import LONGEST_UID, is_uid, plain_uid
from gateway.errors import Mislabelled, Unreadable, Unusable

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
GE_PRIVATE_IMPLICIT = "1.2.840.113619.5.2"

MOST_INFLATED = 1024**3
"""Bytes that a deflated data set may grow to; a small object that grows beyond is an attack or an accident."""

_INFLATED_AT_ONCE = 256 * 1024

_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_IDENTITY = {0x00080016: "SOPClassUID", 0x00080018: "SOPInstanceUID", 0x0020000D: "StudyInstanceUID"}
_UIDS = _IDENTITY | {0x0020000E: "SeriesInstanceUID"}
_UID_VRS = frozenset({"", "UI"})
_PLAIN = frozenset({IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN})
_SELF_CONTAINED = frozenset({DEFLATED_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN})
"""Transfer syntaxes in which no layout is looked for before the bytes have been turned."""
_SPECIFIC_CHARACTER_SET = 0x00080005


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
        """`layouts`: of objects read before, with the same keywords; `feed` and `feed_whole` then raise Mislabelled
        too. Raises Unreadable where `header` has no file meta information."""
        self._meta = part10.parse(header)
        self._wanted = layouts.wanted if layouts is not None else _table(tuple(extra_keywords))
        self._layouts = layouts
        self._whole: Recognised | None = None
        """All that is wanted, where the whole data set was recognised."""
        self._stream: ElementStream | None = None
        self._inflater: Inflater | None = None
        self._tags: dict[str, Any] | None = None

    def feed(self, piece: Data) -> None:
        """Raises Unreadable."""
        if self._stream is None:
            self._stream = self._begin()
        (self._inflater or self._stream).feed(piece)

    def feed_whole(self, pieces: Sequence[Data]) -> None:
        """See `gateway.ports.TagStream.feed_whole`."""
        if self._layouts is not None and pieces and self._meta.transfer_syntax_uid not in _SELF_CONTAINED:
            recognised = self._layouts.known(self._kind(), pieces[0])
            if recognised is not None and recognised.is_plain and recognised.layout.is_all(pieces):
                self._whole = recognised
                return
        for piece in pieces:
            self.feed(piece)

    def uids(self) -> Mapping[str, str]:
        """See `gateway.ports.TagStream.uids`; what of the tags may be unreadable has been read after it."""
        if self._whole is not None and (uids := self._whole.uids()):
            return uids
        found, recognised = self._finish()
        if not _are_plain(found.values()) or (recognised and not recognised.is_plain):
            return self.tags()
        uids = {}
        for tag, keyword in _UIDS.items():
            value = found.get(tag) or (recognised.get(tag) if recognised else None)
            if value is not None:
                plain = plain_uid(value[1]) if value[0] in _UID_VRS else ""  # what is written as another is read so
                uids[keyword] = plain or _required_uid(keyword, tag, *value)
        if len(uids) < len(_UIDS):
            _require(uids)
        return uids

    def tags(self) -> dict[str, Any]:
        """Once everything has been fed. Raises Unreadable and Unusable."""
        if self._tags is None:
            self._tags = self._read_tags()
        return self._tags

    def lies(self) -> Recognised | None:
        """See `gateway.ports.TagStream.lies`."""
        return self._whole

    def _kind(self) -> object:
        return self._meta.sop_class_uid, self._meta.source_ae_title, self._meta.transfer_syntax_uid

    def _begin(self) -> ElementStream:
        syntax = self._meta.transfer_syntax_uid
        encoding = _encoding(syntax)
        layouts = self._layouts
        recognise = partial(layouts.recognise, self._kind(), encoding=encoding) if layouts is not None else None
        stream = ElementStream(encoding, self._wanted, recognise, self._otherwise if layouts is not None else None)
        self._inflater = Inflater(stream.feed) if syntax == DEFLATED_LITTLE_ENDIAN else None
        return stream

    def _otherwise(self, encoding: Encoding) -> None:
        """Of the others none says what the data set is: it is kept as it was announced, and read as it is."""
        if self._meta.transfer_syntax_uid in _PLAIN:
            syntax = IMPLICIT_LITTLE_ENDIAN if encoding.implicit else EXPLICIT_LITTLE_ENDIAN
            raise Mislabelled(part10.build(self._meta._replace(transfer_syntax_uid=syntax)))

    def _finish(self) -> tuple[dict[int, Value], Recognised | None]:
        """What was found one by one, and what was recognised."""
        if self._whole is not None:
            return {}, self._whole
        if self._stream is None:
            self._stream = self._begin()
        if self._inflater:
            self._inflater.finish()
        return self._stream.finish(), self._stream.recognised

    def _read_tags(self) -> dict[str, Any]:
        found, recognised = self._finish()
        if recognised is not None:
            found = recognised.values() | found
        charset = _charset(found.get(_SPECIFIC_CHARACTER_SET))
        tags: dict[str, Any] = {"TransferSyntaxUID": self._meta.transfer_syntax_uid}
        keywords = self._wanted
        for tag, (vr, raw, encoding) in found.items():
            value = (remembered if len(raw) <= LONGEST_REMEMBERED else read_value)(tag, vr, raw, encoding, charset)
            if value is not None:
                tags[keywords[tag]] = value
        if SHARED in found:
            for keyword, value in from_shared_groups(found[SHARED], charset):
                tags.setdefault(keyword, value)
        if WAVEFORM in found:
            tags |= from_waveform(found[WAVEFORM], charset)
        _require(tags)
        return tags


def tag_streamer(extra_keywords: Iterable[str] = ()) -> Callable[[bytes], TagStream]:
    """TagStream for objects that come one after another: what one lies like, the next probably does."""
    return partial(TagStream, layouts=Layouts(_table(tuple(extra_keywords)), _UIDS))


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


def _are_plain(found: Collection[Value]) -> bool:
    """Whether reading them cannot fail: no sequence, no characters but ASCII, no VR to be guessed."""
    if not found:
        return True
    texts = [value[1] for value in found if value[0] in elements.TEXTS]
    plain = len(texts) + len([value for value in found if value[0] in elements.NUMBERS])
    return plain == len(found) and b"".join(texts).isascii()


def _charset(value: Value | None) -> tuple[str, ...]:
    return tuple(values.charset(value[1])) if value else values.DEFAULT_CHARSET


def _require(tags: Mapping[str, Any]) -> None:
    for keyword in _REQUIRED:
        _require_uid(keyword, tags.get(keyword))


def _require_uid(keyword: str, uid: Any) -> str:
    if not uid:
        raise Unusable(f"The data set has no {keyword}.", element=keyword)
    if not isinstance(uid, str) or len(uid) > LONGEST_UID:
        raise Unusable(f"{keyword} is no single UID of at most {LONGEST_UID} characters.", element=keyword)
    if not is_uid(uid):
        raise Unusable(f"{keyword} is no UID: it has other characters than digits, and single dots between them.",
                       element=keyword)
    return uid


def _required_uid(keyword: str, tag: int, vr: str, raw: bytes, encoding: Encoding) -> str:
    return _require_uid(keyword, read_value(tag, vr, raw, encoding, values.DEFAULT_CHARSET))


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
