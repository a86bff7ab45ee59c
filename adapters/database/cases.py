"""Rows of cases: their sort keys and the one case of a study that leads it in the worklist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from adapters.database.connection import TRIAGE
from adapters.database.tables import case_findings, cases, placeholders, studies
from gateway.case import TRANSITIONS, CaseState, Completeness
from gateway.errors import Unusable
from gateway.identity import case_identity
from gateway.result import Verdict
from gateway.settings import TriageSettings
from gateway.study import Priority
from gateway.triage import Place, Standing, is_narrow, place


def create_case(connection: sa.Connection, study_id: int, facility: str, study_uid: str, pipeline: str, *,
                received_at: datetime, state: CaseState, priority: Priority = Priority.ROUTINE,
                **columns: Any) -> str:
    """A new case, or the one that is there; returns its id."""
    case_id = case_identity(facility, study_uid, pipeline)
    if connection.execute(sa.select(cases.c.case_id).where(cases.c.case_id == case_id)).first() is None:
        where = _place(connection, Standing(state, None, None, priority, received_at))
        modality = connection.execute(sa.select(studies.c.modality).where(studies.c.id == study_id)).scalar_one()
        connection.execute(sa.insert(cases).values(
            case_id=case_id, study_id=study_id, pipeline=pipeline, state=state.value, priority=priority.value,
            modality=modality,
            received_at=received_at, lead=False, **_key(where), **{"findings": [], "problems": [], **columns}))
        refresh_lead(connection, study_id)
    return case_id


def update_case(connection: sa.Connection, case_id: str, **changes: Any) -> None:
    """Change columns of a case and put it in its new place. Raises Unusable on a state that cannot follow."""
    row = connection.execute(sa.select(cases).where(cases.c.case_id == case_id).with_for_update()).one()
    before, after = CaseState(row.state), CaseState(changes.get("state", row.state))
    if after is not before and after not in TRANSITIONS[before]:
        raise Unusable(f"a case that is {before} cannot become {after}")
    conflict = connection.execute(sa.select(studies.c.conflict).where(studies.c.id == row.study_id)).scalar_one()
    where = _place(connection, standing({**row._mapping, **changes}, conflict=conflict))
    connection.execute(sa.update(cases).where(cases.c.case_id == case_id).values(**changes, **_key(where)))
    if "findings" in changes:
        _note_findings(connection, case_id, changes["findings"])
    refresh_lead(connection, row.study_id)


def raise_waiting(connection: sa.Connection, now: datetime, limit: int) -> int:
    """Put cases in their new place that have waited long enough to rise; returns how many there were."""
    due = connection.execute(sa.select(cases.c.case_id).where(cases.c.rises_at <= now).limit(limit)).scalars().all()
    for case_id in due:
        update_case(connection, case_id)
    return len(due)


def standing(row: Mapping[str, Any], *, conflict: bool) -> Standing:
    """What triage knows of a case row. `conflict`: its study's."""
    return Standing(
        CaseState(row["state"]), Verdict(row["verdict"]) if row["verdict"] else None, row["risk"],
        Priority(row["priority"]), row["received_at"], read=row["read_at"] is not None, late=row["late"],
        failed=bool(row["error"]), completeness=Completeness(row["completeness"]) if row["completeness"] else None,
        conflict=conflict, demonstration=row["demonstration"], narrow=is_narrow(row["findings"]))


def _place(connection: sa.Connection, case: Standing) -> Place:
    policy: TriageSettings = connection.get_execution_options()[TRIAGE]
    return place(case, datetime.now(UTC), policy)


def _key(where: Place) -> dict[str, Any]:
    return {"band": where.band, "weight": where.weight, "due_at": where.due_at, "rises_at": where.rises_at}


def _note_findings(connection: sa.Connection, case_id: str, findings: Sequence[Mapping[str, Any]]) -> None:
    """What is present can be asked for by its label."""
    connection.execute(sa.delete(case_findings).where(case_findings.c.case_id == case_id))
    present = sorted({f["code"] for f in findings if f["present"]})
    if present:
        connection.execute(sa.insert(case_findings), [{"code": code, "case_id": case_id} for code in present])


def refresh_lead(connection: sa.Connection, study_id: int) -> None:
    """The most urgent case of a study leads it; the placeholder goes once a pipeline's case exists."""
    of_study = cases.c.study_id == study_id
    if connection.execute(sa.select(sa.func.count()).where(of_study, cases.c.pipeline != "")).scalar_one():
        _give_way(connection, study_id)
    first = connection.execute(sa.select(cases.c.case_id).where(of_study).order_by(
        cases.c.band, cases.c.weight, cases.c.due_at, cases.c.case_id).limit(1)).scalar()
    connection.execute(sa.update(cases).where(of_study).values(lead=cases.c.case_id == first))


def _give_way(connection: sa.Connection, study_id: int) -> None:
    placeholder = sa.and_(cases.c.study_id == study_id, cases.c.pipeline == "")
    case_id = connection.execute(sa.select(cases.c.case_id).where(placeholder)).scalar()
    if case_id is None:
        return
    connection.execute(sa.delete(cases).where(placeholder))
    if connection.execute(sa.select(placeholders).where(placeholders.c.case_id == case_id)).first() is None:
        connection.execute(sa.insert(placeholders).values(case_id=case_id, study_id=study_id))


def study_of(connection: sa.Connection, case_id: str) -> Any:
    """The study row of a case; Unusable when there is no such case."""
    row = connection.execute(sa.select(studies).join(cases, cases.c.study_id == studies.c.id).where(
        cases.c.case_id == case_id)).first()
    if row is None:
        raise Unusable("there is no such case", element="case_id")
    return row
