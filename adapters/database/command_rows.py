"""What people order, as row changes; and what housekeeping asks of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from adapters.database.cases import raise_waiting, study_of, update_case
from adapters.database.connection import upsert, writing
from adapters.database.evidence import forget_evidence
from adapters.database.planning_rows import OPEN, hasten, latest_run
from adapters.database.repository import DatabaseRepository
from adapters.database.tables import (
    cases,
    deliveries,
    documents,
    executors,
    instances,
    messages,
    runs,
    senders,
    studies,
)
from gateway.case import CaseState
from gateway.delivery import DeliveryState, Kind
from gateway.errors import NotFound, Unusable
from gateway.repository import DeliveryTicket, Ticket
from gateway.study import Priority

_UNREAD = (CaseState.RECEIVING, CaseState.WAITING, CaseState.ANALYSING)


class CommandRows(DatabaseRepository):
    """Adds to the repository what commands and housekeeping need."""

    # ------------------------------------------------------------ cases

    def cancel(self, case_id: str) -> None:
        """No open run of the case goes on; raises Unusable when there is none."""
        with writing(self._engine) as connection:
            study = study_of(connection, case_id)
            case = connection.execute(sa.select(cases).where(cases.c.case_id == case_id)).one()
            stopped = connection.execute(sa.update(runs).where(
                runs.c.case_id == case_id, runs.c.state.in_(OPEN)).values(state="cancelled"))
            if case.state in _UNREAD:
                update_case(connection, case_id, state=CaseState.CANCELLED.value)
                if not case.pipeline:
                    connection.execute(sa.update(studies).where(studies.c.id == study.id).values(receiving=False))
            elif not stopped.rowcount:
                raise Unusable(f"the case is {case.state}: there is nothing to cancel", element="state")

    def reopen(self, case_id: str) -> Ticket | None:
        """The last run of a failed or cancelled case waits again; None where there is no such run."""
        with writing(self._engine) as connection:
            study_of(connection, case_id)
            row, _ = latest_run(connection, case_id)
            case = connection.execute(sa.select(cases).where(cases.c.case_id == case_id)).one()
            if row is None or row.state not in ("failed", "cancelled"):
                return None
            connection.execute(sa.update(runs).where(runs.c.run_id == row.run_id).values(
                state="waiting", attempt=row.attempt + 1, error="", finished_at=None, priority=case.priority))
            if case.state == CaseState.REPORTED:
                update_case(connection, case_id, error="")
            else:
                update_case(connection, case_id, state=CaseState.WAITING.value, run_id=row.run_id, error="",
                            problems=[])
            return Ticket(row.run_id, row.attempt + 1, Priority(case.priority))

    def replannable(self, case_id: str) -> int:
        """Study id of a case; a cancelled study without a pipeline is being received again."""
        with writing(self._engine) as connection:
            study = study_of(connection, case_id)
            case = connection.execute(sa.select(cases).where(cases.c.case_id == case_id)).one()
            if not case.pipeline and case.state == CaseState.CANCELLED:
                update_case(connection, case_id, state=CaseState.RECEIVING.value)
            return int(study.id)

    def run_shown(self, case_id: str) -> str:
        with self._engine.connect() as connection:
            return connection.execute(sa.select(cases.c.run_id).where(cases.c.case_id == case_id)).scalar() or ""

    def newest_run(self, case_id: str) -> str:
        """"" where there is none; raises Unusable where there is no such case."""
        with self._engine.connect() as connection:
            study_of(connection, case_id)
            newest, _ = latest_run(connection, case_id)
            return newest.run_id if newest else ""

    def set_priority(self, case_id: str, priority: Priority) -> Ticket | None:
        """A waiting run takes its new place in the queue with the ticket that is returned."""
        with writing(self._engine) as connection:
            study_of(connection, case_id)
            update_case(connection, case_id, priority=priority.value, priority_fixed=True)
            return hasten(connection, latest_run(connection, case_id)[0], priority.value)

    def mark_read(self, case_id: str, now: datetime) -> None:
        with writing(self._engine) as connection:
            study_of(connection, case_id)
            update_case(connection, case_id, read_at=now)

    def mark_unread(self, case_id: str) -> None:
        with writing(self._engine) as connection:
            study_of(connection, case_id)
            update_case(connection, case_id, read_at=None)

    # ------------------------------------------------------------ deliveries

    def revive_one(self, delivery_id: int, now: datetime) -> Sequence[DeliveryTicket]:
        """A final delivery is pending again, a pending one is tried now; Unusable when there is no such delivery."""
        with self._engine.connect() as connection:
            state = connection.execute(sa.select(deliveries.c.state).where(deliveries.c.id == delivery_id)).scalar()
        if state is None:
            raise NotFound("there is no such delivery", element="delivery_id")
        if state == DeliveryState.PENDING:
            return self.hurry(delivery_id, now)
        tickets = self.revive(deliveries.c.id == delivery_id, now)
        if not tickets:
            raise Unusable("a newer result has replaced this one: it is not sent again", element="delivery_id")
        return tickets

    def revive_dead(self, destination: str, now: datetime) -> Sequence[DeliveryTicket]:
        """Dead ones are pending again, and those that wait for their next attempt are tried now."""
        wanted: Any = deliveries.c.destination == destination if destination else sa.true()
        hurried = self.hurry_all(wanted & (deliveries.c.next_attempt_at > now), now)
        return [*self.revive(wanted & (deliveries.c.state == DeliveryState.DEAD.value), now), *hurried]

    def revive_run(self, run_id: str, now: datetime) -> Sequence[DeliveryTicket]:
        return self.revive(deliveries.c.run_id == run_id, now)

    # ------------------------------------------------------------ housekeeping

    def beat(self, executor_id: str, now: datetime) -> None:
        with writing(self._engine) as connection:
            statement = upsert(self._engine, executors).values(executor_id=executor_id, heartbeat_at=now)
            connection.execute(statement.on_conflict_do_update(index_elements=["executor_id"],
                                                               set_={"heartbeat_at": now}))

    def silent_executors(self, own: str, now: datetime, after: timedelta) -> Sequence[str]:
        """Executors not heard for `after`; forgotten once they have been silent for a day."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(executors).where(executors.c.heartbeat_at < now - timedelta(days=1)))
            return list(connection.execute(sa.select(executors.c.executor_id).where(
                executors.c.executor_id != own, executors.c.heartbeat_at < now - after)).scalars())

    def raise_waiting(self, now: datetime, limit: int) -> int:
        """See adapters.database.cases.raise_waiting."""
        with writing(self._engine) as connection:
            return raise_waiting(connection, now, limit)

    def senders_last_heard(self) -> Sequence[tuple[str, datetime]]:
        with self._engine.connect() as connection:
            return [(row.name, row.last_heard_at) for row in connection.execute(sa.select(senders))]

    def retirable(self, before: datetime, limit: int) -> Sequence[int]:
        """Studies, oldest first, whose files may go: all reported (or taken by no rule), everything delivered."""
        unsafe = sa.select(cases.c.case_id).where(cases.c.study_id == studies.c.id, sa.or_(
            cases.c.state.not_in(("reported", "unsupported", "cancelled")), cases.c.late,
            sa.select(deliveries.c.id).where(deliveries.c.case_id == cases.c.case_id,
                                             deliveries.c.state != DeliveryState.DELIVERED.value).exists())).exists()
        kept = sa.or_(studies.c.files_deleted_at.is_(None), sa.select(instances.c.id).where(
            instances.c.study_id == studies.c.id).exists())
        query = sa.select(studies.c.id).where(
            studies.c.last_received_at < before, kept, studies.c.receiving.is_(False), studies.c.replan.is_(False),
            ~unsafe).order_by(studies.c.last_received_at).limit(limit)
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def retire(self, study_id: int, now: datetime) -> Sequence[str]:
        """Marks the study's files as deleted; returns their paths, to be deleted and then forgotten.

        None where objects have come meanwhile.
        """
        with writing(self._engine) as connection:
            marked = connection.execute(sa.update(studies).where(
                studies.c.id == study_id, studies.c.receiving.is_(False)).values(files_deleted_at=now))
            return list(connection.execute(sa.select(instances.c.path).where(
                instances.c.study_id == study_id)).scalars()) if marked.rowcount else []

    def pictures(self, study_id: int) -> Sequence[str]:
        """Paths of the study's large documents (pictures, objects made here): delivered, and not needed to show it."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(documents.c.path).where(*_large(study_id))).scalars())

    def forget_messages(self, before: datetime) -> int:
        """Delete inbound messages that were applied and received before that time; returns how many."""
        with writing(self._engine) as connection:
            return int(connection.execute(sa.delete(messages).where(
                messages.c.received_at < before, messages.c.pending.is_(False))).rowcount)

    def forget_evidence(self, before: datetime) -> int:
        """Delete what was said of studies before that time, unless they wait for it; returns how many."""
        with writing(self._engine) as connection:
            return forget_evidence(connection, before)

    def forget(self, study_id: int) -> None:
        """The files are gone: no reading counts on the study's objects any more, and they may come again."""
        with writing(self._engine) as connection:
            connection.execute(sa.update(documents).where(*_large(study_id)).values(path=""))
            gone = sa.select(studies.c.id).where(studies.c.id == study_id, studies.c.files_deleted_at.is_not(None))
            connection.execute(sa.delete(instances).where(instances.c.study_id.in_(gone)))


def _large(study_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Of a study whose files were marked as deleted; what was made since then stays."""
    of_study = sa.select(cases.c.case_id).join(studies, studies.c.id == cases.c.study_id).where(
        cases.c.study_id == study_id, documents.c.created_at <= studies.c.files_deleted_at)
    kinds = (Kind.SC.value, Kind.SEG.value, Kind.SOURCE.value, Kind.EVIDENCE.value)
    return documents.c.case_id.in_(of_study), documents.c.kind.in_(kinds), documents.c.path != ""
