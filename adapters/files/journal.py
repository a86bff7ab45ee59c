"""A journal of objects: one sync of a file whose blocks and length stay as they are makes many objects durable.

Syncing a new file and its name costs two commits of the file system's own journal. So an object's bytes are written
here and synced, which changes no metadata, its sender is answered, and only then it gets a file of its own, which is
not synced. Once in a while the whole file system is synced and the journal begun anew. What a journal holds when its
process has died is restored at the next start.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import structlog

from adapters.files.durable import FileLayer, Piece
from adapters.files.journal_pool import Pool
from adapters.files.journal_records import BEFORE, Entry, head_of, padded, placeholder, records, void
from adapters.files.journal_segments import Record, Room, Segment, Segments

AHEAD = 4
"""Segments that are kept ready: filling one takes longer than an object may wait."""
SETTLE_SECONDS = 1.0
"""How long a record waits until the file that it stands for is durable itself."""
_STARTED = 128 * 1024


class Journal:
    """Appends for one store of one process; for all of its threads, which share their syncs."""

    def __init__(self, root: Path, name: str, files: FileLayer, rewrite: Callable[[str, bytes], None]) -> None:
        """`root`: the store's folder, on the file system that is synced; `name`: this journal's own, among others.
        `rewrite`: writes the file of a record anew where it is still there."""
        self._root, self._files = root, files
        self._segments = Segments(root, name, files)
        self.folder = self._segments.folder
        self._rewrite = rewrite
        self._failed = False
        """Whether the last sync of everything failed. What it could not write the system takes as written (Linux does:
        the next sync succeeds), so it has to be written again."""
        self._pool = Pool(self._segments.make)
        self._ahead = 0
        self.writing = threading.Lock()
        self._settling = threading.Lock()
        self._worker: threading.Thread | None = None
        self._wanted = threading.Event()
        """Something for the worker: the end, or segments to be made."""
        self._closing = False

    def reserve(self, most: int) -> Room:
        """Room for an object of at most so many bytes. Raises OSError."""
        span = padded(BEFORE + most)
        with self.writing:
            segment = self._room(span)
            self._use(segment)
            try:
                self._files.write_at(segment.descriptor, placeholder(segment.round, span), segment.end)
            except OSError:
                self._leave_off(segment)
                raise
            segment.pending += 1
            room = Room(segment, segment.end, span, segment.round)
            segment.end += span
        return room

    def write(self, room: Room, piece: Piece) -> None:
        """More of its object. Raises OSError."""
        descriptor, at = room.segment.descriptor, room.offset + BEFORE
        room.size += self._files.write_at(descriptor, piece, at + room.size)
        if room.size - room.started >= _STARTED:
            self._files.start_writing(descriptor, at + room.started, room.size - room.started)
            room.started = room.size

    def complete(self, room: Room, entry: Entry) -> Record:
        """All of it has come: a record, which `sync` makes durable. Raises OSError, and the room is left then."""
        segment = room.segment
        with self.writing:
            used = padded(BEFORE + room.size)
            if room.offset + room.span == segment.end and self._pool.is_current(segment):
                segment.end -= room.span - used
                room.span = used
            try:
                self._files.write_at(segment.descriptor, head_of(entry, room.number, room.span), room.offset)
            except OSError:
                self._leave(room)
                raise
            segment.written += 1
            return Record(segment, room.offset, room.size, segment.written)

    def leave(self, room: Room) -> None:
        """It is not wanted any more."""
        with self.writing:
            self._leave(room)

    def _leave(self, room: Room) -> None:
        room.segment.pending -= 1
        self._leave_off(room.segment)

    def append(self, entry: Entry, pieces: Sequence[Piece]) -> Record:
        """All of it at once; `pieces`: the object. Raises OSError."""
        size = entry.size
        span = padded(BEFORE + size)
        with self.writing:
            segment = self._room(span)
            self._use(segment)
            try:
                self._files.gather_at(segment.descriptor, [head_of(entry, segment.round, span), *pieces], segment.end)
                if size >= _STARTED:
                    self._files.start_writing(segment.descriptor, segment.end, BEFORE + size)
            except OSError:
                self._leave_off(segment)
                raise
            segment.written += 1
            segment.pending += 1
            record = Record(segment, segment.end, size, segment.written)
            segment.end += span
        return record

    def sync(self, record: Record) -> None:
        """Durable when it returns, as all that was appended to the segment before. Raises OSError; void it then."""
        segment = record.segment
        if segment.synced >= record.number and not segment.lost_before:
            self._let_go(record)
            return
        try:
            with segment.syncing:
                if record.offset < segment.lost_before and record.number > segment.lost_after:
                    raise OSError(errno.EIO, "a sync that it shared has failed")
                if segment.synced < record.number:
                    self._sync(segment)
        finally:
            self._let_go(record)

    def _sync(self, segment: Segment) -> None:
        written = segment.written
        try:
            self._files.sync_file(segment.descriptor)
        except OSError:
            with self.writing:  # also what was still coming, or came meanwhile
                segment.lost_after = min(segment.synced, segment.lost_after) if segment.lost_before else segment.synced
                segment.lost_before = segment.end
            raise
        segment.synced = written

    def _let_go(self, record: Record) -> None:
        with self.writing:
            if record.held:
                record.held = False
                self._leave_off(record.segment)

    def _use(self, segment: Segment) -> None:
        if segment.descriptor < 0:
            segment.descriptor = self._files.open(segment.path)
        segment.users += 1

    def _leave_off(self, segment: Segment) -> None:
        """Somebody has done with it. Nothing stays open that nobody uses: the file system can be remounted."""
        segment.users -= 1
        if not segment.users:
            descriptor, segment.descriptor = segment.descriptor, -1
            with contextlib.suppress(OSError):  # what is durable, a sync has told
                self._files.close(descriptor)

    def read_room(self, room: Room) -> bytearray:
        """What has come of its object. Raises OSError."""
        content = bytearray(room.size)
        room.segment.read(room.offset, content)
        return content

    def read(self, record: Record, into: memoryview) -> memoryview:
        """The object: the beginning of `into`, which has room for it. Raises OSError."""
        content = into[:record.length]
        record.segment.read(record.offset, content)
        return content

    def done(self, record: Record) -> None:
        """The file has been written."""
        with self.writing:
            if record.counts:
                record.counts = False
                record.segment.pending -= 1

    def void(self, record: Record) -> None:
        """The file will not be there, or is durable already: nothing is to be restored."""
        with contextlib.suppress(OSError):
            void(self._files, record.segment.path, record.offset)
        self._let_go(record)
        self.done(record)

    def settle(self) -> None:
        """Make every file durable that has been written, and forget the records. Raises OSError."""
        with self._settling:
            with self.writing:
                settled = self._pool.settled()
            if settled:
                self._sync_all(settled)
                for segment in settled:
                    self._empty(segment)

    def _sync_all(self, settled: Sequence[Segment]) -> None:
        if self._failed:
            for segment in settled:
                for name, content in records(segment.path.read_bytes()):
                    self._rewrite(name, content)
        self._failed = True
        self._files.sync_all(self._root)
        self._failed = False

    def close(self) -> None:
        """Settle, and leave nothing behind but what has no file yet. It may not be used any more. Raises OSError."""
        self._closing = True
        self._wanted.set()
        if self._worker is not None:
            self._worker.join()
        if self._segments.claim is not None:
            self.settle()
        self._segments.close(empty=self._pool.is_empty)

    # ------------------------------------------------------------ segments

    def prepare(self, segments: int) -> None:
        """Have so many made before the first object comes."""
        with self.writing:
            self._ahead = segments
            self._work()

    def _work(self) -> None:
        if self._worker is None or not self._worker.is_alive():
            self._worker = threading.Thread(target=self._settle_now_and_then, name="journal", daemon=True)
            self._worker.start()
        self._wanted.set()

    def _room(self, span: int) -> Segment:
        segment = self._pool.room(span)
        if not segment.end:
            self._work()
        return segment

    def lend(self, span: int) -> Segment | None:
        """A segment with so much room, open, for one who appends alone until `take_back`; None where none is ready.
        Raises OSError."""
        with self.writing:
            segment = self._pool.lend(span)
            if segment is not None:
                try:
                    self._use(segment)
                except OSError:
                    self._pool.take_back(segment)
                    raise
                if self._worker is None or not segment.end:
                    self._work()
        return segment

    def take_back(self, segment: Segment) -> None:
        """Others may go on with it."""
        with self.writing:
            self._pool.take_back(segment)
            self._leave_off(segment)
            if self._worker is None:
                self._work()

    def _empty(self, segment: Segment) -> None:
        descriptor = self._files.open(segment.path)
        try:
            self._files.write_at(descriptor, bytes(BEFORE), 0)
            self._files.sync_file(descriptor)
        finally:
            self._files.close(descriptor)
        with self.writing:
            self._pool.emptied(segment)

    def _settle_now_and_then(self) -> None:
        due = time.monotonic() + SETTLE_SECONDS
        while not self._closing:
            with self._told():
                self._wanted.clear()
                while len(self._pool.free) < max(AHEAD, self._ahead) and not self._closing:
                    self._pool.free.append(self._segments.make())
                self._ahead = 0
            if (left := due - time.monotonic()) > 0 and self._wanted.wait(left):
                continue
            due = time.monotonic() + SETTLE_SECONDS
            with self._told():
                self.settle()
            with self.writing:
                if self._pool.is_empty:
                    self._worker = None
                    return

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """A failure is told: the records stay, and new objects go without the journal once it is full."""
        try:
            yield
        except OSError as error:
            if error.errno:
                structlog.get_logger().warning("journal_not_settled", error=os.strerror(error.errno))
