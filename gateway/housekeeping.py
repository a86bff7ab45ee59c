"""Periodic work of one host: heartbeat and sweep, disk watch, retention, sender-silence alarm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from gateway.errors import Transient
from gateway.intake import Gate
from gateway.ports import ObjectStore
from gateway.repository import DeliveryTicket, DocumentFiles, Ticket
from gateway.settings import Settings
from gateway.work import now

log = structlog.get_logger()
SILENT_AFTER = timedelta(seconds=20)
LOST_AFTER = timedelta(seconds=30)
REMEMBERED = timedelta(days=2)
"""How long the engine keeps what has ended."""
_PAGE = 500
_RETIRED_AT_ONCE = 50


class HousekeepingRows(Protocol):
    """Port: what housekeeping asks of the database."""

    def beat(self, executor_id: str, now: datetime) -> None: ...
    def silent_executors(self, own: str, now: datetime, after: timedelta) -> Sequence[str]: ...
    def senders_last_heard(self) -> Sequence[tuple[str, datetime]]: ...
    def retirable(self, before: datetime, limit: int) -> Sequence[int]: ...
    def retire(self, study_id: int, now: datetime) -> Sequence[str]: ...
    def open_runs(self) -> Sequence[Ticket]: ...
    def forget(self, study_id: int) -> None: ...
    def pictures(self, study_id: int) -> Sequence[str]: ...
    def forget_messages(self, before: datetime) -> int: ...
    def forget_evidence(self, before: datetime) -> int: ...
    def due_deliveries(self, before: datetime, after_id: int = 0, limit: int = 500) -> Sequence[DeliveryTicket]: ...
    def postpone(self, run_id: str, error: str) -> Ticket | None: ...
    def hurry(self, delivery_id: int, now: datetime) -> Sequence[DeliveryTicket]: ...
    def raise_waiting(self, now: datetime, limit: int) -> int: ...


class SweepableEngine(Protocol):
    """Port: the engine, as the sweep sees it."""

    def recover(self, silent: Sequence[str]) -> int: ...
    def clear(self, before: datetime) -> int: ...
    def lost_runs(self, tickets: Sequence[Ticket]) -> Sequence[Ticket]: ...
    def lost_deliveries(self, tickets: Sequence[DeliveryTicket]) -> Sequence[DeliveryTicket]: ...
    def enqueue_run(self, ticket: Ticket, delay: timedelta = timedelta()) -> None: ...
    def enqueue_delivery(self, ticket: DeliveryTicket, delay: timedelta = timedelta()) -> None: ...


class Housekeeping:
    """Each method is one round; all are safe to run at any time."""

    def __init__(self, settings: Settings, rows: HousekeepingRows, store: ObjectStore, documents: DocumentFiles,
                 gate: Gate, executor_id: str, clock: Callable[[], datetime] = now) -> None:
        self._settings, self._rows, self._gate = settings, rows, gate
        self._store, self._documents = store, documents
        self._executor_id, self._clock = executor_id, clock
        self._silent: set[str] = set()
        self._swept = 0

    def beat(self) -> None:
        self._rows.beat(self._executor_id, self._clock())

    def sweep(self, engine: SweepableEngine) -> int:
        """Take up what nothing carries on: a crash between our commit and the engine's, a dead host's work."""
        at = self._clock()
        taken = engine.recover(self._rows.silent_executors(self._executor_id, at, SILENT_AFTER))
        taken += self.sweep_lost(engine, at - LOST_AFTER)
        if taken:
            log.warning("sweep_took_up", count=taken)
        return taken

    def sweep_lost(self, engine: SweepableEngine, before: datetime) -> int:
        runs = engine.lost_runs(self._rows.open_runs())
        for ticket in runs:
            fresh = self._rows.postpone(ticket.run_id, "taken up again after an interruption")
            if fresh is not None:
                engine.enqueue_run(fresh)
        return len(runs) + self._sweep_deliveries(engine, before)

    def _sweep_deliveries(self, engine: SweepableEngine, before: datetime) -> int:
        """A page a round, so that thousands which only wait for their receiver hide none that is lost."""
        due = self._rows.due_deliveries(before, self._swept, _PAGE)
        self._swept = due[-1].delivery_id if len(due) == _PAGE else 0
        lost = engine.lost_deliveries(due)
        for ticket in lost:
            for again in self._rows.hurry(ticket.delivery_id, self._clock()):
                engine.enqueue_delivery(again)
        return len(lost)

    def clear(self, engine: SweepableEngine) -> int:
        """The engine forgets what it ended long ago: our own rows keep what became of it."""
        return engine.clear(self._clock() - REMEMBERED)

    def raise_waiting(self) -> int:
        """Cases that have waited past their time budget rise in the worklist."""
        return self._rows.raise_waiting(self._clock(), _PAGE)

    def watch_disk(self) -> None:
        """Shut the intake under the free-space floor, open it again above it (with 5 % to spare)."""
        floor = self._settings.storage.free_floor_bytes
        free = self._store.free_bytes()
        if free < floor:
            if not self._gate.reason:
                log.error("disk_nearly_full", free_bytes=free, floor_bytes=floor)
            self._gate.shut("disk", f"less than {floor // 2**20} MiB of disk space are free; try again later")
        elif free > floor * 1.05:
            self._gate.open("disk")

    def retain(self) -> int:
        """Delete files of delivered studies by age, and the oldest of them while the disk is too full."""
        storage = self._settings.storage
        at = self._clock()
        retired = self._retire(self._rows.retirable(at - timedelta(days=storage.retention_days), 1000), at)
        while self._store.used_share() > storage.retention_share:
            oldest = self._rows.retirable(at - timedelta(hours=1), _RETIRED_AT_ONCE)
            if not oldest:
                break
            retired += self._retire(oldest, at)
        self._rows.forget_messages(at - timedelta(days=storage.retention_days))
        self._rows.forget_evidence(at - timedelta(days=storage.retention_days))
        if retired:
            log.info("studies_retired", count=retired)
        return retired

    def _retire(self, studies: Sequence[int], at: datetime) -> int:
        for study_id in studies:
            for path in self._rows.retire(study_id, at):
                self._store.delete(path)
            for path in self._rows.pictures(study_id):
                self._documents.delete(path)
            self._rows.forget(study_id)
        return len(studies)

    def silent_senders(self) -> Sequence[str]:
        """Senders not heard for too long; each is told once, until it is heard again."""
        hours = self._settings.alarms.silence_hours
        if not hours:
            return []
        limit = self._clock() - timedelta(hours=hours)
        silent = {name for name, heard in self._rows.senders_last_heard() if heard < limit}
        for name in sorted(silent - self._silent):
            log.warning("sender_silent", sender=name, hours=hours)
        self._silent = silent
        return sorted(silent)


def guarded(what: Callable[[], object], name: str) -> Callable[[], None]:
    """A round that fails for now is told and tried at the next turn; the scheduler goes on."""

    def round_() -> None:
        try:
            what()
        except (Transient, OSError) as error:
            log.warning("housekeeping_postponed", task=name, error=type(error).__name__)

    return round_
