"""An object while it comes in: the first of it in memory, more in a scratch file of its own."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Protocol

from adapters.files import durable
from adapters.files.durable import FileLayer
from gateway.ports import Outcome, Piece, Stored

_KEPT_IN_MEMORY = 128 * 1024
"""Bytes of an object that wait in memory for more: most small ones are then one write."""


class Places(Protocol):
    """Where an incoming object may go."""

    def scratch_path(self) -> Path: ...

    def place(self, scratch: Path, descriptor: int, uids: tuple[str, str], digest: str) -> tuple[Path, Outcome]:
        """`uids`: study, SOP instance. Returns the durable file and what became of it."""
        ...

    def place_small(self, content: bytearray, uids: tuple[str, str], digest: str) -> tuple[Path, Outcome] | None:
        """The same for an object in memory; None where that cannot be done now."""
        ...


class IncomingFile:
    """Implements `gateway.ports.Incoming`: a scratch file of its own, once more came than is kept in memory."""

    def __init__(self, files: FileLayer, places: Places, header: bytes) -> None:
        self._files, self._places = files, places
        self._early = bytearray(header)
        self._digest = hashlib.sha256()
        self._size = len(header)
        self._path: Path | None = None
        self._descriptor = -1

    def write(self, piece: Piece) -> None:
        """See `gateway.ports.Incoming.write`."""
        self._digest.update(piece)
        self._size += len(piece)
        if self._path is None and len(self._early) + len(piece) <= _KEPT_IN_MEMORY:
            self._early += piece
            return
        with durable.storage_errors():
            if self._path is None:
                self._open()
            self._files.write(self._descriptor, piece)

    def finish(self, study_instance_uid: str, sop_instance_uid: str) -> Stored:
        """See `gateway.ports.Incoming.finish`."""
        digest, uids = self._digest.hexdigest(), (study_instance_uid, sop_instance_uid)
        try:
            with durable.storage_errors():
                path, outcome = self._finish(uids, digest)
        finally:
            self.abort()
        return Stored(str(path), digest, self._size, outcome)

    def _finish(self, uids: tuple[str, str], digest: str) -> tuple[Path, Outcome]:
        if self._path is None:
            placed = self._places.place_small(self._early, uids, digest)
            if placed is not None:
                return placed
        scratch = self._path or self._open()
        return self._places.place(scratch, self._descriptor, uids, digest)

    def abort(self) -> None:
        """See `gateway.ports.Incoming.abort`."""
        if self._path is None:
            return
        path, self._path = self._path, None
        with contextlib.suppress(OSError):
            self._files.unlink(path)  # what is left goes at the next start
        self._files.close(self._descriptor)

    close = abort

    def _open(self) -> Path:
        path = self._places.scratch_path()
        self._descriptor = self._files.create(path)
        self._path = path
        durable.claim(self._descriptor)
        self._files.write(self._descriptor, self._early)
        self._early.clear()
        return path
