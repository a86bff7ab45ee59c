"""Port: what the gateway remembers of studies, cases, runs and deliveries, and the queue that carries work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from gateway.assembly import Handover, Heard
from gateway.case import Completeness, Run
from gateway.completion import Missing
from gateway.delivery import Document, Kind, Receipt
from gateway.result import Result
from gateway.study import Priority, Study


@dataclass(frozen=True, slots=True)
class Plannable:
    """A study as it stands, to be planned. `revision` guards against objects and orders that come meanwhile.

    `lacking`: objects of the study were deleted by retention, so what is there is only a part.
    """

    study_id: int
    study: Study
    sender: str
    last_instance_id: int
    last_received_at: datetime
    order_conflict: str = ""
    revision: int = 0
    lacking: bool = False
    recorded: Handover = field(default_factory=lambda: Handover(Completeness.ASSUMED))
    """How it was handed over last."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One reading to be done. `run_id` is its identity: the same again changes nothing."""

    run_id: str
    pipeline: str
    route: str
    destinations: tuple[str, ...]
    priority: Priority
    fixed_priority: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a study: runs, or none and why (`unsupported`)."""

    of: Plannable
    handover: Handover
    runs: tuple[PlannedRun, ...]
    reasons: tuple[str, ...] = ()

    @property
    def completeness(self) -> Completeness:
        return self.handover.completeness


@dataclass(frozen=True, slots=True)
class Ticket:
    """A run to be queued."""

    run_id: str
    attempt: int
    priority: Priority


@dataclass(frozen=True, slots=True)
class DeliveryTicket:
    """A delivery to be queued."""

    delivery_id: int
    generation: int
    destination: str


Next = tuple[Ticket | DeliveryTicket, timedelta]
"""What is to be queued after a piece of work, and the delay. The engine writes it down before it acts on it."""


@dataclass(frozen=True, slots=True)
class Job:
    """A run with all it needs. `state`: waiting | analysing | reported | failed | cancelled | superseded."""

    run: Run
    state: str
    attempt: int
    pipeline: str
    study: Study
    destinations: tuple[str, ...]
    completeness: Completeness
    priority: Priority
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class Filed:
    """A document that is on disk, and the destinations it goes to."""

    document: Document
    path: str
    sha256: str
    destination: str
    goes_to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeliveryJob:
    delivery_id: int
    generation: int
    state: str
    attempts: int
    retry_from: datetime
    destination: str
    kind: Kind
    case_id: str
    document: Document
    next_attempt_at: datetime | None = None


class Repository(Protocol):
    """Every method is one transaction; raises Transient when the database does not answer."""

    def receiving(self) -> Sequence[tuple[int, Heard]]:
        """Studies whose objects may still be coming, with what has been heard of each."""
        ...

    def plannable(self, study_id: int) -> Plannable | None:
        """None while there is nothing to plan (no such study, no instances, here only as the prior of another)."""
        ...

    def outdated(self) -> Sequence[int]:
        """Studies that were handed over and whose order changed since."""
        ...

    def unplannable(self, study_id: int, error: str) -> None:
        """The study cannot be planned: shown as `failed` with the reason, until something new is heard of it."""
        ...

    def record_plan(self, plan: Plan, now: datetime) -> Sequence[Ticket]:
        """Empty when something came meanwhile (the study is planned again) or nothing is new."""
        ...

    def job(self, run_id: str) -> Job | None: ...

    def begin(self, run_id: str, attempt: int) -> bool:
        """Mark run and case as being read; False when the run is not to be read any more, or not by this attempt."""
        ...

    def waiting(self, run_id: str) -> Ticket | None:
        """The ticket that carries on a waiting run; None when the run does not wait."""
        ...

    def finish(self, run_id: str, result: Result, filed: Sequence[Filed], now: datetime) -> Sequence[DeliveryTicket]:
        """The run is reported: result, documents and deliveries in one transaction. Empty when it was cancelled."""
        ...

    def postpone(self, run_id: str, error: str) -> Ticket | None: ...

    def fail(self, run_id: str, error: str, now: datetime) -> None: ...

    def tickets_of(self, run_id: str) -> Sequence[DeliveryTicket]:
        """Pending deliveries of a run that wait for nothing."""
        ...

    def delivery(self, delivery_id: int) -> DeliveryJob | None: ...

    def settle(self, delivery_id: int, receipt: Receipt, error: str, now: datetime) -> Sequence[DeliveryTicket]:
        """The delivery is over (delivered, unproven or dead); returns those that waited for it."""
        ...

    def again(self, delivery_id: int, error: str, at: datetime) -> DeliveryTicket | None: ...


class Engine(Protocol):
    """Port: durable queues. Enqueuing the same thing twice is one thing."""

    def enqueue_run(self, ticket: Ticket, delay: timedelta = timedelta()) -> None: ...

    def enqueue_delivery(self, ticket: DeliveryTicket, delay: timedelta = timedelta()) -> None: ...


class DocumentFiles(Protocol):
    """Port: bytes of documents on disk, durable when `put` returns."""

    def put(self, run_id: str, name: str, content: bytes) -> tuple[str, str]:
        """(path, SHA-256). The same name again with the same bytes is the same file."""
        ...

    def get(self, path: str) -> bytes: ...

    def delete(self, path: str) -> None:
        """Gone already is fine."""
        ...
