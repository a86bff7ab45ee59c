"""How the first elements of a data set lie. Objects of one series mostly lie alike: where one does as the last did, its
elements are found with one comparison, not one by one."""

from __future__ import annotations

import struct
from collections.abc import Container

from adapters.dicom.content import elements
from adapters.dicom.content.elements import Data, Encoding

Value = tuple[str, bytes, Encoding]
"""One kept element: VR as in `elements.Element`, encoded value (of sequences without their delimiter), and how it is
written. A bare tuple: some fifty are made of every object."""
_HEAD = struct.Struct("<HH2sH")
_MOST = 256
_SEVERAL = 4
"""Layouts of one kind: numbers in a series have one digit, or two."""


class Layout:
    """The elements with a two-byte length that come first, in explicit VR little endian (PS3.5 7.1.2)."""

    def __init__(self, piece: Data, wanted: Container[int]) -> None:
        """As they lie in `piece`; of the `wanted` ones the values can be told."""
        mask, high, at = bytearray(), bytearray(), 0
        self.places: dict[int, tuple[str, int, int]] = {}
        """Of what is wanted: tag → VR, where the value begins and ends."""
        while at + 8 <= len(piece):
            group, number, letters, length = _HEAD.unpack_from(piece, at)
            if letters not in elements.SHORT_HEADS or at + 8 + length > len(piece):
                break
            tag = group << 16 | number
            if tag in wanted:
                self.places[tag] = elements.SHORT_HEADS[letters], at + 8, at + 8 + length
            mask += b"\xff" * 8 + bytes(length)
            is_text = tag in wanted and elements.SHORT_HEADS[letters] in elements.TEXTS
            high += bytes(8) + (b"\x80" if is_text else b"\0") * length
            at += 8 + length
        self.size = at
        self._mask = int.from_bytes(mask, "little")
        self._heads = self._mask & int.from_bytes(piece[:at], "little")
        self._high = int.from_bytes(high, "little")
        """The highest bits of what is wanted and text."""
        self._is_plain = all(vr in elements.TEXTS | elements.NUMBERS for vr, _, _ in self.places.values())

    def recognise(self, piece: Data) -> Recognised | None:
        """Where the data set that begins with `piece` lies like this."""
        head = bytes(piece[:self.size])
        number = int.from_bytes(head, "little")
        if len(head) < self.size or number & self._mask != self._heads:
            return None
        return Recognised(self, head, is_plain=self._is_plain and not number & self._high)


class Recognised:
    """The beginning of a data set, the first `layout.size` bytes of it, that lies as one before."""

    __slots__ = ("_head", "_layout", "is_plain")

    def __init__(self, layout: Layout, head: bytes, *, is_plain: bool) -> None:
        """`is_plain`: whether reading the wanted values cannot fail: no characters but ASCII, no VR to be guessed."""
        self._layout, self._head, self.is_plain = layout, head, is_plain

    @property
    def size(self) -> int:
        """Bytes of the data set."""
        return len(self._head)

    def get(self, tag: int) -> Value | None:
        """None where it is not in this part."""
        place = self._layout.places.get(tag)
        return (place[0], self._head[place[1]:place[2]], elements.EXPLICIT) if place else None

    def values(self) -> dict[int, Value]:
        """All that are wanted, by tag."""
        head = self._head
        return {tag: (vr, head[start:end], elements.EXPLICIT)
                for tag, (vr, start, end) in self._layout.places.items()}

class Layouts:
    """The last layouts of each kind of object. Several threads may use it."""

    def __init__(self, wanted: Container[int]) -> None:
        self._wanted = wanted
        self._known: dict[object, tuple[Layout, ...]] = {}
        self._missed: dict[object, int] = {}

    def recognise(self, kind: object, piece: Data) -> Recognised | None:
        """The beginning of a data set that lies like one of the last of its kind; where it does not, it may be
        learnt."""
        for layout in self._known.get(kind, ()):
            if (recognised := layout.recognise(piece)) is not None:
                self._missed[kind] = 0
                return recognised
        self._learn(kind, piece)
        return None

    def _learn(self, kind: object, piece: Data) -> None:
        """The more seldom the more often it was in vain: in some series every object lies in its own way."""
        if len(self._known) >= _MOST:
            self._known, self._missed = {}, {}
        missed = self._missed.get(kind, 0) + 1
        self._missed[kind] = missed
        if not missed & (missed - 1):
            layout = Layout(piece, self._wanted)
            if layout.size:
                self._known[kind] = (layout, *self._known.get(kind, ())[:_SEVERAL - 1])
