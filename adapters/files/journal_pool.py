"""Which segment of a journal takes the next object: one at a time for all, and some lent to who appends alone."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

from adapters.files.journal_segments import SEGMENT, Segment


class Pool:
    """Every segment is in one place here. For who holds the journal's lock, but for `free.append`."""

    def __init__(self, make: Callable[[], Segment]) -> None:
        """`make`: a segment more, which raises OSError."""
        self._make = make
        self._rounds = itertools.count(int.from_bytes(os.urandom(6), "little"))
        self._current: Segment | None = None
        self.begun: list[Segment] = []
        """Come back from whom they were lent to."""
        self.lent: list[Segment] = []
        self.sealed: list[Segment] = []
        self.free: list[Segment] = []

    def is_current(self, segment: Segment) -> bool:
        """Whether the next object of all goes there."""
        return segment is self._current

    def room(self, span: int) -> Segment:
        """The one for the next object of all. Raises OSError."""
        if span > SEGMENT:
            raise OSError("larger than a segment")
        if self._current is None or self._current.end + span > SEGMENT:
            self._seal()
            self._current = next((one for one in self.begun if _has_room(one, span)), None)
            if self._current is not None:
                self.begun.remove(self._current)
            else:
                self._current = self._anew(self.free.pop() if self.free else self._make())
        return self._current

    def lend(self, span: int) -> Segment | None:
        """One that is nobody else's until `take_back`; None where none is ready."""
        begun = [one for one in (self._current, *self.begun) if one is not None and not one.users]
        segment = next((one for one in begun if _has_room(one, span)), None)
        if segment is self._current:
            self._current = None
        elif segment is not None:
            self.begun.remove(segment)
        if segment is None and self.free:
            segment = self._anew(self.free.pop())
        if segment is not None:
            self.lent.append(segment)
        return segment

    def take_back(self, segment: Segment) -> None:
        """It was lent."""
        self.lent.remove(segment)
        (self.begun if segment.end else self.free).append(segment)

    def settled(self) -> list[Segment]:
        """Those in which nothing waits for its file any more; they take nothing until they are `emptied`."""
        if self._current is not None and not self._current.pending:
            self._seal()
        self.sealed += [segment for segment in self.begun if not segment.pending]
        self.begun = [segment for segment in self.begun if segment.pending]
        return [segment for segment in self.sealed if not segment.pending]

    def emptied(self, segment: Segment) -> None:
        """It was settled, and can be begun anew."""
        self.sealed.remove(segment)
        segment.end = segment.written = segment.synced = 0
        segment.lost_after = segment.lost_before = 0
        self.free.append(segment)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in any of them."""
        others = self.sealed or self.begun or self.lent
        return not others and (self._current is None or not self._current.end)

    def _seal(self) -> None:
        if self._current is not None and self._current.end:
            self.sealed.append(self._current)
            self._current = None

    def _anew(self, segment: Segment) -> Segment:
        segment.round = next(self._rounds)
        return segment


def _has_room(segment: Segment, span: int) -> bool:
    return not segment.lost_before and segment.end + span <= SEGMENT
