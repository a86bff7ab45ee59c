"""Rows of cases as the values that lists and pages show. A list of a hundred is made on every look at the worklist,
so what is read is read by place, and only what is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from adapters.database.cases import standing
from adapters.database.connection import TRIAGE
from adapters.database.tables import cases, deliveries, studies
from gateway.case import Completeness
from gateway.delivery import DeliveryState, Kind
from gateway.ports import CaseView, DeliveryView
from gateway.settings import TriageSettings
from gateway.study import Priority
from gateway.triage import explain

SORT = (cases.c.band, cases.c.weight, cases.c.due_at, cases.c.case_id)
"""The worklist's order (gateway.triage.Place), and what makes it total."""
_OF_CASE = ("case_id", "study_id", "pipeline", "state", "run_id", "completeness", "verdict", "priority", "modality",
            "risk", "findings", "problems", "summary", "error", "demonstration", "received_at", "reported_at",
            "read_at", "late", "band", "weight", "due_at")
LINE: tuple[Any, ...] = (
    *(cases.c[name] for name in _OF_CASE), studies.c.study_instance_uid, studies.c.accession_number,
    studies.c.patient_id, studies.c.patient_issuer, studies.c.patient_name, studies.c.patient_birth_date,
    studies.c.patient_sex, studies.c.description, studies.c.conflict, studies.c.order_conflict,
    studies.c.completeness.label("study_completeness"), studies.c.missing)
_NAMES = tuple(column.name for column in LINE)
_DELIVERY = (deliveries.c.run_id, deliveries.c.id, deliveries.c.case_id, deliveries.c.destination, deliveries.c.kind,
             deliveries.c.state, deliveries.c.attempts, deliveries.c.last_error, deliveries.c.next_attempt_at,
             deliveries.c.delivered_at)
_KINDS = {kind.value: kind for kind in Kind}
_DELIVERY_STATES = {state.value: state for state in DeliveryState}


def case_views(connection: sa.Connection, rows: Sequence[Any], *, whole: bool = False) -> list[CaseView]:
    """Of rows of `LINE`. `whole`: with what the receivers answered; a list is spared it."""
    lines = [dict(zip(_NAMES, row, strict=True)) for row in rows]
    sent = _deliveries(connection, [line["run_id"] for line in lines if line["run_id"]], whole)
    siblings = _siblings(connection, [line["study_id"] for line in lines])
    policy: TriageSettings = connection.get_execution_options()[TRIAGE]
    now = datetime.now(UTC)
    return [_case_view(line, tuple(sent.get(line["run_id"], ())), tuple(siblings[line["study_id"]]), policy, now)
            for line in lines]


def delivery_view(row: Any) -> DeliveryView:
    """Of a whole row of the table."""
    return _delivery_view((row.id, row.case_id, row.destination, row.kind, row.state, row.attempts, row.last_error,
                           row.next_attempt_at, row.delivered_at, row.receipt))


def _deliveries(connection: sa.Connection, run_ids: Sequence[str], whole: bool) -> dict[str, list[DeliveryView]]:
    columns = (*_DELIVERY, deliveries.c.receipt) if whole else _DELIVERY
    found: dict[str, list[DeliveryView]] = {}
    for run_id, *row in connection.execute(sa.select(*columns).where(deliveries.c.run_id.in_(run_ids)).order_by(
            deliveries.c.id)):
        found.setdefault(run_id, []).append(_delivery_view(row))
    return found


def _delivery_view(row: Iterable[Any]) -> DeliveryView:
    delivery_id, case_id, destination, kind, state, *rest = row
    return DeliveryView(delivery_id, case_id, destination, _KINDS[kind], _DELIVERY_STATES[state], *rest)


def _siblings(connection: sa.Connection, study_ids: Sequence[int]) -> dict[int, list[str]]:
    """The cases of each study, the most urgent first."""
    found: dict[int, list[str]] = {}
    for study_id, case_id in connection.execute(sa.select(cases.c.study_id, cases.c.case_id).where(
            cases.c.study_id.in_(study_ids)).order_by(*SORT)):
        found.setdefault(study_id, []).append(case_id)
    return found


def _case_view(line: Mapping[str, Any], sent: tuple[DeliveryView, ...], siblings: tuple[str, ...],
               policy: TriageSettings, now: datetime) -> CaseView:
    case = standing(line, conflict=line["conflict"])
    return CaseView(
        case_id=line["case_id"], run_id=line["run_id"], study_instance_uid=line["study_instance_uid"],
        accession_number=line["accession_number"], patient_id=line["patient_id"], patient_name=line["patient_name"],
        modality=line["modality"], pipeline=line["pipeline"], state=line["state"],
        completeness=line["completeness"] or line["study_completeness"] or Completeness.PARTIAL.value,
        read_at=line["read_at"], verdict=line["verdict"] or None, risk=line["risk"],
        priority=Priority(line["priority"]), received_at=line["received_at"], reported_at=line["reported_at"],
        demonstration=line["demonstration"], findings=tuple(line["findings"]), deliveries=sent, cases=siblings,
        patient_birth_date=line["patient_birth_date"], patient_sex=line["patient_sex"],
        patient_issuer=line["patient_issuer"], study_description=line["description"], problems=_problems(line),
        summary=line["summary"], error=line["error"], conflict=line["conflict"], missing=tuple(line["missing"]),
        due_at=line["due_at"], band=line["band"],
        place_reasons=tuple({"code": r.code, "values": r.values} for r in explain(case, now, policy)))


def _problems(line: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    """The result's own, and what has become known of the study beside it."""
    problems = tuple(line["problems"])
    if line["order_conflict"]:
        problems += ({"code": "order-conflict", "text": line["order_conflict"]},)
    if line["late"]:
        text = line["error"] or "objects came after this result: it is to be read again"
        problems += ({"code": "late", "text": text},)
    if line["conflict"]:
        problems += ({"code": "object-conflict",
                      "text": "an object was received again under the same UID with other content"},)
    return problems
