"""A small real intake for tests of the DICOM doors: a file store, and a list instead of the index."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from adapters.dicom.content.tags import tag_streamer
from adapters.files.store import FileObjectStore
from gateway.errors import GatewayError
from gateway.intake import Gate, ObjectIntake, require_uids
from gateway.ports import Piece, Reception, Stored
from gateway.study import Instance, Sender


class StoreIntake:
    """`gateway.ports.Intake`. `refusal`: raised by `check`; `failure`: raised by `take` instead of storing."""

    def __init__(self, store: FileObjectStore) -> None:
        self.store = store
        self.taken: list[tuple[Sender, Stored, Mapping[str, Any]]] = []
        self.refusal: GatewayError | None = None
        self.failure: Exception | None = None
        self._lock = threading.Lock()

    def check(self) -> None:
        if self.refusal:
            raise self.refusal

    def may_put_off(self) -> bool:
        return self.store.may_put_off()

    def together(self) -> None:
        """Nothing is taken together: every object comes here."""

    def receive(self, sender: Sender, header: bytes) -> Reception:
        if self.failure:
            raise self.failure
        intake = ObjectIntake(self.store, tag_streamer(), _Nowhere(), Gate())
        return _Noting(intake.receive(sender, header), partial(self._note, sender))

    def bring(self, sender: Sender, header: bytes, dataset: Sequence[Piece], announced: Mapping[str, str]) -> Reception:
        """Nothing is staged: tests look for the file as soon as the sender has been answered."""
        reception = self.receive(sender, header)
        try:
            for piece in dataset:
                reception.write(piece)
            require_uids(reception.uids(), announced)
        except GatewayError:
            reception.abort()
            raise
        return reception

    def take(self, sender: Sender, header: bytes, dataset: Sequence[bytes]) -> Stored:
        reception = self.receive(sender, header)
        try:
            for piece in dataset:
                reception.write(piece)
            return reception.finish()
        finally:
            reception.abort()

    def _note(self, sender: Sender, stored: Stored, tags: Mapping[str, Any]) -> None:
        with self._lock:
            self.taken.append((sender, stored, tags))


class _Nowhere:
    def add(self, instance: Instance, *, conflict: bool) -> None:
        """The test looks at what was taken instead."""


@dataclass
class _Noting:
    inner: Reception
    note: Callable[[Stored, Mapping[str, Any]], None]

    def write(self, piece: Piece) -> None:
        self.inner.write(piece)

    def uids(self) -> Mapping[str, str]:
        return self.inner.uids()

    def tags(self) -> Mapping[str, Any]:
        return self.inner.tags()

    def stage(self) -> None:
        """Not done, see `bring`."""

    def finish(self) -> Stored:
        stored = self.inner.finish()
        self.note(stored, self.inner.tags())
        return stored

    def abort(self) -> None:
        self.inner.abort()
