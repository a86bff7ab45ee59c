"""The tags of a received object, read from its bytes without loading pixels or samples."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag, tag_for_keyword

from adapters.dicom.content import elements, part10, values
from adapters.dicom.content.elements import Element, Encoding
from adapters.dicom.content.keywords import KEYWORDS
from gateway.errors import Unreadable, Unusable

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
DEFLATED_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
GE_PRIVATE_IMPLICIT = "1.2.840.113619.5.2"

MOST_INFLATED = 1024**3
"""Bytes that a deflated data set may grow to; a small object that grows beyond is an attack or an accident."""

LONGEST_UID = 64

_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_IDENTITY = {0x00080016: "SOPClassUID", 0x00080018: "SOPInstanceUID", 0x0020000D: "StudyInstanceUID"}
_SPECIFIC_CHARACTER_SET = 0x00080005
_ISSUER = "IssuerOfAccessionNumberSequence"
_SHARED = "SharedFunctionalGroupsSequence"
_PIXEL_MEASURES, _PLANE_ORIENTATION = 0x00289110, 0x00209116


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One keyword's dictionary entry. `several`: at least two values by the dictionary, so always a list."""

    keyword: str
    vr: str
    several: bool


@dataclass(frozen=True, slots=True)
class _Source:
    """A data set in memory and how its texts are written."""

    data: bytes
    charset: Sequence[str]


def read_tags(header: bytes, dataset: Sequence[bytes], extra_keywords: Iterable[str] = ()) -> dict[str, Any]:
    """DICOM keyword → value of `KEYWORDS` and `extra_keywords`, as `gateway.ports.TagReader` asks; JSON-serialisable.

    `header`: preamble and file meta information; `dataset`: the encoded data set, in pieces, in any transfer syntax.
    PN and text are Unicode, DS is float, IS and binary integers int. Several values are a list, and so is an attribute
    that must have at least two (ImageType, PixelSpacing). Empty elements are left out. Of enhanced multi-frame objects
    PixelSpacing, SliceThickness, SpacingBetweenSlices and ImageOrientationPatient come from the shared functional
    groups (PS3.3 C.7.6.16) where the top level lacks them; the issuer of the accession number is one string.

    Raises Unreadable (cut short, no DICOM) and Unusable (a UID is missing or too long).
    """
    meta = part10.parse(header)
    data = _inflated(meta.transfer_syntax_uid, dataset)
    encoding = elements.sniffed(data, _encoding(meta.transfer_syntax_uid))
    wanted = _table(tuple(extra_keywords))
    found = {e.tag: e for e in elements.walk(data, encoding) if e.tag in wanted}
    source = _Source(data, _charset(data, found.get(_SPECIFIC_CHARACTER_SET)))
    tags: dict[str, Any] = {}
    for tag, element in found.items():
        value = _value(source, element, wanted[tag])
        if value is not None:
            tags[wanted[tag].keyword] = value
    for keyword, value in _from_shared_groups(source, tags.pop(_SHARED, None)):
        tags.setdefault(keyword, value)
    tags["TransferSyntaxUID"] = meta.transfer_syntax_uid
    _require(tags)
    return tags


def _encoding(transfer_syntax_uid: str) -> Encoding:
    """Every transfer syntax that is not named here is explicit VR little endian (PS3.5 A.4)."""
    if transfer_syntax_uid in {IMPLICIT_LITTLE_ENDIAN, GE_PRIVATE_IMPLICIT}:
        return elements.IMPLICIT
    return elements.BIG_ENDIAN if transfer_syntax_uid == EXPLICIT_BIG_ENDIAN else elements.EXPLICIT


def _inflated(transfer_syntax_uid: str, dataset: Sequence[bytes]) -> bytes:
    data = dataset[0] if len(dataset) == 1 else b"".join(dataset)
    if transfer_syntax_uid != DEFLATED_LITTLE_ENDIAN:
        return data
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(data, MOST_INFLATED)
    except zlib.error as error:
        raise Unreadable("The deflated data set cannot be inflated.") from error
    if not inflater.eof:
        raise Unreadable("The deflated data set was cut short, or inflates to more than 1 GB.")
    return plain


