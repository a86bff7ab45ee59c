"""Inbound HL7 and FHIR messages: stored durably in whole batches, then applied in order, exactly once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from adapters.database.connection import upsert, writing
from adapters.database.orders import apply_event
from adapters.database.studies import order_from_json, order_to_json, plain
from adapters.database.tables import messages, senders
from gateway.errors import GatewayError, Transient
from gateway.orders import Event, FinalReport, InboundMessage, MergePatients, PlaceOrder, UpdatePatient
from gateway.study import Patient

log = structlog.get_logger()
_BATCH = 100
_LONGEST_PAUSE = 0.5
_FAULTS = (GatewayError, DataError, IntegrityError, OperationalError, KeyError, TypeError, ValueError)
"""Of a message; a database that does not answer is a Transient."""
_Key = tuple[str, str]
_PENDING = sa.select(messages.c.id, messages.c.events, messages.c.received_at).where(
    messages.c.pending).order_by(messages.c.id).limit(_BATCH)
_APPLIED = sa.update(messages).where(messages.c.id.in_(sa.bindparam("ids", expanding=True))).values(pending=False)
_ANSWERS = sa.select(messages.c.control_id, messages.c.answer).where(
    messages.c.sender == sa.bindparam("of"), messages.c.control_id.in_(sa.bindparam("ids", expanding=True)))


class DatabaseMessageLog:
    """Implements gateway.orders.MessageLog; `changed` is called with the ids of studies whose order changed."""

    def __init__(self, engine: sa.Engine, changed: Callable[[set[int]], None]) -> None:
        self._engine, self._changed = engine, changed
        # Built once: making and naming a statement costs more than the database takes for a small batch.
        self._insert = upsert(engine, messages).on_conflict_do_nothing(index_elements=["sender", "control_id"])
        note = upsert(engine, senders)
        self._note = note.on_conflict_do_update(index_elements=["name"], set_={
            "last_heard_at": note.excluded.last_heard_at, "count": senders.c.count + note.excluded["count"]})
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._stopping = threading.Event()
        self._took = 0.0
        self._thread = threading.Thread(target=self._work, name="orders", daemon=True)

    def start(self) -> None:
        """Apply what a former process left pending, then whatever comes."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def record(self, batch: Sequence[InboundMessage]) -> list[bytes]:
        first: dict[_Key, InboundMessage] = {}
        for message in batch:
            first.setdefault(_key(message), message)
        answers = {key: message.answer for key, message in first.items()}
        with writing(self._engine) as connection:
            stored = connection.execute(self._insert, [_row(message) for message in first.values()]).rowcount
            if stored != len(first):
                answers |= self._answers(connection, first)
            self._note_senders(connection, batch)
        self._idle.clear()
        self._wake.set()
        return [answers[_key(message)] for message in batch]

    def settle(self, timeout: float = 10) -> bool:
        """Wait until everything recorded so far is applied (True) or the time is over."""
        return self._idle.wait(timeout)

    @staticmethod
    def _answers(connection: sa.Connection, keys: Iterable[_Key]) -> dict[_Key, bytes]:
        """What was answered first to each of these, now that all of them are stored."""
        by_sender: dict[str, list[str]] = {}
        for sender, control_id in keys:
            by_sender.setdefault(sender, []).append(control_id)
        return {(sender, control_id): bytes(answer) for sender, ids in by_sender.items()
                for control_id, answer in connection.execute(_ANSWERS, {"of": sender, "ids": ids})}

    def _note_senders(self, connection: sa.Connection, batch: Sequence[InboundMessage]) -> None:
        heard: dict[str, list[datetime]] = {}
        for message in batch:
            heard.setdefault(f"{message.sender.protocol}:{message.sender.name}", []).append(message.received_at)
        connection.execute(self._note, [{"name": name, "last_heard_at": max(times), "count": len(times)}
                                        for name, times in heard.items()])

    # ------------------------------------------------------------ the applier

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            try:
                while not self._stopping.is_set() and self._apply_some():
                    # Whoever waits for an acknowledgement comes first: at most a fifth of the time goes to applying.
                    self._stopping.wait(min(4 * self._took, _LONGEST_PAUSE))
            except Transient as error:
                log.warning("orders_wait_for_database", error=str(error))
                self._stopping.wait(1.0)
                self._wake.set()
                continue
            if not self._wake.is_set():
                self._idle.set()

    def _apply_some(self) -> bool:
        began = time.monotonic()
        with writing(self._engine) as connection:
            rows = connection.execute(_PENDING).all()
            touched = self._apply_all(connection, rows) if rows else set[int]()
            if rows:
                connection.execute(_APPLIED, {"ids": [row.id for row in rows]})
        if touched:
            self._changed(touched)
        self._took = time.monotonic() - began
        return bool(rows)

    def _apply_all(self, connection: sa.Connection, rows: Sequence[Any]) -> set[int]:
        """All messages together; where one of them has a fault, each by itself."""
        try:
            with connection.begin_nested():
                return set[int]().union(*(_apply(connection, row) for row in rows))
        except Transient:
            raise  # the database's, and no message's fault
        except _FAULTS:
            return set[int]().union(*(self._apply_alone(connection, row) for row in rows))

    @staticmethod
    def _apply_alone(connection: sa.Connection, row: Any) -> set[int]:
        """All events of one message or none: a fault in one must not hold up every message after it."""
        try:
            with connection.begin_nested():
                return _apply(connection, row)
        except Transient:
            raise
        except _FAULTS as error:
            log.error("message_not_applied", message=row.id, error=type(error).__name__)
            return set()


def _apply(connection: sa.Connection, row: Any) -> set[int]:
    """Ids of the studies whose order changed."""
    touched: set[int] = set()
    for form in row.events:
        touched |= apply_event(connection, event_from_json(form), row.received_at)
    return touched


def _key(message: InboundMessage) -> _Key:
    return message.sender.name, message.control_id


def _row(message: InboundMessage) -> dict[str, Any]:
    return {"sender": message.sender.name, "control_id": message.control_id, "received_at": message.received_at,
            "raw": message.raw, "answer": message.answer, "pending": bool(message.events),
            "events": [event_to_json(event) for event in message.events]}


def event_to_json(event: Event) -> dict[str, Any]:
    if isinstance(event, PlaceOrder):
        return {"event": "order", "order": order_to_json(event.order)}
    if isinstance(event, UpdatePatient):
        return {"event": "patient", "facility": event.facility, "patient": plain(event.patient)}
    if isinstance(event, FinalReport):
        return {"event": "final", **{name: getattr(event, name) for name in event.__slots__},
                "patient": plain(event.patient)}
    return {"event": "merge", "facility": event.facility, "surviving": plain(event.surviving),
            "prior": plain(event.prior)}


def event_from_json(form: Any) -> Event:
    match form["event"]:
        case "order":
            order = order_from_json(form["order"])
            assert order is not None
            return PlaceOrder(order)
        case "patient":
            return UpdatePatient(form["facility"], Patient(**form["patient"]))
        case "final":
            told = {name: form[name] for name in ("accession_number", "order_id", "study_instance_uid")}
            return FinalReport(form["facility"], Patient(**form["patient"]), **told)
        case _:
            return MergePatients(form["facility"], Patient(**form["surviving"]), Patient(**form["prior"]))
