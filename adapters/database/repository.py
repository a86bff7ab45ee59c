"""Implements gateway.repository.Repository: here the runs; planning_rows has the studies, delivery_rows the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapters.database.cases import update_case
from adapters.database.connection import writing
from adapters.database.delivery_rows import DeliveryRows
from adapters.database.planning_rows import OPEN, PlanningRows
from adapters.database.studies import load_study, order_from_json
from adapters.database.tables import cases, runs, studies
from gateway.case import CaseState, Completeness, Run
from gateway.completion import missing_from_json
from gateway.identity import document_uid
from gateway.repository import DeliveryTicket, Filed, Job, Ticket
from gateway.result import Result
from gateway.result_json import to_json
from gateway.study import Priority


class DatabaseRepository(PlanningRows, DeliveryRows):
    """Each method is one transaction on the engine it was given."""

    def __init__(self, engine: sa.Engine, read_document: Callable[[str], bytes]) -> None:
        PlanningRows.__init__(self, engine)
        DeliveryRows.__init__(self, engine, read_document)

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
                   Completeness(row.completeness), Priority(row.priority), missing_from_json(row.missing))

    def begin(self, run_id: str, attempt: int) -> bool:
        with writing(self._engine) as connection:
            row = self._run(connection, run_id)
            if row is None or row.state not in OPEN or row.attempt != attempt:
                return False
            connection.execute(sa.update(runs).where(runs.c.run_id == run_id).values(state="analysing"))
            self._show(connection, row, state=CaseState.ANALYSING.value)
            return True

    def waiting(self, run_id: str) -> Ticket | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(runs).where(runs.c.run_id == run_id)).first()
        return Ticket(run_id, row.attempt, Priority(row.priority)) if row and row.state == "waiting" else None

    def finish(self, run_id: str, result: Result, filed: Sequence[Filed], now: datetime) -> Sequence[DeliveryTicket]:
        with writing(self._engine) as connection:
            row = self._run(connection, run_id)
            if row is None or row.state not in OPEN:
                return []
            form = to_json(result)
            late = connection.execute(sa.select(studies.c.receiving).join(
                cases, cases.c.study_id == studies.c.id).where(cases.c.case_id == row.case_id)).scalar_one()
            connection.execute(sa.update(runs).where(runs.c.run_id == run_id).values(
                state="reported", finished_at=now, result=form, error=""))
            update_case(connection, row.case_id, state=CaseState.REPORTED.value, run_id=run_id, reported_at=now,
                        verdict=result.verdict.value, risk=result.risk, summary=result.summary, error="",
                        completeness=row.completeness, demonstration=result.demonstration, problems=form["problems"],
                        read_at=None, late=late, findings=[_shown(f) for f in form["findings"]])
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
            if not self._show(connection, row, state=CaseState.FAILED.value, error=error,
                              problems=[{"code": "failed", "text": error}]):
                update_case(connection, row.case_id, late=True, error=error, read_at=None)

    def open_runs(self) -> Sequence[Ticket]:
        """Runs that are to be read, for the sweep."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(runs.c.run_id, runs.c.attempt, runs.c.priority).where(
                runs.c.state.in_(OPEN)).order_by(runs.c.created_at)).all()
        return [Ticket(row.run_id, row.attempt, Priority(row.priority)) for row in rows]

    @staticmethod
    def _run(connection: sa.Connection, run_id: str) -> Any:
        return connection.execute(sa.select(runs).where(runs.c.run_id == run_id).with_for_update()).first()

    @staticmethod
    def _show(connection: sa.Connection, run: Any, **changes: Any) -> bool:
        """Change the case, unless (False) an earlier reading of it is shown and stays valid meanwhile."""
        shown = connection.execute(sa.select(cases.c.run_id).where(cases.c.case_id == run.case_id)).scalar_one()
        if shown == run.run_id:
            update_case(connection, run.case_id, **changes)
        return bool(shown == run.run_id)


def _shown(finding: dict[str, Any]) -> dict[str, Any]:
    return {"code": finding["label"], "display": finding["display"], "probability": finding["probability"],
            "threshold": finding["threshold"], "present": finding["present"]}
