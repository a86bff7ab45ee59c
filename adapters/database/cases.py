"""Rows of cases: their sort keys and the one case of a study that leads it in the worklist."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapters.database.tables import cases, studies
from gateway.case import TRANSITIONS, CaseState
from gateway.errors import Unusable
from gateway.identity import case_identity
from gateway.result import Verdict
from gateway.study import Priority
from gateway.triage import place


def create_case(connection: sa.Connection, study_id: int, facility: str, study_uid: str, pipeline: str, *,
                received_at: datetime, state: CaseState, priority: Priority = Priority.ROUTINE,
                **columns: Any) -> str:
    """A new case, or the one that is there; returns its id."""
    case_id = case_identity(facility, study_uid, pipeline)
    if connection.execute(sa.select(cases.c.case_id).where(cases.c.case_id == case_id)).first() is None:
        where = place(state, None, None, priority, received_at)
        connection.execute(sa.insert(cases).values(
            case_id=case_id, study_id=study_id, pipeline=pipeline, state=state.value, priority=priority.value,
            received_at=received_at, lead=False, band=where.band, weight=where.weight, due_at=where.due_at,
            **{"findings": [], "problems": [], **columns}))
        refresh_lead(connection, study_id)
    return case_id


def update_case(connection: sa.Connection, case_id: str, **changes: Any) -> None:
    """Change columns of a case and put it in its new place. Raises Unusable on a state that cannot follow."""
    row = connection.execute(sa.select(cases).where(cases.c.case_id == case_id).with_for_update()).one()
    before, after = CaseState(row.state), CaseState(changes.get("state", row.state))
    if after is not before and after not in TRANSITIONS[before]:
        raise Unusable(f"a case that is {before} cannot become {after}")
    now = {**row._mapping, **changes}
    where = place(after, Verdict(now["verdict"]) if now["verdict"] else None, now["risk"], Priority(now["priority"]),
                  now["received_at"], read=now["read_at"] is not None, late=now["late"], failed=bool(now["error"]))
    connection.execute(sa.update(cases).where(cases.c.case_id == case_id).values(
        **changes, band=where.band, weight=where.weight, due_at=where.due_at))
    refresh_lead(connection, row.study_id)


def refresh_lead(connection: sa.Connection, study_id: int) -> None:
    """The most urgent case of a study leads it; the placeholder goes once a pipeline's case exists."""
    of_study = cases.c.study_id == study_id
    if connection.execute(sa.select(sa.func.count()).where(of_study, cases.c.pipeline != "")).scalar_one():
        connection.execute(sa.delete(cases).where(of_study, cases.c.pipeline == ""))
    first = connection.execute(sa.select(cases.c.case_id).where(of_study).order_by(
        cases.c.band, cases.c.weight, cases.c.due_at, cases.c.case_id).limit(1)).scalar()
    connection.execute(sa.update(cases).where(of_study).values(lead=cases.c.case_id == first))


def study_of(connection: sa.Connection, case_id: str) -> Any:
    """The study row of a case; Unusable when there is no such case."""
    row = connection.execute(sa.select(studies).join(cases, cases.c.study_id == studies.c.id).where(
        cases.c.case_id == case_id)).first()
    if row is None:
        raise Unusable("there is no such case", element="case_id")
    return row
