"""What one wanted element of a received object says, as the gateway keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag

from adapters.dicom.content import elements, values
from adapters.dicom.content.elements import Element, Encoding
from adapters.dicom.content.layout import Value

SHARED = 0x52009229
"""Shared Functional Groups Sequence."""
WAVEFORM = 0x54000100
"""Waveform Sequence."""
LONGEST_REMEMBERED = 128
_ISSUER = "IssuerOfAccessionNumberSequence"
_CHANNELS, _SAMPLES, _FREQUENCY = 0x003A0005, 0x003A0010, 0x003A001A
_UNTOLD = frozenset({"", "UN"})
_PIXEL_MEASURES, _PLANE_ORIENTATION = 0x00289110, 0x00209116


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One keyword's dictionary entry. `several`: at least two values by the dictionary, so always a list."""

    keyword: str
    vr: str
    several: bool


@lru_cache(maxsize=1024)
def _entry(tag: int) -> _Wanted:
    # "US or SS" reads as US where the encoding does not tell: only PixelPaddingValue may care, and it is read again
    # with the pixels
    return _Wanted(keyword_for_tag(tag), dictionary_VR(tag).split()[0], dictionary_VM(tag).split("-")[0] not in "01")


def read_value(tag: int, vr: str, raw: bytes, encoding: Encoding, charset: tuple[str, ...]) -> Any:
    """None where the element is empty."""
    if tag in (SHARED, WAVEFORM):
        return None
    wanted = _entry(tag)
    if wanted.vr == "SQ":
        return _sequence((vr, raw, encoding), wanted.keyword, charset)
    found = values.decode(vr if vr not in _UNTOLD else wanted.vr, raw, encoding.big_endian, charset)
    if not found:
        return None
    return found if wanted.several or len(found) > 1 else found[0]


remembered = lru_cache(maxsize=8192)(read_value)
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
            value = read_value(element.tag, *_value(raw, element), charset)
            if value is not None:
                tags[keyword_for_tag(element.tag)] = value
    return tags


def _value(data: bytes, element: Element) -> Value:
    return element.vr, data[element.start:element.end], element.encoding


def from_shared_groups(shared: Value, charset: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Geometry from the Pixel Measures and Plane Orientation macros."""
    _, raw, encoding = shared
    for start, end in elements.items(raw, _whole(shared)):
        for element in elements.walk(raw, encoding, start, end):
            if element.tag in {_PIXEL_MEASURES, _PLANE_ORIENTATION}:
                macro = _value(raw, element)
                for item_start, item_end in elements.items(macro[1], _whole(macro)):
                    yield from _item(macro, charset, item_start, item_end).items()


def from_waveform(sequence: Value, charset: tuple[str, ...]) -> dict[str, Any]:
    """Channels of all multiplex groups together; samples and frequency of the first (PS3.3 C.10.9)."""
    _, raw, encoding = sequence
    groups = []
    for start, end in elements.items(raw, _whole(sequence)):
        told = (e for e in elements.walk(raw, encoding, start, end) if e.tag in (_CHANNELS, _SAMPLES, _FREQUENCY))
        read = {keyword_for_tag(e.tag): read_value(e.tag, *_value(raw, e), charset) for e in told}
        groups.append({keyword: value for keyword, value in read.items() if value is not None})
    channels = sum(group.get("NumberOfWaveformChannels", 0) for group in groups)
    return {**(groups[0] if groups else {}), **({"NumberOfWaveformChannels": channels} if channels else {})}
