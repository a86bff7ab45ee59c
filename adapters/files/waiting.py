"""An object between its sender's answer and its file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol

from adapters.dicom.content import part10
from adapters.files import durable
from adapters.files.journal import Journal
from adapters.files.journal_records import Entry
from adapters.files.journal_segments import Record
from gateway.ports import Outcome, Piece, Stored

Filed = tuple[str, Outcome, str]
"""Path, what became of it, SHA-256 of the data set (hex)."""


class Filings(Protocol):
    """Where it waits; see `adapters.files.filing.Filings`."""

    journal: Journal

    def file(self, waiting: Waiting, /) -> Filed:
        """Give it its file. Raises OSError where that cannot be done now; to be asked again."""
        ...

    def read(self, waiting: Waiting, /) -> bytes:
        """See `Waiting.read`."""
        ...

    def drop(self, waiting: Waiting, /) -> None:
        """It is not wanted any more."""
        ...


class Waiting:
    """An object that is whole, and in the journal: durable once `finish` has returned, and in a file of its own after
    `file`. Implements `gateway.ports.Incoming`."""

    __slots__ = ("_filings", "_found", "_is_dropped", "_is_over", "_lock", "header", "name", "path", "record", "size")

    def __init__(self, filings: Filings, record: Record, path: str, name: str, entry: Entry) -> None:
        """`path`: of its file, where nothing comes between."""
        self._filings, self.record, self.path, self.name = filings, record, path, name
        self.header, self.size = len(entry.header), entry.size
        self._found: Filed | None = None
        self._is_dropped = self._is_over = False
        """Whether nobody wants it any more; whether its own sender has done with it."""
        self._lock = threading.Lock()

    def write(self, _piece: Piece) -> None:
        """There is no more."""
        raise RuntimeError("the object is whole")

    def stage(self, _study_instance_uid: str, _sop_instance_uid: str) -> None:
        """It is."""

    def finish(self, _study_instance_uid: str, _sop_instance_uid: str) -> Stored:
        """See `gateway.ports.Incoming.finish`."""
        if self._is_over:
            raise RuntimeError("the object is over")
        try:
            with self._lock:
                if self._found is None:  # else it has its file, and its record may be forgotten already
                    self._filings.journal.sync(self.record)
        except OSError as error:
            self.abort()
            raise durable.as_gateway_error(error) from error
        return Stored(self.path, "", self.size, Outcome.STORED)

    @property
    def stored(self) -> Stored:
        """See `gateway.ports.Kept.stored`."""
        return Stored(self.path, "", self.size, Outcome.STORED)

    def read(self) -> tuple[bytes, bytes] | None:
        """See `gateway.ports.Kept.read`."""
        with durable.storage_errors(), self._lock:
            try:
                content = self._filings.read(self) if self._found is None else Path(self._found[0]).read_bytes()
            except FileNotFoundError:
                return None
        return part10.split(content)

    def file(self, stored: Stored) -> Stored:
        """See `gateway.ports.Incoming.file`; by whoever comes first, the sender's own or one with the same name."""
        if self._is_over:
            return stored
        with durable.storage_errors(), self._lock:
            if self._found is None:
                self._found = self._filings.file(self)
            path, outcome, digest = self._found
        self._is_over = True
        return Stored(path, digest, stored.size, outcome)

    def abort(self) -> None:
        """See `gateway.ports.Incoming.abort`; what somebody else relies on stays."""
        if self._is_over:
            return
        self._is_over = True
        with self._lock:
            self._is_dropped = True
            if self._found is None:
                self._filings.drop(self)

    def secure(self) -> None:
        """For somebody with the same name: durable, and in its file, whether its own sender has been answered or not.
        Raises OSError."""
        with self._lock:
            if self._found is None and not self._is_dropped:
                self._filings.journal.sync(self.record)
                self._found = self._filings.file(self)
