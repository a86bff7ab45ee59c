"""The elements of an encoded data set (PS3.5 7.1) as its bytes pass, in any pieces: the wanted values are kept.

The same rules as in `elements`, which walks over a data set in memory: lengths are followed down to the last element,
so that one that was cut short is noticed, and what is not wanted is stepped over without being kept.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container

from adapters.dicom.content import elements
from adapters.dicom.content.elements import Data, Encoding
from adapters.dicom.content.layout import Recognised, Value
from gateway.errors import Unreadable

LONGEST_VALUE = 16 * 1024 * 1024
"""Bytes of a wanted element's value; a longer one is stepped over as if it was not wanted."""
LONGEST_PADDING = 1024 * 1024
"""Bytes after the last element: readers take each eight zeros for an element of its own."""
MOST_ELEMENTS = 1_000_000
"""Of the top level: a real object has some hundreds, and each costs a reader time and memory."""
_SNIFFED = 8
_FILE_META = b"\2\0"
"""Group 2, little endian as always (PS3.10 7.1)."""
_LITTLE, _BIG = struct.Struct("<HH2sH"), struct.Struct(">HH2sH")


class ElementStream:
    """Feed it a data set that is not deflated; `finish` gives what was wanted of its top level, by tag."""

    def __init__(self, declared: Encoding, wanted: Container[int],
                 recognise: Callable[[Data], Recognised | None] | None = None,
                 otherwise: Callable[[Encoding], None] | None = None) -> None:
        """`recognise` is asked whether it knows how a data set that has begun lies, where that is written as declared;
        not for big endian. `otherwise` is told where it is written in another way."""
        self._declared, self._wanted, self._otherwise = declared, wanted, otherwise
        self._recognise = None if declared.big_endian else recognise
        self._encoding: Encoding | None = None
        self._pending: Data = b""
        """What has come and is not understood yet, or belongs to a value that is being kept."""
        self._at = 0
        """How far `_pending` is understood."""
        self._skip = 0
        self._open: list[tuple[bool, Encoding]] = []
        """What of undefined length is open: (sequence, else item; how what is within is written)."""
        self._kept: tuple[int, str, int, Encoding] | None = None
        """The wanted sequence that is open: tag, VR, where its value starts, encoding."""
        self._ended = False
        self._padding = self._count = 0
        self.found: dict[int, Value] = {}
        """What was kept so far, without what was recognised."""
        self.recognised: Recognised | None = None

    def feed(self, piece: Data) -> None:
        """Raises Unreadable where this is no DICOM."""
        size = len(piece)
        if self._ended:
            self._pad(size)
            return
        if self._skip >= size:
            self._skip -= size
            return
        piece = memoryview(piece)[self._skip:]
        self._skip = 0
        self._pending = bytearray().join((self._pending, piece)) if self._pending else piece
        if self._encoding is None:
            if len(self._pending) < _SNIFFED:
                self._pending = bytearray(self._pending)
                return
            if bytes(self._pending[:2]) == _FILE_META:
                raise Unreadable("The data set begins with file meta information (group 0002).")
            self._encoding = elements.sniffed(self._pending, self._declared)
            if self._otherwise is not None and self._encoding != self._declared:
                self._otherwise(self._encoding)
            if self._recognise is not None and self._encoding == self._declared:
                self.recognised = self._recognise(self._pending)
                self._at = self.recognised.size if self.recognised else 0
        self._read(self._encoding)

    def finish(self) -> dict[int, Value]:
        """`found` of the whole data set; of an element that comes twice the last. Raises Unreadable where the data set
        was cut short."""
        rest = self._pending[self._at:]
        if self._skip or self._open or (not self._ended and (len(rest) >= 8 or any(rest))):
            raise Unreadable(elements.CUT)
        return self.found

    def _pad(self, size: int) -> None:
        self._padding += size
        if self._padding > LONGEST_PADDING:
            raise Unreadable(f"More than {LONGEST_PADDING} bytes follow the last element.")

    def _read(self, encoding: Encoding) -> None:
        while not self._skip and (self._short_elements(encoding) or self._step(encoding)):
            pass
        if self._kept is not None and len(self._pending) - self._kept[2] > LONGEST_VALUE:
            self._kept = None
        if self._kept is None:
            self._pending = bytearray(self._pending[self._at:])
            self._at = 0
        else:
            self._pending = bytearray(self._pending)

    def _short_elements(self, encoding: Encoding) -> bool:
        """Step over elements of the top level with a two-byte length: nearly all of a header, so in one tight loop."""
        if self._open or encoding.implicit:
            return False
        pending, at, come = self._pending, self._at, len(self._pending)
        unpack = _BIG.unpack_from if encoding.big_endian else _LITTLE.unpack_from
        wanted, found, short_heads, count = self._wanted, self.found, elements.SHORT_HEADS, self._count
        while at + 8 <= come:
            group, number, letters, length = unpack(pending, at)
            if letters not in short_heads or at + 8 + length > come:
                break
            tag = group << 16 | number
            if tag in wanted:
                raw = bytes(pending[at + 8:at + 8 + length])
                found[tag] = (short_heads[letters], raw, encoding)
            at += 8 + length
            count += 1
        moved, self._at = at > self._at, at
        self._counted(count)
        return moved

    def _counted(self, count: int) -> None:
        self._count = count
        if count > MOST_ELEMENTS:
            raise Unreadable(f"The data set has more than {MOST_ELEMENTS} elements.")

    def _step(self, encoding: Encoding) -> bool:
        """Understand one head; False where more has to come first."""
        if len(self._pending) - self._at < 8:
            return False
        if not self._open:
            return self._element(encoding, top=True)
        is_sequence, inner = self._open[-1]
        if is_sequence:
            return self._item(inner)
        if elements.item(self._pending, inner, self._at, len(self._pending))[0] == elements.ITEM_END:
            self._open.pop()
            self._at += 8
            return True
        return self._element(inner, top=False)

    def _item(self, encoding: Encoding) -> bool:
        tag, start, length = elements.item(self._pending, encoding, self._at, len(self._pending))
        if tag == elements.SEQUENCE_END:
            self._open.pop()
            if not self._open and self._kept:
                self._keep_sequence(*self._kept)
        elif tag != elements.ITEM:
            raise Unreadable(elements.NO_ITEM)
        elif length == elements.UNDEFINED:
            self._open.append((False, encoding))
        else:
            return self._pass(start, length)
        self._at = start
        return True

    def _element(self, encoding: Encoding, *, top: bool) -> bool:
        pending, at = self._pending, self._at
        if top and not any(pending[at:at + 8]):
            self._ended = True  # zeros after the last element: padding that some archives leave behind
            self._pad(len(pending) - at)
            return False
        head = elements.head(pending, encoding, at, len(pending))
        if head is None:
            return False
        if top:
            self._counted(self._count + 1)
        wanted = top and head.tag in self._wanted
        if head.length == elements.UNDEFINED:
            self._open_sequence(head, encoding, wanted=wanted)
            return True
        if wanted and head.length <= LONGEST_VALUE:
            if len(pending) < head.start + head.length:
                return False
            raw = bytes(pending[head.start:head.start + head.length])
            self.found[head.tag] = (head.vr, raw, encoding)
        return self._pass(head.start, head.length)

    def _open_sequence(self, head: elements.Head, encoding: Encoding, *, wanted: bool) -> None:
        inner = elements.IMPLICIT if head.vr == "UN" else encoding
        if sum(is_sequence for is_sequence, _ in self._open) >= elements.DEEPEST:
            raise Unreadable(elements.TOO_DEEP)
        self._open.append((True, inner))
        if wanted:
            self._kept = (head.tag, head.vr, head.start, inner)
        self._at = head.start

    def _keep_sequence(self, tag: int, vr: str, start: int, encoding: Encoding) -> None:
        self.found[tag] = (vr, bytes(self._pending[start:self._at]), encoding)
        self._kept = None

    def _pass(self, start: int, length: int) -> bool:
        """Step over a value, of which a part may still have to come."""
        come = len(self._pending)
        if self._kept is not None and start + length > come:
            if start + length - self._kept[2] <= LONGEST_VALUE:
                return False  # wait: it belongs to a value that is being kept
            self._kept = None
        self._at = min(start + length, come)
        self._skip = start + length - self._at
        return True
