"""An object while it comes in: first in memory, then in the journal, or in a scratch file where that cannot take it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from adapters.files import durable
from adapters.files.durable import FileLayer
from adapters.files.journal import Journal
from adapters.files.journal_records import Check, Entry, value_of
from adapters.files.journal_segments import Room
from gateway.ports import Incoming, Outcome, Piece, Stored

_KEPT_IN_MEMORY = 128 * 1024
"""Bytes of an object that wait in memory for more: most small ones are then one write."""


class Places(Protocol):
    """Where an incoming object may go."""

    @property
    def journal(self) -> Journal: ...

    def scratch_path(self) -> Path: ...

    def place(self, scratch: Path, descriptor: int, uids: tuple[str, str], digest: str) -> tuple[Path, Outcome]:
        """`uids`: study, SOP instance. Returns the durable file and what became of it."""
        ...

    def reserve(self) -> Room | None:
        """Room in the journal for any object that may go there; None where it takes nothing now."""
        ...

    def stage(self, uids: tuple[str, str], entry: Entry, content: Sequence[Piece] | Room) -> Incoming | None:
        """Into the journal, where nothing speaks against it: its name is free, the journal takes it, and the disk has
        done what it was asked to. Raises OSError."""
        ...

    def place_small(self, uids: tuple[str, str], entry: Entry, content: bytearray,
                    digest: str) -> tuple[Path, Outcome] | None:
        """`place` for an object in memory; None where that cannot be done now. Raises OSError."""
        ...


class IncomingFile:
    """Implements `gateway.ports.Incoming`."""

    def __init__(self, files: FileLayer, places: Places, header: bytes, longest_journaled: int) -> None:
        self._files, self._places, self._header = files, places, header
        self._longest_journaled = longest_journaled
        self._early = bytearray(header)
        self._check = Check()
        self._digest = hashlib.sha256()
        """Of the data set, for a scratch file: objects in the journal have theirs made when they are filed."""
        self._size = len(header)
        self._room: Room | None = None
        self._path: Path | None = None
        self._descriptor = -1
        self._whole: Incoming | None = None
        """Once it is staged in the journal."""

    def write(self, piece: Piece) -> None:
        """See `gateway.ports.Incoming.write`."""
        self._size += len(piece)
        if self._room is None and self._path is None and self._size <= _KEPT_IN_MEMORY:
            self._check.update(piece)
            self._early += piece
            return
        with durable.storage_errors():
            if self._room is None and self._path is None:
                self._leave_memory()
            if self._room is not None and self._size > self._longest_journaled:
                self._leave_journal()
            if self._room is not None:
                self._check.update(piece)
                self._places.journal.write(self._room, piece)
            else:
                self._digest.update(piece)
                self._files.write(self._descriptor, piece)

    def stage(self, study_instance_uid: str, sop_instance_uid: str) -> None:
        """See `gateway.ports.Incoming.stage`."""
        with durable.storage_errors():
            self._stage((study_instance_uid, sop_instance_uid))

    def finish(self, study_instance_uid: str, sop_instance_uid: str) -> Stored:
        """See `gateway.ports.Incoming.finish`."""
        if self._whole is not None:
            return self._whole.finish(study_instance_uid, sop_instance_uid)
        with durable.storage_errors():
            try:
                path, outcome, digest = self._finish((study_instance_uid, sop_instance_uid))
            finally:
                self.abort()
        return Stored(str(path), digest, self._size, outcome)

    def file(self, stored: Stored) -> Stored:
        """See `gateway.ports.Incoming.file`."""
        return stored if self._whole is None else self._whole.file(stored)

    def abort(self) -> None:
        """See `gateway.ports.Incoming.abort`."""
        if self._whole is not None:
            self._whole.abort()
        room, self._room = self._room, None
        if room is not None:
            self._places.journal.leave(room)
        if self._path is None:
            return
        path, self._path = self._path, None
        with contextlib.suppress(OSError):
            self._files.unlink(path)  # what is left goes at the next start
        self._files.close(self._descriptor)

    close = abort

    def _entry(self) -> Entry:
        return Entry("", self._header, self._size - len(self._header), value_of(self._check))

    def _stage(self, uids: tuple[str, str]) -> None:
        """Afterwards it is in the journal, or all of the object is in memory or in a scratch file."""
        if self._path is not None:
            return
        room = self._room
        try:
            self._whole = self._places.stage(uids, self._entry(), [self._early] if room is None else room)
        except OSError:
            self._room = None
            raise
        if self._whole is not None:
            self._early, self._room = bytearray(), None
        elif room is not None:
            self._early = self._places.journal.read_room(room)
            self._room = None
            self._places.journal.leave(room)

    def _finish(self, uids: tuple[str, str]) -> tuple[str | Path, Outcome, str]:
        if self._path is None:
            self._stage(uids)
            if self._whole is not None:
                filed = self._whole.file(self._whole.finish(*uids))
                return filed.path, filed.outcome, filed.digest
            with memoryview(self._early) as early:
                digest = hashlib.sha256(early[len(self._header):]).hexdigest()
            placed = self._places.place_small(uids, self._entry(), self._early, digest)
            if placed is not None:
                return *placed, digest
        scratch = self._path or self._open()
        digest = self._digest.hexdigest()
        return *self._places.place(scratch, self._descriptor, uids, digest), digest

    def _leave_memory(self) -> None:
        """For the journal; for a scratch file where the journal takes nothing."""
        self._room = self._places.reserve()
        if self._room is None:
            self._open()
            return
        self._places.journal.write(self._room, self._early)
        self._early = bytearray()

    def _leave_journal(self) -> None:
        """For a scratch file."""
        room, self._room = self._room, None
        if room is None:
            return
        try:
            self._early = self._places.journal.read_room(room)
        finally:
            self._places.journal.leave(room)
        self._open()

    def _open(self) -> Path:
        path = self._places.scratch_path()
        self._descriptor = self._files.create(path)
        self._path = path
        durable.claim(self._descriptor)
        with memoryview(self._early) as early:
            self._digest.update(early[len(self._header):])
            self._files.write(self._descriptor, early)
        self._early = bytearray()
        return path
