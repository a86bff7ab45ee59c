"""An object while it comes in: in memory while the journal can take it, else in a scratch file of its own."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Protocol

from adapters.files import durable
from adapters.files.durable import FileLayer
from adapters.files.journal_records import BEFORE, Entry
from gateway.ports import Outcome, Piece, Stored

KEPT_IN_MEMORY = 768 * 1024
"""Bytes of an object that wait in memory for more: it goes through the journal then. A CT slice of 512 × 512 pixels
does; a hundred of them at once must not fill the memory."""
_FREE = bytes(BEFORE)


class Filing(Protocol):
    """An object that is durable in the journal once `commit` has returned, and in a file of its own after `file`."""

    @property
    def path(self) -> str:
        """Of its file, where nothing comes between."""
        ...

    def commit(self) -> None:
        """Raises OSError; nothing is to be filed then."""
        ...

    def file(self) -> tuple[Path, Outcome]:
        """Raises OSError where that cannot be done now; it may be asked for again."""
        ...

    def drop(self) -> None:
        """Instead of `commit`: it is not wanted any more."""
        ...


class Places(Protocol):
    """Where an incoming object may go."""

    def scratch_path(self) -> Path: ...

    def place(self, scratch: Path, descriptor: int, uids: tuple[str, str], digest: str) -> tuple[Path, Outcome]:
        """`uids`: study, SOP instance. Returns the durable file and what became of it."""
        ...

    def stage(self, uids: tuple[str, str], entry: Entry) -> Filing | None:
        """Into the journal, where nothing speaks against it: its name is free, the journal takes it and file systems
        have done what they were asked to."""
        ...

    def place_small(self, uids: tuple[str, str], entry: Entry) -> tuple[Path, Outcome] | None:
        """`place` for an object in memory; None where that cannot be done now."""
        ...


class IncomingFile:
    """Implements `gateway.ports.Incoming`."""

    def __init__(self, files: FileLayer, places: Places, header: bytes) -> None:
        self._files, self._places, self._header = files, places, len(header)
        self._early = bytearray().join((_FREE, header))
        self._digest = hashlib.sha256()
        self._size = len(header)
        self._path: Path | None = None
        self._descriptor = -1
        self._filing: Filing | None = None

    def write(self, piece: Piece) -> None:
        """See `gateway.ports.Incoming.write`."""
        self._digest.update(piece)
        self._size += len(piece)
        if self._path is None and self._size <= KEPT_IN_MEMORY:
            self._early += piece
            return
        with durable.storage_errors():
            if self._path is None:
                self._open()
            self._files.write(self._descriptor, piece)

    def stage(self, study_instance_uid: str, sop_instance_uid: str) -> None:
        """See `gateway.ports.Incoming.stage`."""
        if self._path is None:
            self._filing = self._places.stage((study_instance_uid, sop_instance_uid), self._entry())
        if self._filing is not None:
            self._early = bytearray()

    def finish(self, study_instance_uid: str, sop_instance_uid: str) -> Stored:
        """See `gateway.ports.Incoming.finish`."""
        digest, uids = self._digest.hexdigest(), (study_instance_uid, sop_instance_uid)
        with durable.storage_errors():
            if self._filing is not None:
                filing, self._filing = self._filing, None
                filing.commit()
                self._filing = filing
                return Stored(filing.path, digest, self._size, Outcome.STORED)
            try:
                path, outcome = self._finish(uids, digest)
            finally:
                self.abort()
        return Stored(str(path), digest, self._size, outcome)

    def file(self, stored: Stored) -> Stored:
        """See `gateway.ports.Incoming.file`."""
        if self._filing is None:
            return stored
        with durable.storage_errors():
            path, outcome = self._filing.file()
        self._filing = None
        return Stored(str(path), stored.digest, stored.size, outcome)

    def abort(self) -> None:
        """See `gateway.ports.Incoming.abort`."""
        filing, self._filing = self._filing, None
        if filing is not None:
            filing.drop()
        if self._path is None:
            return
        path, self._path = self._path, None
        with contextlib.suppress(OSError):
            self._files.unlink(path)  # what is left goes at the next start
        self._files.close(self._descriptor)

    close = abort

    def _entry(self) -> Entry:
        return Entry("", self._early, self._header, self._digest.digest())

    def _finish(self, uids: tuple[str, str], digest: str) -> tuple[Path, Outcome]:
        if self._path is None:
            placed = self._places.place_small(uids, self._entry())
            if placed is not None:
                return placed
        scratch = self._path or self._open()
        return self._places.place(scratch, self._descriptor, uids, digest)

    def _open(self) -> Path:
        path = self._places.scratch_path()
        self._descriptor = self._files.create(path)
        self._path = path
        durable.claim(self._descriptor)
        self._files.write(self._descriptor, memoryview(self._early)[BEFORE:])
        self._early = bytearray()
        return path
