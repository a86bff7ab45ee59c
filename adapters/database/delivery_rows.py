"""Documents and the delivery ledger as rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapters.database.connection import upsert, writing
from adapters.database.tables import deliveries, documents
from gateway.delivery import DeliveryState, Document, Kind, Receipt
from gateway.repository import DeliveryJob, DeliveryTicket, Filed

_REPLACING = (Kind.ORU, Kind.DIAGNOSTIC_REPORT)
"""Kinds that a receiver updates in place: an older one must never arrive after a newer one."""
_AT_ONCE = 10_000
"""Rows that one order of a person touches: databases bound the length of a statement."""
_FINAL = (DeliveryState.DELIVERED.value, DeliveryState.UNPROVEN.value, DeliveryState.DEAD.value)


class DeliveryRows:
    """The part of the repository that keeps the ledger."""

    def __init__(self, engine: sa.Engine, read_document: Callable[[str], bytes]) -> None:
        self._engine, self._read_document = engine, read_document

    def add_documents(self, connection: sa.Connection, run: Any, filed: Sequence[Filed], now: datetime) -> None:
        """Rows of a run's documents and of their deliveries. What names a source object waits for it."""
        sources: dict[str, int] = {}
        for one in filed:
            document_id = self._document_row(connection, run, one, now)
            for destination in one.goes_to:
                after = self._after(connection, run, one.document.kind, destination, sources)
                delivery_id = connection.execute(sa.insert(deliveries).values(
                    document_id=document_id, run_id=run.run_id, case_id=run.case_id, destination=destination,
                    kind=one.document.kind.value, state=DeliveryState.PENDING.value, created_at=now, retry_from=now,
                    next_attempt_at=now, after_id=after, receipt={}).returning(deliveries.c.id)).scalar_one()
                if one.document.kind is Kind.SOURCE:
                    sources[destination] = delivery_id

    @staticmethod
    def _after(connection: sa.Connection, run: Any, kind: Kind, destination: str,
               sources: dict[str, int]) -> int | None:
        """What must be over first: the source object that an SR names; an older result that this one replaces."""
        if kind in _REPLACING:
            return connection.execute(sa.select(sa.func.max(deliveries.c.id)).where(
                deliveries.c.case_id == run.case_id, deliveries.c.destination == destination,
                deliveries.c.kind == kind.value, deliveries.c.state == DeliveryState.PENDING.value)).scalar()
        return None if kind is Kind.SOURCE else sources.get(destination)

    def _document_row(self, connection: sa.Connection, run: Any, one: Filed, now: datetime) -> int:
        values = {"run_id": run.run_id, "case_id": run.case_id, "kind": one.document.kind.value,
                  "destination": one.destination, "identity": one.document.identity,
                  "sop_class_uid": one.document.sop_class_uid, "path": one.path, "sha256": one.sha256,
                  "created_at": now}
        connection.execute(upsert(self._engine, documents).values(**values).on_conflict_do_nothing())
        return int(connection.execute(sa.select(documents.c.id).where(
            documents.c.run_id == run.run_id, documents.c.kind == one.document.kind.value,
            documents.c.destination == one.destination,
            documents.c.identity == one.document.identity)).scalar_one())

    def tickets_of(self, run_id: str) -> Sequence[DeliveryTicket]:
        with self._engine.connect() as connection:
            return self.open_tickets(connection, run_id)

    @staticmethod
    def open_tickets(connection: sa.Connection, run_id: str) -> Sequence[DeliveryTicket]:
        return _tickets(connection, deliveries.c.run_id == run_id)

    def due_deliveries(self, before: datetime, after_id: int = 0, limit: int = 500) -> Sequence[DeliveryTicket]:
        """Pending ones from `after_id` on that should have been tried before `before`, for the sweep."""
        with self._engine.connect() as connection:
            return _tickets(connection, (deliveries.c.next_attempt_at < before) & (deliveries.c.id > after_id), limit)

    def delivery(self, delivery_id: int) -> DeliveryJob | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(deliveries, documents.c.identity, documents.c.path,
                                               documents.c.sop_class_uid).join(
                documents, documents.c.id == deliveries.c.document_id).where(
                deliveries.c.id == delivery_id)).first()
        if row is None:
            return None
        document = Document(Kind(row.kind), row.identity, self._read_document(row.path), row.sop_class_uid)
        return DeliveryJob(row.id, row.generation, row.state, row.attempts, row.retry_from, row.destination,
                           Kind(row.kind), row.case_id, document, row.next_attempt_at)

    def settle(self, delivery_id: int, receipt: Receipt, error: str, now: datetime) -> Sequence[DeliveryTicket]:
        with writing(self._engine) as connection:
            done = receipt.state is DeliveryState.DELIVERED
            # Of two attempts at once the proven one counts, whichever ends last.
            open_ = deliveries.c.state != DeliveryState.DELIVERED.value if done else (
                deliveries.c.state == DeliveryState.PENDING.value)
            connection.execute(sa.update(deliveries).where(deliveries.c.id == delivery_id, open_).values(
                state=receipt.state.value, attempts=deliveries.c.attempts + 1, last_error=error, next_attempt_at=None,
                delivered_at=now if done else None, receipt=dict(receipt.facts)))
            return _tickets(connection, deliveries.c.after_id == delivery_id)

    def again(self, delivery_id: int, error: str, at: datetime) -> DeliveryTicket | None:
        with writing(self._engine) as connection:
            connection.execute(sa.update(deliveries).where(
                deliveries.c.id == delivery_id, deliveries.c.state == DeliveryState.PENDING.value).values(
                attempts=deliveries.c.attempts + 1, generation=deliveries.c.generation + 1, last_error=error,
                next_attempt_at=at))
            found = _tickets(connection, deliveries.c.id == delivery_id)
            return found[0] if found else None

    def revive(self, condition: Any, now: datetime) -> Sequence[DeliveryTicket]:
        """Final ones that meet `condition` are pending again, with a new deadline."""
        with writing(self._engine) as connection:
            ids = connection.execute(sa.select(deliveries.c.id).where(
                condition, deliveries.c.state.in_(_FINAL), ~_replaced(), ~_deleted()).limit(_AT_ONCE)).scalars().all()
            revived = deliveries.c.id.in_(ids)
            connection.execute(sa.update(deliveries).where(revived).values(
                state=DeliveryState.PENDING.value, generation=deliveries.c.generation + 1, retry_from=now,
                attempts=0, next_attempt_at=now))
            return _tickets(connection, revived)

    def hurry(self, delivery_id: int, now: datetime) -> Sequence[DeliveryTicket]:
        """A pending one is tried now instead of at its next time."""
        return self.hurry_all(deliveries.c.id == delivery_id, now)

    def hurry_all(self, condition: Any, now: datetime) -> Sequence[DeliveryTicket]:
        """Pending ones that meet `condition` are tried now."""
        with writing(self._engine) as connection:
            ids = connection.execute(sa.select(deliveries.c.id).where(
                condition, deliveries.c.state == DeliveryState.PENDING.value).limit(_AT_ONCE)).scalars().all()
            connection.execute(sa.update(deliveries).where(deliveries.c.id.in_(ids)).values(
                generation=deliveries.c.generation + 1, next_attempt_at=now))
            return _tickets(connection, deliveries.c.id.in_(ids))


