"""A small real intake for tests of the DICOM doors: a file store, and a list instead of the index."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.dicom.content.tags import read_tags
from adapters.files.store import FileObjectStore
from gateway.errors import GatewayError
from gateway.ports import Stored
from gateway.study import Sender


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

    def take(self, sender: Sender, header: bytes, dataset: Sequence[bytes]) -> Stored:
        if self.failure:
            raise self.failure
        tags = read_tags(header, dataset)
        stored = self.store.put(tags["StudyInstanceUID"], tags["SOPInstanceUID"], header, dataset)
        with self._lock:
            self.taken.append((sender, stored, tags))
        return stored
