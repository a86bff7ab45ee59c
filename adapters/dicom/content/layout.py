"""How the elements of a data set lie. Objects of one series mostly lie alike: where one does as the last did, its
elements are found with one comparison, not one by one."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import lru_cache

from pydicom.datadict import dictionary_VR

from adapters.dicom.content import elements
from adapters.dicom.content.elements import Data, Encoding
from adapters.dicom.content.uids import plain_uid
from gateway.errors import Unreadable

Value = tuple[str, bytes, Encoding]
"""One kept element: VR as in `elements.Element`, encoded value (of sequences without their delimiter), and how it is
written. A bare tuple: some fifty are made of every object."""
LONGEST_VALUE, LONGEST_LAYOUT = 2048, 16 * 1024
"""Bytes."""
_NONE: Mapping[int, str] = {}
_MOST = 256
_SEVERAL = 4
"""Layouts of one kind: numbers in a series have one digit, or two."""


class Layout:
    """The first elements of a data set that is not deflated and not big endian: heads, and sequences of undefined
    length, are as they were; values are of the same length."""

    def __init__(self, piece: Data, wanted: Container[int], encoding: Encoding = elements.EXPLICIT,
                 uids: Mapping[int, str] = _NONE) -> None:
        """As they lie in `piece`; of the `wanted` ones the values can be told.

        `uids`: tag → keyword of what `Recognised.uids` tells.
        """
        mask, high, at = bytearray(), bytearray(), 0
        self.encoding, self._wanted = encoding, wanted
        self._behind: tuple[bytes, int] | None = None
        """Of the last of which all was known: what stood behind, and bytes of the whole."""
        self.places: dict[int, tuple[str, int, int]] = {}
        """Of what is wanted: tag → VR, where the value begins and ends."""
        while at < LONGEST_LAYOUT and (found := self._element(piece, at)) is not None:
            head, end, is_fixed = found
            is_text = False
            if head.tag in wanted:
                is_text = _vr(head) in elements.TEXTS
                self.places[head.tag] = head.vr, head.start, end
            mask += b"\xff" * (head.start - at) + (b"\xff" if is_fixed else b"\0") * (end - head.start)
            high += bytes(head.start - at) + (b"\x80" if is_text else b"\0") * (end - head.start)
            at = end
        self.size = at
        self._mask = int.from_bytes(mask, "little")
        self._heads = self._mask & int.from_bytes(piece[:at], "little")
        self._high = int.from_bytes(high, "little")
        """The highest bits of what is wanted and text."""
        places = [(keyword, *self.places[tag]) for tag, keyword in uids.items() if tag in self.places]
        self.uids = tuple((keyword, start, end) for keyword, vr, start, end in places if vr in ("", "UI"))
        """Keyword, where the value begins and ends; empty where not all are here and nothing else than UIDs."""
        if len(self.uids) < len(uids):
            self.uids = ()

    def _element(self, piece: Data, at: int) -> tuple[elements.Head, int, bool] | None:
        """The element there, where it ends, and whether its value must be what it is; None where a layout ends."""
        head = elements.head(piece, self.encoding, at, len(piece))
        if head is None or not any(piece[at:at + 8]):
            return None
        if not self.encoding.implicit and bytes(piece[at + 4:at + 6]) not in elements.NAMES:
            return None
        if head.length == elements.UNDEFINED:
            after = None if head.tag in self._wanted else _after_sequence(piece, self.encoding, at)
            return None if after is None or after > LONGEST_LAYOUT else (head, after, True)
        end = head.start + head.length
        if end > len(piece) or head.length > LONGEST_VALUE:
            return None
        if head.tag in self._wanted and _vr(head) not in elements.TEXTS | elements.NUMBERS:
            return None
        return head, end, False

    def recognise(self, piece: Data) -> Recognised | None:
        """Where the data set that begins with `piece` lies like this."""
        head = bytes(piece[:self.size])
        number = int.from_bytes(head, "little")
        if len(head) < self.size or number & self._mask != self._heads:
            return None
        return Recognised(self, head, is_plain=not number & self._high)

    def is_all(self, pieces: Sequence[Data]) -> bool:
        """Whether a data set which lies like this, in pieces, has at most one element more, whole, which is not wanted:
        its pixels, mostly."""
        first, size = pieces[0], sum(map(len, pieces))
        behind = bytes(first[self.size:self.size + elements.LONGEST_HEAD]), size
        if behind == self._behind:
            return True
        is_all = self._is_all(first, size)
        if is_all and len(behind[0]) == elements.LONGEST_HEAD:  # else it depends on where the piece ends
            self._behind = behind
        return is_all

    def behind(self, size: int) -> bytes | None:
        """What stood behind this in the last data set of so many bytes of which all was known; None where there was
        none, or it cannot be told from that alone."""
        if size == self.size:
            return b""
        return self._behind[0] if self._behind is not None and self._behind[1] == size else None

    def masked(self) -> tuple[bytes, bytes]:
        """Bits that have to be what they were, and what they were."""
        return self._mask.to_bytes(self.size, "little"), self._heads.to_bytes(self.size, "little")

    def high(self) -> bytes:
        """Bits that are not set in text that is ASCII."""
        return self._high.to_bytes(self.size, "little")

    def _is_all(self, piece: Data, size: int) -> bool:
        if size == self.size:
            return True
        head = elements.head(piece, self.encoding, self.size, len(piece))
        return (head is not None and head.tag not in self._wanted and head.length != elements.UNDEFINED
                and head.start + head.length == size and any(piece[self.size:self.size + 8]))


class Recognised:
    """The beginning of a data set, the first `layout.size` bytes of it, that lies as one before."""

    __slots__ = ("_head", "is_plain", "layout")

    def __init__(self, layout: Layout, head: bytes, *, is_plain: bool) -> None:
        """`is_plain`: whether reading the wanted values cannot fail: no characters but ASCII, no VR to be guessed."""
        self.layout, self._head, self.is_plain = layout, head, is_plain

    @property
    def size(self) -> int:
        """Bytes of the data set."""
        return len(self._head)

    def uids(self) -> dict[str, str]:
        """Keyword → value; empty where they are not all here, or not to be read without more ado."""
        head = self._head
        uids = {keyword: plain_uid(head[start:end]) for keyword, start, end in self.layout.uids}
        return uids if all(uids.values()) else {}

    def raw(self, place: tuple[int, int]) -> bytes:
        """So many bytes that begin there."""
        return self._head[place[0]:place[0] + place[1]]

    def get(self, tag: int) -> Value | None:
        """None where it is not in this part."""
        place = self.layout.places.get(tag)
        return (place[0], self._head[place[1]:place[2]], self.layout.encoding) if place else None

    def values(self) -> dict[int, Value]:
        """All that are wanted, by tag."""
        head, encoding = self._head, self.layout.encoding
        return {tag: (vr, head[start:end], encoding) for tag, (vr, start, end) in self.layout.places.items()}


class Layouts:
    """The last layouts of each kind of object. Several threads may use it."""

    def __init__(self, wanted: Mapping[int, str], uids: Mapping[int, str] = _NONE) -> None:
        """Both: tag → keyword. `uids`: those of `Recognised.uids`."""
        self.wanted, self._uids = wanted, uids
        self._known: dict[object, tuple[Layout, ...]] = {}
        self._missed: dict[object, int] = {}

    def recognise(self, kind: object, piece: Data, encoding: Encoding = elements.EXPLICIT) -> Recognised | None:
        """The beginning of a data set that lies like one of the last of its kind, which all have that encoding; where
        it does not, it may be learnt."""
        recognised = self.known(kind, piece)
        if recognised is None:
            self._learn(kind, piece, encoding)
        return recognised

    def known(self, kind: object, piece: Data) -> Recognised | None:
        """`recognise`, and nothing is learnt."""
        layouts = self._known.get(kind, ())
        for layout in layouts:
            if (recognised := layout.recognise(piece)) is not None:
                self._missed[kind] = 0
                if layout is not layouts[0]:
                    self._known[kind] = (layout, *(other for other in layouts if other is not layout))
                return recognised
        return None

    def _learn(self, kind: object, piece: Data, encoding: Encoding) -> None:
        """The more seldom the more often it was in vain: in some series every object lies in its own way."""
        if len(self._known) >= _MOST:
            self._known, self._missed = {}, {}
        missed = self._missed.get(kind, 0) + 1
        self._missed[kind] = missed
        if not missed & (missed - 1):
            layout = Layout(piece, self.wanted, encoding, self._uids)
            if layout.size:
                self._known[kind] = (layout, *self._known.get(kind, ())[:_SEVERAL - 1])


def _vr(head: elements.Head) -> str:
    return head.vr or _vr_of(head.tag)


@lru_cache(maxsize=1024)
def _vr_of(tag: int) -> str:
    """By the dictionary, as readers of implicit VR take it; "" where it does not tell."""
    try:
        return str(dictionary_VR(tag)).split()[0]
    except KeyError:
        return ""


def _after_sequence(piece: Data, encoding: Encoding, at: int) -> int | None:
    """What follows a sequence of undefined length; None where it is not whole, or none."""
    try:
        return next(elements.ends(piece, encoding, at), None)
    except Unreadable:
        return None
