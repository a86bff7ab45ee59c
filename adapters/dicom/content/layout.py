"""How the first elements of a data set lie. Objects of one series mostly lie alike: where one does as the last did, its
elements are found with one comparison, not one by one."""

from __future__ import annotations

import struct
from collections.abc import Container
from itertools import compress, repeat

from adapters.dicom.content import elements
from adapters.dicom.content.elements import Data, Encoding

Value = tuple[str, bytes, Encoding]
"""One kept element: VR as in `elements.Element`, encoded value (of sequences without their delimiter), and how it is
written. A bare tuple: some fifty are made of every object."""
_HEAD = struct.Struct("<HH2sH")
_MOST = 256


class Layout:
    """The elements with a two-byte length that come first, in explicit VR little endian (PS3.5 7.1.2)."""

    def __init__(self, piece: Data, wanted: Container[int]) -> None:
        """As they lie in `piece`; of the `wanted` ones the values are kept."""
        form, heads, names, kept, at = ["<"], [], [], [], 0
        while at + 8 <= len(piece):
            group, number, letters, length = _HEAD.unpack_from(piece, at)
            if letters not in elements.SHORT_HEADS or at + 8 + length > len(piece):
                break
            tag = group << 16 | number
            is_wanted = tag in wanted
            form.append(f"8s{length}s" if is_wanted else f"8s0s{length}x")
            heads.append(bytes(piece[at:at + 8]))
            kept.append(is_wanted)
            if is_wanted:
                names.append((tag, elements.SHORT_HEADS[letters]))
            at += 8 + length
        self._struct = struct.Struct("".join(form))
        self._heads, self._kept = tuple(heads), kept
        self._tags, self._vrs = [tag for tag, _ in names], [vr for _, vr in names]

    def match(self, piece: Data, found: dict[int, Value]) -> int:
        """Add the wanted values to `found`; how many bytes they take with the others. 0: `piece` lies otherwise."""
        if len(piece) < self._struct.size:
            return 0
        fields = self._struct.unpack_from(piece)
        if fields[0::2] != self._heads:
            return 0
        values = compress(fields[1::2], self._kept)
        found.update(zip(self._tags, zip(self._vrs, values, repeat(elements.EXPLICIT)), strict=False))
        return self._struct.size


class Layouts:
    """The last layout of each kind of object. Several threads may use it."""

    def __init__(self, wanted: Container[int]) -> None:
        self._wanted = wanted
        self._known: dict[object, Layout] = {}
        self._missed: dict[object, int] = {}

    def match(self, kind: object, piece: Data, found: dict[int, Value]) -> int:
        """See `Layout.match`; where it does not match, it may be learnt."""
        layout = self._known.get(kind)
        size = layout.match(piece, found) if layout else 0
        if size:
            self._missed[kind] = 0
        else:
            self._learn(kind, piece)
        return size

    def _learn(self, kind: object, piece: Data) -> None:
        """The more seldom the more often it was in vain: in some series every object lies in its own way."""
        if len(self._known) >= _MOST:
            self._known, self._missed = {}, {}
        missed = self._missed.get(kind, 0) + 1
        self._missed[kind] = missed
        if not missed & (missed - 1):
            self._known[kind] = Layout(piece, self._wanted)
