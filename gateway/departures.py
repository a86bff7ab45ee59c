"""Senders that have left, as evidence: told to the studies once everything that they brought is in the index."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import structlog

from gateway.completion import Evidence, EvidenceKind, EvidenceLog, State
from gateway.errors import Transient
from gateway.intake import SenderLeft

log = structlog.get_logger()
_GATHER_SECONDS = 0.05
_MOST = 1000
_AFTER_FAULT = 1.0
_Entry = tuple[SenderLeft, datetime]


class Departures:
    """One thread, off the way of those who leave; a sender with an association for each object costs few writes."""

    def __init__(self, evidence: EvidenceLog, indexed: Callable[[], bool],
                 clock: Callable[[], datetime] = lambda: datetime.now(UTC),
                 sent: Callable[[str, Iterable[str], datetime], object] = lambda _sender, _studies, _at: None) -> None:
        """`indexed` waits until every object acknowledged so far is in the index; False when that takes too long.
        `sent` is told who (protocol:name) has sent which studies, also where every object was here before."""
        self._evidence, self._indexed, self._clock, self._sent = evidence, indexed, clock, sent
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="departures", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What is not told any more only makes a study wait for its quiet time."""
        self._stopping.set()
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def left(self, one: SenderLeft) -> None:
        """Takes no time of the caller."""
        self._queue.put((one, self._clock()))

    def _work(self) -> None:
        while not self._stopping.is_set():
            gathered = self._gather()
            while gathered and not self._stopping.is_set() and not self._told(gathered):
                self._stopping.wait(_AFTER_FAULT)

    def _gather(self) -> list[_Entry]:
        first = self._queue.get()
        self._stopping.wait(_GATHER_SECONDS)
        gathered = [first]
        while len(gathered) < _MOST:
            try:
                gathered.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return [entry for entry in gathered if entry is not None]

    def _told(self, gathered: list[_Entry]) -> bool:
        try:
            if not self._indexed():
                return False
            said = {(one.kind, one.study_instance_uid, one.identity): one
                    for left, at in gathered for one in statements(left, at)}
            if said:
                self._evidence.hear(list(said.values()))
            for left, at in gathered:
                self._sent(f"{left.sender.protocol}:{left.sender.name}", left.studies, at)
        except Transient as error:
            log.warning("departures_wait", error=str(error))
            return False
        except Exception as error:
            # The thread must outlive any one statement that the database does not take.
            log.exception("departures_fault", error=type(error).__name__)
        return True


def statements(left: SenderLeft, at: datetime) -> list[Evidence]:
    """What a departure says of each study: nothing where another association is still bringing it."""
    kind = EvidenceKind.RELEASE if left.sender.protocol == "dicom" else EvidenceKind.STOW
    state = State.ENDED if left.released else State.BROKEN
    of = left.studies - left.elsewhere if left.released else left.studies
    return [Evidence(kind, study, f"{state}:{left.sender.name}", left.sender.name, at, state) for study in sorted(of)]
