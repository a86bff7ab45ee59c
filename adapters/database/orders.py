"""Orders and patients as rows, and the matching of orders with studies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from adapters.database.cases import update_case
from adapters.database.connection import upsert
from adapters.database.patients import put_patient
from adapters.database.studies import order_from_json, order_to_json
from adapters.database.tables import cases, orders, patients, studies
from gateway.matching import Canonical, StudyKey, match, same_patient
from gateway.orders import Event, FinalReport, MergePatients, PlaceOrder, UpdatePatient
from gateway.study import Order, Patient, Priority

_MAXIMUM_ALIASES = 20
# A union and no OR, which SQLite answers by going through every study of the facility.
_STUDIES_OF_ORDER = sa.union(*(
    sa.select(studies.c.id).where(studies.c.facility == sa.bindparam("facility"), column == sa.bindparam(column.name))
    for column in (studies.c.order_id, studies.c.study_instance_uid, studies.c.accession_number)))


def apply_event(connection: sa.Connection, event: Event, at: datetime) -> set[int]:
    """Apply one event; returns the ids of studies whose order changed."""
    match event:
        case PlaceOrder(order):
            _put_order(connection, order, at)
            return _relink(connection, order)
        case UpdatePatient(facility, patient):
            put_patient(connection, facility, patient)
        case MergePatients(facility, surviving, prior):
            put_patient(connection, facility, surviving)
            put_patient(connection, facility, prior, alias_issuer=surviving.issuer,
                         alias_patient_id=surviving.patient_id)
            return _relink_patient(connection, facility, surviving, prior)
        case FinalReport():
            _mark_read(connection, event, at)
    return set()


def _put_order(connection: sa.Connection, order: Order, at: datetime) -> None:
    connection.execute(_order_upsert(connection.dialect.name), {
        "order_id": order.order_id, "facility": order.facility, "accession_number": order.accession_number,
        "study_instance_uid": order.study_instance_uid, "patient_id": order.patient.patient_id,
        "body": order_to_json(order), "received_at": at})


@cache
def _order_upsert(dialect: str) -> Any:
    """Built once: thousands of orders come in a row, and making a statement takes longer than executing it."""
    statement = upsert(dialect, orders)
    told = ("facility", "accession_number", "study_instance_uid", "patient_id", "body", "received_at")
    return statement.on_conflict_do_update(index_elements=["order_id"],
                                           set_={name: statement.excluded[name] for name in told})


def _relink(connection: sa.Connection, order: Order) -> set[int]:
    found = _studies_of(connection, order.facility, order.order_id, order.study_instance_uid, order.accession_number)
    return _linked(connection, found)


def _studies_of(connection: sa.Connection, facility: str, order_id: str, study_instance_uid: str,
                accession_number: str) -> Sequence[int]:
    """Studies that one of these names; what is empty names none."""
    return connection.execute(_STUDIES_OF_ORDER, {
        "facility": facility, "order_id": order_id or None, "study_instance_uid": study_instance_uid or None,
        "accession_number": accession_number or None}).scalars().all()


def _linked(connection: sa.Connection, found: Iterable[int]) -> set[int]:
    """Those that an order concerns: they are to be planned anew, which is written down with the order itself."""
    touched = {study_id for study_id in found if link_order(connection, study_id)}
    if touched:
        connection.execute(sa.update(studies).where(studies.c.id.in_(touched)).values(
            revision=studies.c.revision + 1, replan=studies.c.completeness != ""))
    return touched


def _relink_patient(connection: sa.Connection, facility: str, *merged: Patient) -> set[int]:
    """After a merge an order and a study may agree that did not before."""
    found = connection.execute(sa.select(studies.c.id).where(
        studies.c.facility == facility, studies.c.patient_id.in_([p.patient_id for p in merged]),
        studies.c.order_id == "")).scalars().all()
    return _linked(connection, found)


def link_order(connection: sa.Connection, study_id: int) -> bool:
    """Match the study with the orders there are; True when there was or is something to match."""
    row = connection.execute(sa.select(studies).where(studies.c.id == study_id)).one()
    key = StudyKey(row.study_instance_uid, row.accession_number, row.accession_issuer,
                   Patient(row.patient_id, row.patient_issuer))
    candidates = _candidates(connection, row.facility, key)
    if not candidates and not row.order_id:
        return False
    found = match(key, candidates, _canonical(connection, row.facility))
    order_id = found.order.order_id if found.order else ""
    connection.execute(sa.update(studies).where(studies.c.id == study_id).values(
        order_id=order_id, order_conflict=found.conflict))
    if found.order:
        _set_priority(connection, study_id, found.order.priority)
    return True


def _mark_read(connection: sa.Connection, report: FinalReport, at: datetime) -> None:
    """The cases of the studies that a final report is about and whose patient agrees, unless they are read already."""
    canonical = _canonical(connection, report.facility)
    for study_id in _studies_of(connection, report.facility, report.order_id, report.study_instance_uid,
                                report.accession_number):
        row = connection.execute(sa.select(studies).where(studies.c.id == study_id)).one()
        if same_patient(report.patient, Patient(row.patient_id, row.patient_issuer), canonical):
            for case_id in connection.execute(sa.select(cases.c.case_id).where(
                    cases.c.study_id == study_id, cases.c.read_at.is_(None))).scalars().all():
                update_case(connection, case_id, read_at=at)


def _candidates(connection: sa.Connection, facility: str, key: StudyKey) -> list[Order]:
    wanted = [orders.c.study_instance_uid == key.study_instance_uid]
    if key.accession_number:
        wanted.append(orders.c.accession_number == key.accession_number)
    found = connection.execute(sa.select(orders.c.body).where(
        orders.c.facility == facility, sa.or_(*wanted)).order_by(orders.c.received_at, orders.c.id)).scalars()
    return [order for body in found if (order := order_from_json(body))]


def _canonical(connection: sa.Connection, facility: str) -> Canonical:
    def follow(patient: Patient) -> tuple[str, str]:
        issuer, number = patient.issuer, patient.patient_id
        for _ in range(_MAXIMUM_ALIASES):
            alias = connection.execute(sa.select(patients.c.alias_issuer, patients.c.alias_patient_id).where(
                patients.c.facility == facility, patients.c.patient_id == number, patients.c.alias_patient_id != "",
                sa.or_(patients.c.issuer == issuer, sa.literal(issuer) == ""))).first()
            if alias is None:
                break
            issuer, number = alias
        return issuer, number

    return follow


def _set_priority(connection: sa.Connection, study_id: int, priority: Priority) -> None:
    found = connection.execute(sa.select(cases.c.case_id).where(
        cases.c.study_id == study_id, cases.c.priority_fixed.is_(False),
        cases.c.priority != priority.value)).scalars().all()
    for case_id in found:
        update_case(connection, case_id, priority=priority.value)


def order_by_id(connection: sa.Connection, order_id: str) -> Order | None:
    if not order_id:
        return None
    body: Any = connection.execute(sa.select(orders.c.body).where(orders.c.order_id == order_id)).scalar()
    return order_from_json(body)