def _deleted() -> Any:
    """Retention has deleted the document's file: it was delivered long ago and cannot be sent again."""
    return sa.select(documents.c.id).where(documents.c.id == deliveries.c.document_id, documents.c.path == "").exists()


def _replaced() -> Any:
    """There is a newer result of the same case for this receiver, which updates in place."""
    newer = deliveries.alias("newer")
    return sa.and_(deliveries.c.kind.in_([kind.value for kind in _REPLACING]), sa.select(newer.c.id).where(
        newer.c.case_id == deliveries.c.case_id, newer.c.destination == deliveries.c.destination,
        newer.c.kind == deliveries.c.kind, newer.c.id > deliveries.c.id).exists())


def _tickets(connection: sa.Connection, condition: Any, limit: int = 10_000) -> list[DeliveryTicket]:
    """Pending deliveries that wait for no other, in the order they were made."""
    before = deliveries.alias("before")
    waits = sa.select(before.c.id).where(before.c.id == deliveries.c.after_id,
                                         before.c.state == DeliveryState.PENDING.value).exists()
    rows = connection.execute(sa.select(deliveries.c.id, deliveries.c.generation, deliveries.c.destination).where(
        condition, deliveries.c.state == DeliveryState.PENDING.value, ~waits).order_by(
        deliveries.c.id).limit(limit)).all()
    return [DeliveryTicket(row.id, row.generation, row.destination) for row in rows]
