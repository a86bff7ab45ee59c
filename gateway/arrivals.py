"""What came of a retrieval: what counts is what is here, not what an archive says that it sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence

from gateway.errors import Transient
from gateway.fetching import ArchivedInstance, Fetched, missing_here

PATIENCE_SECONDS = 5.0


class Arrivals:
    """Thread-safe."""

    def __init__(self, here: Callable[[str], Collection[str]], indexed: Callable[[], bool],
                 patience: float | None = None) -> None:
        """`here`: SOP Instance UIDs of a study in the index; `indexed` waits until what was acknowledged so far is in
        it, False when that takes too long; `patience`: seconds without another object of what is still to come."""
        self._here, self._indexed = here, indexed
        self._patience = PATIENCE_SECONDS if patience is None else patience
        self._change = threading.Condition()
        self._commits, self._stopping = 0, False

    def note(self) -> None:
        """The index has changed."""
        with self._change:
            self._commits += 1
            self._change.notify_all()

    def stop(self) -> None:
        """Nobody waits any more."""
        with self._change:
            self._stopping = True
            self._change.notify_all()

    def came(self, study_instance_uid: str, wanted: Sequence[ArchivedInstance], fetched: Fetched) -> int:
        """How many of `wanted` are here. What an archive says that it sent by C-MOVE may come a moment later. Raises
        Transient while the index lags behind."""
        if not self._indexed():
            raise Transient("what was fetched is not in the index yet")
        most, until = -1, 0.0
        while True:
            seen = self._commits
            found = len(wanted) - len(missing_here(wanted, self._here(study_instance_uid)))
            if found > most:
                most, until = found, time.monotonic() + self._patience
            if not fetched.told or found >= fetched.promised(len(wanted)) or not self._changed(seen, until):
                return found

    def _changed(self, seen: int, until: float) -> bool:
        """Whether the index has changed since; False after `until` (monotonic) and where nobody is to wait."""
        with self._change:
            left = until - time.monotonic()
            return left > 0 and self._change.wait_for(
                lambda: self._stopping or self._commits != seen, timeout=left) and not self._stopping
