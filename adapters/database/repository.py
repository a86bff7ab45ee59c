"""Implements gateway.repository.Repository: studies, cases and runs. Deliveries are in delivery_rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapters.database.cases import create_case, update_case
from adapters.database.connection import writing
from adapters.database.delivery_rows import DeliveryRows
from adapters.database.orders import link_order, order_by_id
from adapters.database.studies import load_study, newest_instance, order_from_json, order_to_json
from adapters.database.tables import cases, documents, runs, studies
from gateway.assembly import Heard
from gateway.case import CaseState, Completeness, Run
from gateway.identity import document_uid
from gateway.repository import DeliveryTicket, Filed, Job, Plan, Plannable, PlannedRun, Ticket
from gateway.result import Result
from gateway.result_json import to_json
from gateway.study import Priority

OPEN = ("waiting", "analysing")


class DatabaseRepository(DeliveryRows):
    """Each method is one transaction on the engine it was given."""

    def __init__(self, engine: sa.Engine, read_document: Callable[[str], bytes]) -> None:
        super().__init__(engine, read_document)

    # ------------------------------------------------------------ studies

    def receiving(self) -> Sequence[tuple[int, Heard]]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(
                studies.c.id, studies.c.burst_started_at, studies.c.last_received_at).where(
                studies.c.receiving).order_by(studies.c.last_received_at)).all()
        return [(row.id, Heard(row.burst_started_at, row.last_received_at)) for row in rows]

    def plannable(self, study_id: int) -> Plannable | None:
        with writing(self._engine) as connection:
            if connection.execute(sa.select(studies.c.id).where(studies.c.id == study_id)).first() is None:
                return None
            link_order(connection, study_id)
            row = connection.execute(sa.select(studies).where(studies.c.id == study_id)).one()
            newest = newest_instance(connection, study_id)
        if not newest:
            return None
        with self._engine.connect() as connection:
            study = load_study(connection, study_id, order_by_id(connection, row.order_id), newest)
        return Plannable(study_id, study, row.sender.partition(":")[2], newest, row.last_received_at,
                         row.order_conflict)

    def settled(self, study_id: int) -> Completeness | None:
        """How complete a study was when it was handed over; None while objects still come."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(studies.c.receiving, studies.c.completeness).where(
                studies.c.id == study_id)).first()
        return Completeness(row.completeness) if row and not row.receiving and row.completeness else None

    def record_plan(self, plan: Plan, now: datetime) -> Sequence[Ticket]:
        with writing(self._engine) as connection:
            unchanged = connection.execute(sa.update(studies).where(
                studies.c.id == plan.of.study_id, studies.c.last_received_at == plan.of.last_received_at).values(
                receiving=False, completeness=plan.completeness.value))
            if not unchanged.rowcount:
                return []
            if not plan.runs:
                self._unsupported(connection, plan)
            tickets = [self._record_run(connection, plan, run, now) for run in plan.runs]
        return [ticket for ticket in tickets if ticket is not None]

    def _unsupported(self, connection: sa.Connection, plan: Plan) -> None:
        study = plan.of.study
        found = connection.execute(sa.select(cases.c.case_id, cases.c.state).where(
            cases.c.study_id == plan.of.study_id)).all()
        case_id = found[0].case_id if found else create_case(
            connection, plan.of.study_id, study.facility, study.study_instance_uid, "",
            received_at=plan.of.last_received_at, state=CaseState.RECEIVING)
        if len(found) <= 1 and (not found or found[0].state in (CaseState.RECEIVING, CaseState.UNSUPPORTED)):
            reasons = [{"code": "no-rule", "text": text} for text in plan.reasons]
            update_case(connection, case_id, state=CaseState.UNSUPPORTED.value, completeness=plan.completeness.value,
                        problems=reasons or [{"code": "no-rule", "text": "no routing rule is configured"}])

    def _record_run(self, connection: sa.Connection, plan: Plan, run: PlannedRun, now: datetime) -> Ticket | None:
        study = plan.of.study
        received_at = connection.execute(sa.select(studies.c.first_received_at).where(
            studies.c.id == plan.of.study_id)).scalar_one()
        case_id = create_case(connection, plan.of.study_id, study.facility, study.study_instance_uid, run.pipeline,
                              received_at=received_at, state=CaseState.WAITING, priority=run.priority,
                              route=run.route, priority_fixed=run.fixed_priority)
        if connection.execute(sa.select(runs.c.run_id).where(runs.c.run_id == run.run_id)).first() is not None:
            return None
        self._supersede_open(connection, case_id)
        shown = connection.execute(sa.select(cases.c.state, cases.c.run_id).where(cases.c.case_id == case_id)).one()
        reported = shown.state == CaseState.REPORTED
        number = connection.execute(sa.select(sa.func.count()).where(runs.c.case_id == case_id)).scalar_one() + 1
        priority = run.priority
        connection.execute(sa.insert(runs).values(
            run_id=run.run_id, case_id=case_id, number=number, state="waiting", created_at=now,
            predecessor_run_id=self._predecessor(connection, case_id), completeness=plan.completeness.value,
            last_instance_id=plan.of.last_instance_id, priority=priority.value,
            order_body=order_to_json(study.order) if study.order else None, destinations=list(run.destinations)))
        if not reported:
            # A reported case keeps its verdict and its place until the new reading is there: nobody sinks meanwhile.
            update_case(connection, case_id, state=CaseState.WAITING.value, run_id=run.run_id, route=run.route,
                        completeness=plan.completeness.value, error="")
        return Ticket(run.run_id, 0, priority)

    @staticmethod
    def _supersede_open(connection: sa.Connection, case_id: str) -> None:
        connection.execute(sa.update(runs).where(runs.c.case_id == case_id, runs.c.state.in_(OPEN)).values(
            state="superseded"))

    @staticmethod
    def _predecessor(connection: sa.Connection, case_id: str) -> str:
        """The newest run that was reported: its SR is the one that a PACS holds."""
        return connection.execute(sa.select(runs.c.run_id).where(
            runs.c.case_id == case_id, runs.c.state == "reported").order_by(
            runs.c.number.desc()).limit(1)).scalar() or ""

    # ------------------------------------------------------------ runs

    def job(self, run_id: str) -> Job | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(runs, cases.c.pipeline, cases.c.study_id).join(
                cases, cases.c.case_id == runs.c.case_id).where(runs.c.run_id == run_id)).first()
            if row is None:
                return None
            study = load_study(connection, row.study_id, order_from_json(row.order_body), row.last_instance_id)
        predecessor = row.predecessor_run_id
        run = Run(row.run_id, row.case_id, row.number, row.created_at, predecessor,
                  document_uid(predecessor, "sr") if predecessor else "")
        return Job(run, row.state, row.attempt, row.pipeline, study, tuple(row.destinations),
                   Completeness(row.completeness), Priority(row.priority))

    def begin(self, run_id: str) -> bool:
        with writing(self._engine) as connection:
            row = self._run(connection, run_id)
            if row is None or row.state not in OPEN:
                return False
            connection.execute(sa.update(runs).where(runs.c.run_id == run_id).values(state="analysing"))
            self._show(connection, row, state=CaseState.ANALYSING.value)
            return True

    def finish(self, run_id: str, result: Result, filed: Sequence[Filed], now: datetime) -> Sequence[DeliveryTicket]:
        with writing(self._engine) as connection:
            row = self._run(connection, run_id)
            if row is None or row.state not in OPEN:
                return []
            form = to_json(result)
            connection.execute(sa.update(runs).where(runs.c.run_id == run_id).values(
                state="reported", finished_at=now, result=form, error=""))
            update_case(connection, row.case_id, state=CaseState.REPORTED.value, run_id=run_id, reported_at=now,
                        verdict=result.verdict.value, risk=result.risk, summary=result.summary, error="",
                        completeness=row.completeness, demonstration=result.demonstration, problems=form["problems"],
                        read_at=None, findings=[_shown(f) for f in form["findings"]])
            self.add_documents(connection, row, filed, now)
            return self.open_tickets(connection, run_id)

    def postpone(self, run_id: str, error: str) -> Ticket | None:
        with writing(self._engine) as connection:
            row = self._run(connection, run_id)
            if row is None or row.state not in OPEN:
                return None
            connection.execute(sa.update(runs).where(runs.c.run_id == run_id).values(
                state="waiting", attempt=row.attempt + 1, error=error))
            self._show(connection, row, state=CaseState.WAITING.value, error=error)
            return Ticket(run_id, row.attempt + 1, Priority(row.priority))

    def fail(self, run_id: str, error: str, now: datetime) -> None:
        with writing(self._engine) as connection:
            row = self._run(connection, run_id)
            if row is None or row.state not in OPEN:
                return
            connection.execute(sa.update(runs).where(runs.c.run_id == run_id).values(
                state="failed", finished_at=now, error=error))
            self._show(connection, row, state=CaseState.FAILED.value, error=error,
                       problems=[{"code": "failed", "text": error}])

    def open_runs(self) -> Sequence[Ticket]:
        """Runs that are to be read, for the sweep."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(runs.c.run_id, runs.c.attempt, runs.c.priority).where(
                runs.c.state.in_(OPEN)).order_by(runs.c.created_at)).all()
        return [Ticket(row.run_id, row.attempt, Priority(row.priority)) for row in rows]

    @staticmethod
    def _run(connection: sa.Connection, run_id: str) -> Any:
        return connection.execute(sa.select(runs).where(runs.c.run_id == run_id)).first()

    @staticmethod
    def _show(connection: sa.Connection, run: Any, **changes: Any) -> None:
        """Change the case, unless an earlier reading of it is shown and stays valid meanwhile."""
        shown = connection.execute(sa.select(cases.c.run_id).where(cases.c.case_id == run.case_id)).scalar_one()
        if shown == run.run_id:
            update_case(connection, run.case_id, **changes)

    def document_paths(self, case_id: str) -> Sequence[str]:
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(documents.c.path).where(documents.c.case_id == case_id)).scalars())


def _shown(finding: dict[str, Any]) -> dict[str, Any]:
    return {"code": finding["label"], "display": finding["display"], "probability": finding["probability"],
            "threshold": finding["threshold"], "present": finding["present"]}
