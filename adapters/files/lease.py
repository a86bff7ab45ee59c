"""The end of a journal, for one who appends object after object alone, and waits for the disk once for several."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.files.durable import FileLayer, Piece
from adapters.files.journal import Journal
from adapters.files.journal_records import BEFORE, Entry, head_of, padded
from adapters.files.journal_segments import SEGMENT, Record, Segment


class Lease:
    """Nothing is held before the first `append`, nor after `end`. One thread."""

    def __init__(self, journal: Journal, files: FileLayer) -> None:
        self._journal, self._files = journal, files
        self._segments: list[Segment] = []
        self._unsynced: list[Record] = []

    def append(self, entry: Entry, pieces: Sequence[Piece]) -> Record:
        """As `Journal.append`. Raises OSError, also where no segment is ready."""
        span = padded(BEFORE + entry.size)
        segment = self._segments[-1] if self._segments else None
        if segment is None or segment.lost_before or segment.end + span > SEGMENT:
            segment = self._next(span)
        head = head_of(entry, segment.round, span)
        with self._journal.writing:  # a sync that fails meanwhile tells afterwards what it may have lost
            self._files.gather_at(segment.descriptor, [head, *pieces], segment.end)
            segment.written += 1
            segment.pending += 1
            record = Record(segment, segment.end, entry.size, segment.written, held=False)
            segment.end += span
        self._unsynced.append(record)
        return record

    def sync(self) -> None:
        """All that was appended is durable when it returns. Raises OSError: what was appended since the last one has to
        be given up then."""
        unsynced, self._unsynced = self._unsynced, []
        for record in reversed(unsynced):  # the last first: the others are durable with it, or known not to be
            self._journal.sync(record)

    def end(self) -> None:
        """Others may go on where this one stopped; once all is durable or given up."""
        segments, self._segments = self._segments, []
        for segment in segments:
            self._journal.take_back(segment)

    def _next(self, span: int) -> Segment:
        if span > SEGMENT or (segment := self._journal.lend(span)) is None:
            raise OSError("no segment is ready")
        self._segments.append(segment)
        return segment
