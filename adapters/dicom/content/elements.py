"""A walk over the elements of an encoded data set (PS3.5 7.1) that reads lengths only and never loads a value.

Deflated data sets are inflated by the caller. Every element down to the last is visited, so a data set that was cut
short is noticed; sequences of defined length are stepped over, those of undefined length are followed to their end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from gateway.errors import Unreadable

Data = bytes | bytearray | memoryview
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
DEEPEST = 64
"""Levels of nesting of undefined length that are followed; deeper is refused."""

LONG_FORM = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
SHORT_FORM = frozenset({"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS",
                         "ST", "TM", "UI", "UL", "US"})
SHORT_HEADS = {vr.encode(): vr for vr in SHORT_FORM}
TEXTS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR",
                   "UT"})
NUMBERS = frozenset({"AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
"""Whatever their bytes, they can be read."""
NAMES = {vr.encode(): vr for vr in LONG_FORM | SHORT_FORM}
CUT = "The data set ends within an element: cut short, or no DICOM."
NO_ITEM = "A sequence holds something that is not an item."
TOO_DEEP = f"Sequences are nested more than {DEEPEST} deep."


class Encoding(NamedTuple):
    """How elements are written: PS3.5 A.1 (implicit), A.2 (explicit), A.3 (big endian, retired)."""

    implicit: bool
    big_endian: bool


IMPLICIT = Encoding(implicit=True, big_endian=False)
EXPLICIT = Encoding(implicit=False, big_endian=False)
BIG_ENDIAN = Encoding(implicit=False, big_endian=True)


class Element(NamedTuple):
    """`vr` is empty where the encoding does not tell it. The value lies at data[start:end]."""

    tag: int
    vr: str
    start: int
    end: int
    encoding: Encoding
    """Of the elements within, for sequences: UN of undefined length holds implicit VR (PS3.5 6.2.2)."""


LONGEST_HEAD = 12
"""Bytes."""


class Head(NamedTuple):
    """What stands before a value, which begins at `start`."""

    tag: int
    vr: str
    start: int
    length: int


def sniffed(data: Data, declared: Encoding) -> Encoding:
    """The encoding the first element shows, where it contradicts a declared little endian one (seen in the wild).

    Two letters that name a VR would be an implicit length of 16 KB at least, which no first element has.
    """
    if declared.big_endian or len(data) < 8:
        return declared
    return EXPLICIT if bytes(data[4:6]) in NAMES else IMPLICIT


def walk(data: Data, encoding: Encoding, start: int = 0, end: int | None = None) -> Iterator[Element]:
    """The elements of data[start:end], at one level. Raises Unreadable where one reaches beyond the end."""
    offset, end = start, len(data) if end is None else end
    while offset < end:
        if end - offset < 8 or data[offset:offset + 8] == bytes(8):
            if any(data[offset:min(end, offset + 8)]):
                raise Unreadable(CUT)
            return  # zeros after the last element: padding that some archives leave behind
        element, offset = _bounded(data, encoding, _head(data, encoding, offset, end), end, 0)
        yield element


def ends(data: Data, encoding: Encoding, start: int) -> Iterator[int]:
    """Where each of the elements ends that follow one another from `start` on, with its delimiter. Raises Unreadable
    where one reaches beyond the data."""
    offset = start
    while offset < len(data):
        _, offset = _bounded(data, encoding, _head(data, encoding, offset, len(data)), len(data), 0)
        yield offset


def items(data: Data, sequence: Element) -> Iterator[tuple[int, int]]:
    """(start, end) of the content of each item of a sequence."""
    offset = sequence.start
    while offset < sequence.end:
        tag, start, length = item(data, sequence.encoding, offset, sequence.end)
        if tag != ITEM:
            raise Unreadable(NO_ITEM)
        if length == UNDEFINED:
            offset = _after_item(data, sequence.encoding, start, sequence.end, 1)
            yield start, offset - 8
        else:
            offset = start + length
            yield start, offset


def _bounded(data: Data, encoding: Encoding, found: Head, end: int, depth: int) -> tuple[Element, int]:
    """The element with its end, and the offset of what follows it."""
    if found.length != UNDEFINED:
        stop = after = found.start + found.length
        inner = encoding
    else:
        inner = IMPLICIT if found.vr == "UN" else encoding
        stop, after = _sequence_end(data, inner, found.start, end, depth + 1)
    if after > end:
        raise Unreadable(CUT)
    return Element(found.tag, found.vr, found.start, stop, inner), after


def _sequence_end(data: Data, encoding: Encoding, offset: int, end: int, depth: int) -> tuple[int, int]:
    """(where the delimiter of a sequence of undefined length stands, what follows it)."""
    if depth > DEEPEST:
        raise Unreadable(TOO_DEEP)
    while True:
        tag, start, length = item(data, encoding, offset, end)
        if tag == SEQUENCE_END:
            return offset, start
        if tag != ITEM:
            raise Unreadable(NO_ITEM)
        offset = _after_item(data, encoding, start, end, depth) if length == UNDEFINED else start + length


def _after_item(data: Data, encoding: Encoding, offset: int, end: int, depth: int) -> int:
    """What follows the delimiter of an item of undefined length."""
    while True:
        if item(data, encoding, offset, end)[0] == ITEM_END:
            return offset + 8
        _, offset = _bounded(data, encoding, _head(data, encoding, offset, end), end, depth)


def item(data: Data, encoding: Encoding, offset: int, end: int) -> tuple[int, int, int]:
    """(tag, start, length) of an item or delimiter, which never carry a VR. Raises Unreadable where it is cut."""
    if offset + 8 > end:
        raise Unreadable(CUT)
    group, number, length = struct.unpack_from(">HHI" if encoding.big_endian else "<HHI", data, offset)
    return group << 16 | number, offset + 8, length


def _head(data: Data, encoding: Encoding, offset: int, end: int) -> Head:
    found = head(data, encoding, offset, end)
    if found is None:
        raise Unreadable(CUT)
    return found


def head(data: Data, encoding: Encoding, offset: int, end: int) -> Head | None:
    """The head of the element at `offset`; None where data[:end] has not the whole of it."""
    if offset + 8 > end:
        return None
    if encoding.implicit:
        group, number, length = struct.unpack_from("<HHI", data, offset)
        return Head(group << 16 | number, "", offset + 8, length)
    big = encoding.big_endian
    group, number, letters, short = struct.unpack_from(">HH2sH" if big else "<HH2sH", data, offset)
    tag = group << 16 | number
    vr = NAMES.get(letters)
    if vr in SHORT_FORM:
        return Head(tag, vr, offset + 8, short)
    if vr is None and not (letters.isalpha() and letters.isupper()):
        return Head(tag, "", offset + 8, struct.unpack_from(">I" if big else "<I", data, offset + 4)[0])
    if vr is None and short:
        return Head(tag, "UN", offset + 8, short)
    if offset + 12 > end:
        return None
    return Head(tag, vr or "UN", offset + 12, struct.unpack_from(">I" if big else "<I", data, offset + 8)[0])