@lru_cache(maxsize=8)
def _table(extra_keywords: tuple[str, ...]) -> Mapping[int, _Wanted]:
    table = {}
    for keyword in (*KEYWORDS, *extra_keywords):
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise ValueError(f"{keyword} is no DICOM keyword")
        table[tag] = _entry(tag)
    return table


@lru_cache(maxsize=1024)
def _entry(tag: int) -> _Wanted:
    # "US or SS" reads as US where the encoding does not tell: only PixelPaddingValue may care, and it is read again
    # with the pixels
    return _Wanted(keyword_for_tag(tag), dictionary_VR(tag).split()[0], dictionary_VM(tag).split("-")[0] not in "01")


def _charset(data: bytes, element: Element | None) -> Sequence[str]:
    return values.charset(bytes(data[element.start:element.end])) if element else values.DEFAULT_CHARSET


def _value(source: _Source, element: Element, wanted: _Wanted) -> Any:
    """None where the element is empty."""
    if wanted.vr == "SQ":
        return _sequence(source, element, wanted.keyword)
    vr = element.vr if element.vr not in {"", "UN"} else wanted.vr
    raw = bytes(source.data[element.start:element.end])
    found = values.decode(vr, raw, element.encoding.big_endian, source.charset)
    if not found:
        return None
    return found if wanted.several or len(found) > 1 else found[0]


def _sequence(source: _Source, element: Element, keyword: str) -> Any:
    if keyword == _SHARED:
        return element
    read = [_item(source, element, start, end) for start, end in elements.items(source.data, element)]
    if keyword == _ISSUER:
        issuer = read[0] if read else {}
        return issuer.get("UniversalEntityID") or issuer.get("LocalNamespaceEntityID")
    return read or None


def _item(source: _Source, sequence: Element, start: int, end: int) -> dict[str, Any]:
    """One item as keyword → value, private and unknown elements left out."""
    tags = {}
    for element in elements.walk(source.data, sequence.encoding, start, end):
        if keyword_for_tag(element.tag):
            value = _value(source, element, _entry(element.tag))
            if value is not None:
                tags[keyword_for_tag(element.tag)] = value
    return tags


def _from_shared_groups(source: _Source, shared: Element | None) -> Iterator[tuple[str, Any]]:
    """Geometry from the Pixel Measures and Plane Orientation macros."""
    if shared is None:
        return
    for start, end in elements.items(source.data, shared):
        for element in elements.walk(source.data, shared.encoding, start, end):
            if element.tag in {_PIXEL_MEASURES, _PLANE_ORIENTATION}:
                for item_start, item_end in elements.items(source.data, element):
                    yield from _item(source, element, item_start, item_end).items()


def _require(tags: Mapping[str, Any]) -> None:
    for keyword in _REQUIRED:
        uid = tags.get(keyword)
        if not uid:
            raise Unusable(f"The data set has no {keyword}.", element=keyword)
        if not isinstance(uid, str) or len(uid) > LONGEST_UID:
            raise Unusable(f"{keyword} is no single UID of at most {LONGEST_UID} characters.", element=keyword)


def identity(header: bytes, dataset: Sequence[bytes]) -> dict[str, str]:
    """SOPClassUID, SOPInstanceUID and StudyInstanceUID as far as the data set has them. Raises Unreadable."""
    meta = part10.parse(header)
    data = _inflated(meta.transfer_syntax_uid, dataset)
    found = {}
    for element in elements.walk(data, elements.sniffed(data, _encoding(meta.transfer_syntax_uid))):
        if element.tag > max(_IDENTITY):
            break
        if element.tag in _IDENTITY:
            value = bytes(data[element.start:element.end]).decode("ascii", "replace")
            found[_IDENTITY[element.tag]] = value.strip("\0 ")
    return found


def require_announced(header: bytes, dataset: Sequence[bytes]) -> None:
    """Raise Unusable where the data set is of another class or instance than the header made of a C-STORE request says.

    Only for what came over DIMSE (PS3.4 B.2.2): in files the two often differ, and the data set counts.
    """
    meta = part10.parse(header)
    found = identity(header, dataset)
    for keyword, uid in (("SOPClassUID", meta.sop_class_uid), ("SOPInstanceUID", meta.sop_instance_uid)):
        if found.get(keyword, uid) != uid:
            raise Unusable(f"{keyword} of the data set is not the one announced.", element=keyword)
