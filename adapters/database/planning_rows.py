"""Studies that are to be planned, and their plans, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapters.database.cases import create_case, update_case
from adapters.database.connection import writing
from adapters.database.evidence import AS_HEARD, HeldInstances, evidence_of_receiving, heard_of
from adapters.database.orders import link_order, order_by_id
from adapters.database.studies import count_instances, load_study, newest_instance, order_to_json
from adapters.database.tables import cases, runs, studies
from gateway.assembly import Handover, Heard
from gateway.case import CaseState, Completeness
from gateway.completion import missing_from_json, missing_to_json
from gateway.identity import repeated_identity
from gateway.repository import Plan, Plannable, PlannedRun, Ticket
from gateway.study import Priority

OPEN = ("waiting", "analysing")
_UNPLANNED = (CaseState.RECEIVING, CaseState.UNSUPPORTED, CaseState.FAILED)


class PlanningRows:
    """The part of the repository that hands studies over."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine, self._held = engine, HeldInstances()

    # ------------------------------------------------------------ what is to be planned

    def receiving(self) -> Sequence[tuple[int, Heard]]:
        """The revision is read first: whatever is newer than it changes it, and the plan is dropped."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(*AS_HEARD).where(
                studies.c.receiving).order_by(studies.c.last_received_at)).all()
            said = evidence_of_receiving(connection) if rows else {}
            self._held.keep_only([row.id for row in rows])
            return [(row.id, heard_of(connection, row, said.get(row.id, ()), self._held)) for row in rows]

    def outdated(self) -> Sequence[int]:
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(studies.c.id).where(
                studies.c.replan, studies.c.receiving.is_(False), studies.c.completeness != "").order_by(
                studies.c.id)).scalars())

    def plannable(self, study_id: int) -> Plannable | None:
        with writing(self._engine) as connection:
            if connection.execute(sa.select(studies.c.id).where(studies.c.id == study_id)).first() is None:
                return None
            link_order(connection, study_id)
            row = connection.execute(sa.select(studies).where(studies.c.id == study_id)).one()
            newest, there = newest_instance(connection, study_id), count_instances(connection, study_id)
            if not newest or row.prior:
                connection.execute(sa.update(studies).where(studies.c.id == study_id).values(
                    receiving=False, replan=False))
                return None
        with self._engine.connect() as connection:
            study = load_study(connection, study_id, order_by_id(connection, row.order_id), newest)
        return Plannable(study_id, study, row.sender.partition(":")[2], newest, row.last_received_at,
                         row.order_conflict, row.revision, there < row.instance_count, _recorded(row))

    # ------------------------------------------------------------ what becomes of it

    def unplannable(self, study_id: int, error: str) -> None:
        problems = [{"code": "not-planned", "text": error}]
        with writing(self._engine) as connection:
            connection.execute(sa.update(studies).where(studies.c.id == study_id).values(receiving=False, replan=False))
            for row in connection.execute(sa.select(cases.c.case_id, cases.c.state).where(
                    cases.c.study_id == study_id)).all():
                if row.state == CaseState.REPORTED:
                    update_case(connection, row.case_id, late=True, error=error, read_at=None)
                elif row.state in _UNPLANNED:
                    update_case(connection, row.case_id, state=CaseState.FAILED.value, error=error, problems=problems)

    def record_plan(self, plan: Plan, now: datetime) -> Sequence[Ticket]:
        with writing(self._engine) as connection:
            if not _hand_over(connection, plan, now):
                return []
            if not plan.runs:
                _unsupported(connection, plan)
            tickets = [_record_run(connection, plan, run, now) for run in plan.runs]
            _mark_late(connection, plan.of.study_id)
        return [ticket for ticket in tickets if ticket is not None]


def _hand_over(connection: sa.Connection, plan: Plan, now: datetime) -> bool:
    """False when something came since the study was looked at. A partial one is read all the same, and goes on."""
    study = sa.update(studies).where(studies.c.id == plan.of.study_id).values(
        completeness=plan.completeness.value, evidence=list(plan.handover.evidence),
        missing=missing_to_json(plan.handover.missing))
    unchanged = connection.execute(study.where(studies.c.revision == plan.of.revision).values(
        receiving=False, replan=False))
    if unchanged.rowcount:
        return True
    if plan.completeness is Completeness.PARTIAL:
        connection.execute(study.values(burst_started_at=now))
        return True
    return False


def _recorded(row: Any) -> Handover:
    return Handover(Completeness(row.completeness or Completeness.ASSUMED), tuple(row.evidence),
                    missing_from_json(row.missing))


def _unsupported(connection: sa.Connection, plan: Plan) -> None:
    study = plan.of.study
    found = connection.execute(sa.select(cases.c.case_id, cases.c.state, cases.c.pipeline).where(
        cases.c.study_id == plan.of.study_id)).all()
    if any(case.pipeline or case.state not in _UNPLANNED for case in found):
        return
    case_id = found[0].case_id if found else create_case(
        connection, plan.of.study_id, study.facility, study.study_instance_uid, "",
        received_at=plan.of.last_received_at, state=CaseState.RECEIVING)
    reasons = [{"code": "no-rule", "text": text} for text in plan.reasons]
    update_case(connection, case_id, state=CaseState.UNSUPPORTED.value, completeness=plan.completeness.value,
                error="", problems=reasons or [{"code": "no-rule", "text": "no routing rule is configured"}])


def _record_run(connection: sa.Connection, plan: Plan, run: PlannedRun, now: datetime) -> Ticket | None:
    study = plan.of.study
    received_at = connection.execute(sa.select(studies.c.first_received_at).where(
        studies.c.id == plan.of.study_id)).scalar_one()
    case_id = create_case(connection, plan.of.study_id, study.facility, study.study_instance_uid, run.pipeline,
                          received_at=received_at, state=CaseState.WAITING, priority=run.priority,
                          route=run.route, priority_fixed=run.fixed_priority)
    latest, before = latest_run(connection, case_id)
    run_id = run.run_id
    if connection.execute(sa.select(runs.c.run_id).where(runs.c.run_id == run_id)).first() is not None:
        # What was read before is as it was once more: a reading of its own, unless it is the latest one.
        if latest.run_id in (run_id, repeated_identity(run_id, before)):
            return hasten(connection, latest, run.priority.value)
        run_id = repeated_identity(run_id, latest.run_id)
    connection.execute(sa.update(runs).where(runs.c.case_id == case_id, runs.c.state.in_(OPEN)).values(
        state="superseded"))
    connection.execute(sa.insert(runs).values(
        run_id=run_id, case_id=case_id, number=latest.number + 1 if latest else 1, state="waiting", created_at=now,
        predecessor_run_id=_predecessor(connection, case_id), completeness=plan.completeness.value,
        missing=missing_to_json(plan.handover.missing), evidence=list(plan.handover.evidence),
        last_instance_id=plan.of.last_instance_id, priority=run.priority.value,
        order_body=order_to_json(study.order) if study.order else None, destinations=list(run.destinations)))
    state = connection.execute(sa.select(cases.c.state).where(cases.c.case_id == case_id)).scalar_one()
    if state != CaseState.REPORTED:
        # A reported case keeps its verdict until the new reading is there, and says that it is late.
        update_case(connection, case_id, state=CaseState.WAITING.value, run_id=run_id, route=run.route,
                    completeness=plan.completeness.value, error="", problems=[])
    return Ticket(run_id, 0, run.priority)


def hasten(connection: sa.Connection, run: Any, priority: str) -> Ticket | None:
    """A waiting run whose priority changed is queued again in its new place; its former place in the queue is void."""
    if run is None or run.state != "waiting" or run.priority == priority:
        return None
    connection.execute(sa.update(runs).where(runs.c.run_id == run.run_id).values(
        priority=priority, attempt=run.attempt + 1))
    return Ticket(run.run_id, run.attempt + 1, Priority(priority))


def latest_run(connection: sa.Connection, case_id: str) -> tuple[Any, str]:
    """The newest run of a case (None without any) and the id of the one before it."""
    found = connection.execute(sa.select(runs).where(runs.c.case_id == case_id).order_by(
        runs.c.number.desc()).limit(2)).all()
    return (found[0] if found else None), (found[1].run_id if len(found) > 1 else "")


def _predecessor(connection: sa.Connection, case_id: str) -> str:
    """The newest run that was reported: its SR is the one that a PACS holds."""
    return connection.execute(sa.select(runs.c.run_id).where(
        runs.c.case_id == case_id, runs.c.state == "reported").order_by(
        runs.c.number.desc()).limit(1)).scalar() or ""


def _mark_late(connection: sa.Connection, study_id: int) -> None:
    """A reported case is late while a newer reading than the one shown is due, or failed."""
    newest = sa.select(runs.c.run_id).where(runs.c.case_id == cases.c.case_id).order_by(
        runs.c.number.desc()).limit(1).scalar_subquery()
    for row in connection.execute(sa.select(cases.c.case_id, cases.c.late, (newest != cases.c.run_id).label(
            "due")).where(cases.c.study_id == study_id, cases.c.state == CaseState.REPORTED.value)).all():
        if bool(row.late) != bool(row.due):
            update_case(connection, row.case_id, late=bool(row.due))
