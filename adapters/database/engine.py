"""The durable engine: DBOS queues and workflows around gateway.work.Work.

One workflow is one attempt at one run or one delivery; its id says which, so enqueuing it twice is one thing.
`_recover_pending_workflows` and `reenqueue_for_recovery` are DBOS's own private calls: the version is pinned and the
chaos test guards them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

import structlog
from dbos import DBOS, SetEnqueueOptions, SetWorkflowID
from dbos._utils import INTERNAL_QUEUE_NAME

from adapters.database.serializer import JsonSerializer
from adapters.database.slices import slices
from gateway.repository import DeliveryTicket, Next, Ticket
from gateway.study import Priority
from gateway.work import Work

log = structlog.get_logger()
RUNS = "runs"
VERSION = "1"
"""Bumped only when the shape of the workflows changes: work queued by another version is not picked up."""
_PRIORITY = {Priority.STAT: 1, Priority.URGENT: 5, Priority.ROUTINE: 10}
_IDLE_LOOKS, _LOOK_SECONDS = 50, 0.1
_END_SECONDS = 15.0
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


def run_workflow_id(ticket: Ticket) -> str:
    return f"run:{ticket.run_id}:{ticket.attempt}"


def delivery_workflow_id(ticket: DeliveryTicket) -> str:
    return f"delivery:{ticket.delivery_id}:{ticket.generation}"


class DbosEngine:
    """Implements gateway.repository.Engine. One per process (DBOS is a process-wide thing)."""

    def __init__(self, work: Work, *, url: str, executor_id: str, workers: int, destinations: Sequence[str]) -> None:
        self._work, self._executor_id, self._workers = work, executor_id, workers
        self._destinations = tuple(destinations)
        self._active: set[str] = set()
        self._suspects: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._dbos = DBOS(config={
            "name": "triage-gateway", "system_database_url": url, "executor_id": executor_id,
            "application_version": VERSION, "serializer": JsonSerializer(), "sys_db_pool_size": 4,
            "max_executor_threads": workers + 2 * len(self._destinations) + 4, "log_level": "ERROR",
            "enable_otlp": False, "run_migrations": True})
        # DBOS marks the functions it wraps, which methods do not allow.
        self._run = DBOS.workflow(name="run", max_recovery_attempts=1000)(_function(self._perform))
        self._deliver = DBOS.workflow(name="delivery", max_recovery_attempts=1000)(_function(self._attempt))

    def start(self) -> None:
        DBOS.launch()
        DBOS.register_queue(RUNS, worker_concurrency=self._workers, polling_interval_sec=0.1,
                            on_conflict="always_update")
        for name in self._destinations:
            DBOS.register_queue(f"deliver-{name}", worker_concurrency=2, polling_interval_sec=0.2,
                                on_conflict="always_update")

    def stop(self) -> None:
        """Let what is running end (10 s); the rest is picked up at the next start.

        Threads of DBOS that wait for a database which is away are left behind: each would be awaited for 10 s.
        """
        ending = threading.Thread(target=self._end, name="engine-end", daemon=True)
        ending.start()
        ending.join(_END_SECONDS)
        if ending.is_alive():
            log.warning("engine_left_behind")

    @staticmethod
    def _end() -> None:
        DBOS.destroy(workflow_completion_timeout_sec=10, destroy_registry=True)

    def enqueue_run(self, ticket: Ticket, delay: timedelta = timedelta()) -> None:
        with SetWorkflowID(run_workflow_id(ticket)), SetEnqueueOptions(
                priority=_PRIORITY[ticket.priority], delay_seconds=delay.total_seconds() or None):
            DBOS.enqueue_workflow(RUNS, self._run, ticket.run_id, ticket.attempt)

    def enqueue_delivery(self, ticket: DeliveryTicket, delay: timedelta = timedelta()) -> None:
        if ticket.destination not in self._destinations:
            # No queue serves a destination that was taken out of the configuration: the ledger says so at once.
            self._queue(_written(self._work.attempt(ticket.delivery_id, ticket.generation)))
            return
        with SetWorkflowID(delivery_workflow_id(ticket)), SetEnqueueOptions(
                delay_seconds=delay.total_seconds() or None):
            DBOS.enqueue_workflow(f"deliver-{ticket.destination}", self._deliver, ticket.delivery_id,
                                  ticket.generation)

    # ------------------------------------------------------------ workflows

    def _perform(self, run_id: str, attempt: int) -> None:
        with self._running():
            self._queue(DBOS.run_step({"name": "perform"}, lambda: _written(self._work.perform(run_id, attempt))))

    def _attempt(self, delivery_id: int, generation: int) -> None:
        with self._running():
            self._queue(DBOS.run_step({"name": "attempt"},
                                      lambda: _written(self._work.attempt(delivery_id, generation))))

    def _queue(self, what: Sequence[Any]) -> None:
        """Act on what the step wrote down: after a crash here the step is not done again, its answer is."""
        for form in what:
            ticket, delay = _read(form)
            if isinstance(ticket, Ticket):
                self.enqueue_run(ticket, delay)
            else:
                self.enqueue_delivery(ticket, delay)

    def _running(self) -> _Running:
        return _Running(self._active, self._lock, DBOS.workflow_id or "")

    # ------------------------------------------------------------ sweep

    def lost_runs(self, tickets: Sequence[Ticket]) -> Sequence[Ticket]:
        """Those that no workflow carries on any more."""
        lost = self._lost([run_workflow_id(ticket) for ticket in tickets])
        return [ticket for ticket in tickets if run_workflow_id(ticket) in lost]

    def lost_deliveries(self, tickets: Sequence[DeliveryTicket]) -> Sequence[DeliveryTicket]:
        lost = self._lost([delivery_workflow_id(ticket) for ticket in tickets])
        return [ticket for ticket in tickets if delivery_workflow_id(ticket) in lost]

    @staticmethod
    def _lost(ids: Sequence[str]) -> set[str]:
        """Which of these workflow ids are unknown to the engine, ended, or queued by a version that runs no more."""
        missing = set(ids)
        for some in slices(sorted(missing), 500):
            for status in DBOS.list_workflows(workflow_ids=list(some), load_input=False, load_output=False):
                if status.status not in _ENDED and status.app_version in (None, VERSION):
                    missing.discard(status.workflow_id)
        return missing

    def clear(self, before: datetime, limit: int = 5000) -> int:
        """Forget workflows that ended and were made before `before`; returns how many, `limit` at most."""
        old = DBOS.list_workflows(status=list(_ENDED), end_time=before.isoformat(), limit=limit, load_input=False,
                                  load_output=False)
        for some in slices([workflow.workflow_id for workflow in old], 500):
            DBOS.delete_workflows(list(some))
        return len(old)

    def forget(self, runs: Sequence[tuple[str, int]], deliveries: Sequence[tuple[int, int]]) -> None:
        """All attempts up to those named. What runs now is awaited for a little; what hangs stays, and is left to
        the sweep should it come again: an object sent again makes the same run, a database may give a number again.
        """
        ids = [f"run:{run_id}:{attempt}" for run_id, last in runs for attempt in range(last + 1)]
        ids += [f"delivery:{delivery_id}:{number}" for delivery_id, last in deliveries for number in range(last + 1)]
        for some in slices(ids, 500):
            self._await_idle(some)
            known = DBOS.list_workflows(workflow_ids=list(some), load_input=False, load_output=False)
            DBOS.delete_workflows([one.workflow_id for one in known if one.status != "PENDING"])

    @staticmethod
    def _await_idle(ids: Sequence[str]) -> None:
        """The engine has no events to wait for."""
        pause = threading.Event()
        for _ in range(_IDLE_LOOKS):
            if not DBOS.list_workflows(workflow_ids=list(ids), status="PENDING", load_input=False, load_output=False):
                return
            pause.wait(_LOOK_SECONDS)

    def recover(self, silent: Sequence[str]) -> int:
        """Take over the pending work of silent executors, and our own that nothing here runs. Returns how many."""
        taken = len(DBOS._recover_pending_workflows(list(silent))) if silent else 0
        pending = DBOS.list_workflows(status="PENDING", executor_id=self._executor_id, load_input=False,
                                      load_output=False)
        with self._lock:
            orphans = [w.workflow_id for w in pending if w.workflow_id not in self._active]
        # Seen twice in a row: a workflow that is just being handed to its thread is no orphan.
        confirmed = [w for w in orphans if w in self._suspects]
        self._suspects = frozenset(orphans)
        for workflow_id in confirmed:
            self._dbos._sys_db.reenqueue_for_recovery(workflow_id, [self._executor_id], INTERNAL_QUEUE_NAME)
            log.warning("orphan_requeued", workflow_id=workflow_id)
        return taken + len(confirmed)


def _function(method: Callable[[Any, int], None]) -> Callable[[Any, int], None]:
    @wraps(method)
    def function(subject: Any, number: int) -> None:
        method(subject, number)

    return function


def _written(what: Sequence[Next]) -> list[dict[str, Any]]:
    """As JSON: what is to be queued next."""
    return [{**asdict(ticket), "delay": delay.total_seconds()} for ticket, delay in what]


def _read(form: dict[str, Any]) -> Next:
    rest = {name: value for name, value in form.items() if name != "delay"}
    delay = timedelta(seconds=form["delay"])
    if "run_id" in rest:
        return Ticket(rest["run_id"], rest["attempt"], Priority(rest["priority"])), delay
    return DeliveryTicket(**rest), delay


class _Running:
    """Marks a workflow as running in this process."""

    def __init__(self, active: set[str], lock: threading.Lock, workflow_id: str) -> None:
        self._active, self._lock, self._workflow_id = active, lock, workflow_id

    def __enter__(self) -> None:
        with self._lock:
            self._active.add(self._workflow_id)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._active.discard(self._workflow_id)
