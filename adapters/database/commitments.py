"""Storage commitment as rows: `in` what peers ask of us, `out` what we ask of destinations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapters.database.connection import writing
from adapters.database.slices import slices
from adapters.database.tables import commitments, deliveries, documents, instances, studies
from gateway.commitment import Asked, Failed, Promise, Reference, Report, Request, answer_about, proof
from gateway.commitment_desk import Answered, Open, StoredCopy
from gateway.delivery import DeliveryState
from gateway.errors import Unusable

IN, OUT = "in", "out"
_UNSETTLED = (DeliveryState.PENDING.value, DeliveryState.UNPROVEN.value)


class DatabaseCommitments:
    """Implements gateway.commitment_desk.CommitmentRows, and what destinations note of their own requests."""

    def __init__(self, engine: sa.Engine, facility: str) -> None:
        self._engine, self._facility = engine, facility

    # ------------------------------------------------------------ what peers ask of us

    def accept(self, request: Request, now: datetime) -> None:
        named = [[one.sop_class_uid, one.sop_instance_uid] for one in request.references]
        key = (commitments.c.direction == IN, commitments.c.peer == request.peer,
               commitments.c.transaction_uid == request.transaction_uid)
        with writing(self._engine) as connection:
            row = connection.execute(sa.select(commitments).where(*key)).first()
            if row is None:
                connection.execute(sa.insert(commitments).values(
                    direction=IN, peer=request.peer, transaction_uid=request.transaction_uid, state="asked",
                    body={"references": named}, asked_at=now, open=True, next_attempt_at=now))
            elif row.body["references"] != named:
                raise Unusable("the transaction UID stands for another request", element="TransactionUID")
            elif not row.open:
                connection.execute(sa.update(commitments).where(commitments.c.id == row.id).values(
                    state="asked", body={"references": named}, asked_at=now, answered_at=None, attempts=0, open=True,
                    last_error="", next_attempt_at=now))

    def open(self, now: datetime, limit: int) -> Sequence[Open]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(commitments).where(
                commitments.c.direction == IN, commitments.c.open, commitments.c.next_attempt_at <= now).order_by(
                commitments.c.next_attempt_at).limit(limit)).all()
        return [_opened(row) for row in rows]

    def copies(self, sop_instance_uids: Sequence[str]) -> Mapping[str, Sequence[StoredCopy]]:
        """Objects received, and our own documents: a PACS that sends those on may ask for them as well."""
        found: dict[str, list[StoredCopy]] = {}
        with self._engine.connect() as connection:
            for some in slices(sop_instance_uids):
                for row in connection.execute(sa.select(
                        instances.c.sop_instance_uid, instances.c.sop_class_uid, instances.c.path,
                        instances.c.digest).join(studies, studies.c.id == instances.c.study_id).where(
                        studies.c.facility == self._facility, studies.c.files_deleted_at.is_(None),
                        instances.c.sop_instance_uid.in_(some))):
                    found.setdefault(row.sop_instance_uid, []).append(
                        StoredCopy(row.sop_class_uid, row.path, row.digest))
                for row in connection.execute(sa.select(
                        documents.c.identity, documents.c.sop_class_uid, documents.c.path, documents.c.sha256).where(
                        documents.c.identity.in_(some), documents.c.sop_class_uid != "", documents.c.path != "")):
                    found.setdefault(row.identity, []).append(
                        StoredCopy(row.sop_class_uid, row.path, row.sha256, whole_file=True))
        return found

    def verified(self, commitment_id: int, report: Report, now: datetime) -> None:
        with writing(self._engine) as connection:
            row = connection.execute(sa.select(commitments.c.body).where(commitments.c.id == commitment_id)).one()
            told = {"committed": [[one.sop_class_uid, one.sop_instance_uid] for one in report.committed],
                    "failed": [[one.reference.sop_class_uid, one.reference.sop_instance_uid, int(one.reason)]
                               for one in report.failed]}
            connection.execute(sa.update(commitments).where(commitments.c.id == commitment_id).values(
                state="verified", body={**row.body, "report": told}, attempts=0, answered_at=now))

    def again(self, commitment_id: int, error: str, at: datetime) -> None:
        with writing(self._engine) as connection:
            connection.execute(sa.update(commitments).where(
                commitments.c.id == commitment_id, commitments.c.open).values(
                attempts=commitments.c.attempts + (1 if error else 0), last_error=error, next_attempt_at=at))

    def close(self, commitment_id: int, state: str, error: str, now: datetime) -> None:
        del now
        with writing(self._engine) as connection:
            connection.execute(sa.update(commitments).where(commitments.c.id == commitment_id).values(
                state=state, open=False, last_error=error, next_attempt_at=None))

    # ------------------------------------------------------------ what we ask of destinations

    def ask(self, destination: str, transaction_uid: str, reference: Reference, now: datetime) -> None:
        """Noted before it is asked, so that no answer can come too early."""
        with writing(self._engine) as connection:
            connection.execute(sa.insert(commitments).values(
                direction=OUT, peer=destination, transaction_uid=transaction_uid, state=Promise.ASKED.value,
                sop_instance_uid=reference.sop_instance_uid, body={"sop_class_uid": reference.sop_class_uid},
                asked_at=now, open=True))

    def asked(self, destination: str, sop_instance_uid: str) -> Asked | None:
        """The newest request that a delivery still has to act on."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(commitments).where(
                commitments.c.direction == OUT, commitments.c.open, commitments.c.peer == destination,
                commitments.c.sop_instance_uid == sop_instance_uid).order_by(commitments.c.id.desc())).first()
        if row is None:
            return None
        return Asked(row.transaction_uid, row.asked_at, Promise(row.state), row.answered_at, row.body.get("reason", 0))

    def end(self, transaction_uid: str, error: str = "") -> None:
        """The delivery has acted on it. A later answer still counts, where none has come yet."""
        with writing(self._engine) as connection:
            connection.execute(sa.update(commitments).where(
                commitments.c.direction == OUT, commitments.c.transaction_uid == transaction_uid).values(
                open=False, last_error=error, next_attempt_at=None))

    def answer(self, report: Report, peer: str, now: datetime) -> bool:
        with writing(self._engine) as connection:
            rows = connection.execute(sa.select(commitments).where(
                commitments.c.direction == OUT, commitments.c.transaction_uid == report.transaction_uid)).all()
            for row in rows:
                told = answer_about(report, Reference(row.body["sop_class_uid"], row.sop_instance_uid))
                if told is None or row.state != Promise.ASKED:
                    continue  # not named, or answered before: the first answer counts
                connection.execute(sa.update(commitments).where(commitments.c.id == row.id).values(
                    state=told[0].value, body={**row.body, "reason": told[1], "answered_by": peer}, answered_at=now,
                    open=True, next_attempt_at=now))
        return bool(rows)

    def answered(self, now: datetime, limit: int) -> Sequence[Answered]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(commitments).where(
                commitments.c.direction == OUT, commitments.c.open, commitments.c.next_attempt_at <= now).order_by(
                commitments.c.id).limit(limit)).all()
            return [self._answered(connection, row) for row in rows]

    @staticmethod
    def _answered(connection: sa.Connection, row: Any) -> Answered:
        waiting = connection.execute(sa.select(deliveries.c.id, deliveries.c.state).join(
            documents, documents.c.id == deliveries.c.document_id).where(
            documents.c.identity == row.sop_instance_uid, deliveries.c.destination == row.peer,
            deliveries.c.state.in_(_UNSETTLED))).all()
        asked = Asked(row.transaction_uid, row.asked_at, Promise(row.state), row.answered_at)
        return Answered(row.id, asked.promise, proof(asked, row.sop_instance_uid),
                        tuple((one.id, DeliveryState(one.state)) for one in waiting))

    # ------------------------------------------------------------ for people and housekeeping

    def shown(self, limit: int = 100) -> Sequence[Mapping[str, Any]]:
        """The newest, without patient data: {direction, peer, state, transaction_uid, objects, failed, …} each."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(commitments).order_by(commitments.c.id.desc()).limit(limit)).all()
        return [_shown(row) for row in rows]

    def forget(self, before: datetime) -> int:
        """Delete what was over before that time; returns how many."""
        with writing(self._engine) as connection:
            return int(connection.execute(sa.delete(commitments).where(
                commitments.c.open.is_(False), commitments.c.asked_at < before)).rowcount)


def _opened(row: Any) -> Open:
    references = tuple(Reference(*one) for one in row.body["references"])
    told = row.body.get("report")
    report = None if told is None else Report(
        row.transaction_uid, tuple(Reference(*one) for one in told["committed"]),
        tuple(Failed(Reference(sop_class, uid), reason) for sop_class, uid, reason in told["failed"]))
    return Open(row.id, Request(row.transaction_uid, row.peer, references), row.asked_at, row.attempts, report)


def _shown(row: Any) -> dict[str, Any]:
    told = row.body.get("report") or {}
    return {"direction": row.direction, "peer": row.peer, "state": row.state, "transaction_uid": row.transaction_uid,
            "objects": len(row.body.get("references", (None,))), "failed": len(told.get("failed", ())),
            "attempts": row.attempts, "last_error": row.last_error, "asked_at": row.asked_at,
            "answered_at": row.answered_at, "next_attempt_at": row.next_attempt_at}
