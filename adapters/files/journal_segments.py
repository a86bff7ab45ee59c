"""The files of a journal, each filled once and then written over and over, and what lies in them."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from adapters.files import durable
from adapters.files.durable import FileLayer
from adapters.files.journal_records import BEFORE, remove

SEGMENT = 8 * 1024 * 1024
"""Bytes of a segment."""
MOST_SEGMENTS = 64
_SPARED = 4
"""Segments for which there must be room besides, before one is made: the disk is for objects."""
_ZEROS = bytes(1024 * 1024)


@dataclass(eq=False, slots=True)
class Segment:
    path: Path
    end: int = 0
    written: int = 0
    synced: int = 0
    lost_after: int = 0
    lost_before: int = 0
    """Once a sync has failed: records that lie before this and were not durable after that many. Linux tells a failure
    once, and takes what it could not write as written, so no later sync makes them durable."""
    pending: int = 0
    """Records whose files are not written yet, and rooms."""
    users: int = 0
    """Rooms, and records that are not durable yet; while there are any, the segment is open."""
    descriptor: int = -1
    round: int = 0
    """The number that its records bear."""
    syncing: threading.Lock = field(default_factory=threading.Lock)

    def read(self, offset: int, into: bytearray | memoryview) -> None:
        """The object of the record at `offset`, as much of it as there is room. Raises OSError."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.preadv(descriptor, [into], offset + BEFORE) < len(into):
                raise OSError(errno.EIO, "the journal ends too early")
        finally:
            os.close(descriptor)


@dataclass(slots=True)
class Room:
    """Reserved for an object that is coming; `Journal.complete` or `Journal.leave` ends it."""

    segment: Segment
    offset: int
    span: int
    number: int
    size: int = 0
    """Bytes of the object so far."""
    started: int = 0
    """Of which the disk has begun to write."""


@dataclass(slots=True)
class Record:
    """One complete object; `Journal.done` or `Journal.void` ends it."""

    segment: Segment
    offset: int
    length: int
    number: int
    held: bool = True
    """Whether its segment stays open for it: until it is durable, or void."""
    counts: bool = True
    """Whether it is one of its segment's `pending`."""


class Segments:
    """Makes the segments of one journal, whose folder it holds as long as its process lives."""

    def __init__(self, root: Path, name: str, files: FileLayer) -> None:
        self._root, self.folder, self._files = root, root / "journal" / name, files
        self._numbers = itertools.count()
        self._making = threading.Lock()
        self.made = 0
        self.claim: int | None = None

    def make(self) -> Segment:
        """A new one, filled and durable. Raises OSError."""
        with self._making:
            space = os.statvfs(self._root)
            if self.made >= MOST_SEGMENTS or space.f_bavail * space.f_frsize < _SPARED * SEGMENT:
                raise OSError("the journal is full")
            self._claim_it()
            segment = Segment(self.folder / f"{next(self._numbers)}.seg")
            descriptor = self._files.create(segment.path)
            try:
                for _ in range(0, SEGMENT, len(_ZEROS)):
                    self._files.write(descriptor, _ZEROS)
                self._files.sync_file(descriptor)
                self._files.sync_directory(self.folder)
            except OSError:
                self._files.unlink(segment.path)
                raise
            finally:
                self._files.close(descriptor)
            self.made += 1
            return segment

    def _claim_it(self) -> None:
        if self.claim is None:
            durable.make_directories(self.folder, self._files)
            claim = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if not durable.claim(claim):
                os.close(claim)
                raise OSError("somebody else holds this journal")
            self.claim = claim

    def close(self, *, empty: bool) -> None:
        """Let go of the folder; nothing is left of it where nothing in it is needed. Raises OSError."""
        if self.claim is not None:
            if empty:
                remove(self.folder, self._files)
            os.close(self.claim)
            self.claim = None
