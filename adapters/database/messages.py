"""Inbound HL7 and FHIR messages: stored durably in whole batches, then applied in order, exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DataError, IntegrityError

from adapters.database.connection import upsert, writing
from adapters.database.orders import apply_event
from adapters.database.studies import order_from_json, order_to_json
from adapters.database.tables import messages, senders
from gateway.errors import GatewayError, Transient
from gateway.orders import Event, InboundMessage, MergePatients, PlaceOrder, UpdatePatient
from gateway.study import Patient

log = structlog.get_logger()
_BATCH = 100


class DatabaseMessageLog:
    """Implements gateway.orders.MessageLog; `changed` is called with the ids of studies whose order changed."""

    def __init__(self, engine: sa.Engine, changed: Callable[[set[int]], None]) -> None:
        self._engine, self._changed = engine, changed
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="orders", daemon=True)

    def start(self) -> None:
        """Apply what a former process left pending, then whatever comes."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout=30)

    def record(self, batch: Sequence[InboundMessage]) -> list[bytes]:
        with writing(self._engine) as connection:
            known = self._answers(connection, batch)
            answers, rows = [], []
            for message in batch:
                key = (message.sender.name, message.control_id)
                if key not in known:
                    known[key] = message.answer
                    rows.append(_row(message))
                answers.append(known[key])
            if rows:
                connection.execute(sa.insert(messages), rows)
                self._note_senders(connection, batch)
        if rows:
            self._idle.clear()
            self._wake.set()
        return answers

    def settle(self, timeout: float = 10) -> bool:
        """Wait until everything recorded so far is applied (True) or the time is over."""
        return self._idle.wait(timeout)

    @staticmethod
    def _answers(connection: sa.Connection, batch: Sequence[InboundMessage]) -> dict[tuple[str, str], bytes]:
        known: dict[tuple[str, str], bytes] = {}
        by_sender: dict[str, list[str]] = {}
        for message in batch:
            by_sender.setdefault(message.sender.name, []).append(message.control_id)
        for sender, ids in by_sender.items():
            found = connection.execute(sa.select(messages.c.control_id, messages.c.answer).where(
                messages.c.sender == sender, messages.c.control_id.in_(ids)))
            known.update({(sender, control_id): bytes(answer) for control_id, answer in found})
        return known

    def _note_senders(self, connection: sa.Connection, batch: Sequence[InboundMessage]) -> None:
        heard: dict[str, list[InboundMessage]] = {}
        for message in batch:
            heard.setdefault(f"{message.sender.protocol}:{message.sender.name}", []).append(message)
        for name, told in heard.items():
            last = max(m.received_at for m in told)
            statement = upsert(self._engine, senders).values(name=name, last_heard_at=last, count=len(told))
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={
                "last_heard_at": last, "count": senders.c.count + len(told)}))

    # ------------------------------------------------------------ the applier

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            try:
                while not self._stopping.is_set() and self._apply_some():
                    pass
            except Transient as error:
                log.warning("orders_wait_for_database", error=str(error))
                self._stopping.wait(1.0)
                self._wake.set()
                continue
            if not self._wake.is_set():
                self._idle.set()

    def _apply_some(self) -> bool:
        touched: set[int] = set()
        with writing(self._engine) as connection:
            rows = connection.execute(sa.select(messages.c.id, messages.c.events, messages.c.received_at).where(
                messages.c.pending).order_by(messages.c.id).limit(_BATCH)).all()
            for row in rows:
                touched |= self._apply(connection, row)
            if rows:
                connection.execute(sa.update(messages).where(
                    messages.c.id.in_([row.id for row in rows])).values(pending=False))
        if touched:
            self._changed(touched)
        return bool(rows)

    @staticmethod
    def _apply(connection: sa.Connection, row: Any) -> set[int]:
        """All events of one message or none: a fault in one must not hold up every message after it."""
        touched: set[int] = set()
        try:
            with connection.begin_nested():
                for form in row.events:
                    touched |= apply_event(connection, event_from_json(form), row.received_at)
        except (GatewayError, DataError, IntegrityError, KeyError, TypeError, ValueError) as error:
            log.error("message_not_applied", message=row.id, error=type(error).__name__)
            return set()
        return touched


def _row(message: InboundMessage) -> dict[str, Any]:
    return {"sender": message.sender.name, "control_id": message.control_id, "received_at": message.received_at,
            "raw": message.raw, "answer": message.answer, "pending": bool(message.events),
            "events": [event_to_json(event) for event in message.events]}


def event_to_json(event: Event) -> dict[str, Any]:
    if isinstance(event, PlaceOrder):
        return {"event": "order", "order": order_to_json(event.order)}
    if isinstance(event, UpdatePatient):
        return {"event": "patient", **asdict(event)}
    return {"event": "merge", **asdict(event)}


def event_from_json(form: Any) -> Event:
    match form["event"]:
        case "order":
            order = order_from_json(form["order"])
            assert order is not None
            return PlaceOrder(order)
        case "patient":
            return UpdatePatient(form["facility"], Patient(**form["patient"]))
        case _:
            return MergePatients(form["facility"], Patient(**form["surviving"]), Patient(**form["prior"]))
