"""Implements gateway.ports.Queries: what pages, API, FHIR and terminal ask. Reads only."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from adapters.database.case_lines import LINE, SORT, case_views, delivery_view
from adapters.database.evidence import HeldInstances, evidence_of_receiving, heard_of
from adapters.database.filtering import Counts, Remembered, listed
from adapters.database.priors import prior_of_case
from adapters.database.studies import storable
from adapters.database.tables import (
    cases,
    deliveries,
    documents,
    instances,
    orders,
    placeholders,
    runs,
    senders,
    studies,
)
from gateway.assembly import so_far
from gateway.browsing import EVERYTHING, Facets, WorklistFilter
from gateway.completion import missing_to_json
from gateway.delivery import DeliveryState, Kind
from gateway.errors import Unusable
from gateway.ports import CaseDetail, DeliveryView, Page, ReportQuery, StoredDocument
from gateway.settings import AssemblySettings
from gateway.triage import Band

_Forms = tuple[Mapping[str, Any], ...]
_NOT_OURS = "the cursor is not one that this list gave"
_HEAVIEST = 1000


class DatabaseQueries:
    """`read_document`: path → bytes. `assembly`: by which studies that are being received wait."""

    def __init__(self, engine: sa.Engine, read_document: Callable[[str], bytes],
                 assembly: AssemblySettings | None = None) -> None:
        self._engine, self._read_document, self._assembly = engine, read_document, assembly or AssemblySettings()
        self._list_counts, self._remembered = Counts(), Remembered()

    # ------------------------------------------------------------ worklist and cases

    def worklist(self, limit: int, cursor: str | None = None, where: WorklistFilter = EVERYTHING) -> Page:
        with self._engine.connect() as connection:
            among = self._list_counts.few(connection, where)
            total = self._list_counts.total(connection, where, among)
            query = listed(sa.select(cases.c.case_id, *SORT[:-1]), where, total, among)
            if cursor:
                query = query.where(sa.tuple_(*SORT) > sa.tuple_(*_decode(cursor)))
            rows = connection.execute(_lines(query, limit + 1, few=among is not None)).all()
            items = case_views(connection, rows[:limit])
        return Page(tuple(items), total, _encode(rows[limit - 1]) if len(rows) > limit else None)

    def facets(self, where: WorklistFilter = EVERYTHING) -> Facets:
        with self._engine.connect() as connection:
            return self._list_counts.facets(connection, where)

    def case(self, case_id: str) -> CaseDetail | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(*LINE).join(studies, studies.c.id == cases.c.study_id).where(
                cases.c.case_id == case_id)).first()
            if row is None:
                return None
            return self._detail(connection, row)

    def successor(self, case_id: str) -> str:
        with self._engine.connect() as connection:
            return connection.execute(sa.select(cases.c.case_id).join(
                placeholders, placeholders.c.study_id == cases.c.study_id).where(
                placeholders.c.case_id == case_id, cases.c.lead)).scalar() or ""

    def _detail(self, connection: sa.Connection, row: Any) -> CaseDetail:
        versions = connection.execute(sa.select(runs).where(runs.c.case_id == row.case_id).order_by(
            runs.c.number.desc())).all()
        shown = next((v for v in versions if v.run_id == row.run_id), None)
        made = connection.execute(sa.select(documents).where(documents.c.run_id == row.run_id).order_by(
            documents.c.id)).all()
        order = connection.execute(sa.select(orders.c.body).join(
            studies, studies.c.order_id == orders.c.order_id).where(studies.c.id == row.study_id)).scalar()
        count = connection.execute(sa.select(sa.func.count()).where(
            instances.c.study_id == row.study_id)).scalar_one()
        study = connection.execute(sa.select(studies).where(studies.c.id == row.study_id)).one()
        evidence, missing = self._known(connection, study, shown)
        return CaseDetail(
            case=replace(case_views(connection, [row], whole=True)[0], missing=missing),
            result=shown.result if shown else None, order=order,
            runs=tuple(_version(v, row.run_id) for v in versions), instances=count,
            documents=tuple({"kind": d.kind, "identity": d.identity, "destination": d.destination} for d in made),
            evidence=evidence, prior=prior_of_case(connection, study.facility, study.study_instance_uid))

    def _known(self, connection: sa.Connection, study: Any, shown: Any) -> tuple[_Forms, _Forms]:
        """How the study was known to be complete for the run that is shown, or what it waits for; what it lacks."""
        if shown is not None and shown.evidence:
            return tuple(shown.evidence), tuple(shown.missing)
        if study.receiving and not study.completeness:
            said = evidence_of_receiving(connection, study.id).get(study.id, [])
            evidence, missing = so_far(heard_of(connection, study, said, HeldInstances()), self._assembly)
            return evidence, tuple(missing_to_json(missing))
        return tuple(study.evidence), tuple(study.missing)

    # ------------------------------------------------------------ documents and deliveries

    def document(self, case_id: str, kind: Kind) -> StoredDocument | None:
        query = sa.select(documents).join(cases, cases.c.run_id == documents.c.run_id).where(
            cases.c.case_id == case_id, documents.c.kind == kind.value, documents.c.path != "").order_by(
            documents.c.id).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else self._stored(row)

    def _stored(self, row: Any) -> StoredDocument:
        return StoredDocument(row.case_id, row.run_id, Kind(row.kind), row.identity, row.destination,
                              self._read_document(row.path), row.created_at)

    def deliveries(self, state: DeliveryState | None = None, limit: int = 100, *, before_id: int | None = None,
                   destination: str = "", case_id: str = "") -> tuple[DeliveryView, ...]:
        query = sa.select(deliveries).order_by(deliveries.c.id.desc()).limit(limit)
        chosen = ((deliveries.c.state, state and state.value), (deliveries.c.destination, destination),
                  (deliveries.c.case_id, case_id))
        query = query.where(*(column == value for column, value in chosen if value))
        if before_id is not None:
            query = query.where(deliveries.c.id < before_id)
        with self._engine.connect() as connection:
            return tuple(delivery_view(row) for row in connection.execute(query))

    def reports(self, query: ReportQuery) -> tuple[tuple[StoredDocument, ...], int]:
        if query.status and query.status != "preliminary":
            return (), 0
        wanted = [documents.c.kind == Kind.DIAGNOSTIC_REPORT.value, documents.c.run_id == cases.c.run_id]
        exact = ((query.case_id, cases.c.case_id), (query.patient_id, studies.c.patient_id),
                 (query.patient_issuer, studies.c.patient_issuer),
                 (query.study_instance_uid, studies.c.study_instance_uid),
                 (query.accession_number, studies.c.accession_number))
        wanted += [column == value for value, column in exact if value]
        wanted += [_compared(prefix, at) for prefix, at in query.updated]
        found = sa.select(documents).join(cases, cases.c.case_id == documents.c.case_id).join(
            studies, studies.c.id == cases.c.study_id).where(*wanted)
        with self._engine.connect() as connection:
            total = connection.execute(sa.select(sa.func.count()).select_from(found.subquery())).scalar_one()
            rows = connection.execute(found.order_by(documents.c.created_at.desc(), documents.c.id.desc()).limit(
                query.limit).offset(query.offset)).all()
        return tuple(self._stored(row) for row in rows), total

    # ------------------------------------------------------------ orders, senders, counts

    def orders(self, order_id: str) -> Mapping[str, Any] | None:
        with self._engine.connect() as connection:
            body: Any = connection.execute(sa.select(orders.c.body).where(orders.c.order_id == order_id)).scalar()
        return body  # type: ignore[no-any-return]

    def senders(self) -> tuple[Mapping[str, Any], ...]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(senders).order_by(senders.c.name)).all()
        return tuple({"protocol": row.name.partition(":")[0], "name": row.name.partition(":")[2],
                      "last_heard": row.last_heard_at, "count": row.count} for row in rows)

    def counts(self) -> Mapping[str, int]:
        return self._remembered.get("counts", self._count)

    def _count(self) -> Mapping[str, int]:
        with self._engine.connect() as connection:
            found = {f"cases.{state}": n for state, n in connection.execute(
                sa.select(cases.c.state, sa.func.count()).group_by(cases.c.state))}
            found |= {f"deliveries.{state}": n for state, n in connection.execute(
                sa.select(deliveries.c.state, sa.func.count()).group_by(deliveries.c.state))}
            found["studies"], found["instances"] = connection.execute(sa.select(
                sa.func.count(), sa.func.coalesce(sa.func.sum(studies.c.instance_count), 0))).one()
        return found


def _lines(query: Any, limit: int, *, few: bool) -> Any:
    """The first lines of what `query` finds (the columns of `SORT`): first which, then what is shown of them, so that
    no whole lines are sorted. `few`: all are found before they are sorted, instead of by walking along the list."""
    if few:
        found = query.cte().prefix_with("MATERIALIZED")
        query = sa.select(found).order_by(*(found.c[column.name] for column in SORT))
    else:
        query = query.order_by(*SORT)
    chosen = query.limit(limit).subquery()
    return sa.select(*LINE).join(studies, studies.c.id == cases.c.study_id).join(
        chosen, chosen.c.case_id == cases.c.case_id).order_by(*SORT)


def _compared(prefix: str, at: datetime) -> sa.ColumnElement[bool]:
    column = documents.c.created_at
    choices: dict[str, sa.ColumnElement[bool]] = {
        "ge": column >= at, "gt": column > at, "le": column <= at, "lt": column < at, "eq": column == at}
    if prefix not in choices:
        raise Unusable(f"the prefix {prefix} is not supported for dates", element="_lastUpdated")
    return choices[prefix]


def _version(row: Any, current: str) -> dict[str, Any]:
    result = row.result or {}
    return {"run_id": row.run_id, "number": row.number, "created_at": row.created_at, "state": row.state,
            "verdict": result.get("verdict"), "risk": result.get("risk"), "current": row.run_id == current,
            "error": row.error}


def _encode(row: Any) -> str:
    """An opaque cursor: the sort key of the last line shown."""
    key = [row.band, row.weight, row.due_at.isoformat(), row.case_id]
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _decode(cursor: str) -> tuple[Any, ...]:
    """Raises Unusable for whatever this list has not given."""
    try:
        band, weight, due_at, case_id = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
        due = datetime.fromisoformat(due_at)
        known = (type(band) is int and Band.PATHOLOGY <= band <= Band.READ and type(weight) in (int, float)
                 and abs(weight) < _HEAVIEST and due.utcoffset() == timedelta() and isinstance(case_id, str)
                 and storable(case_id) == case_id)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Unusable(_NOT_OURS, element="cursor") from error
    if not known:
        raise Unusable(_NOT_OURS, element="cursor")
    return (sa.literal(band), sa.literal(float(weight)), sa.literal(due, cases.c.due_at.type),
            sa.literal(case_id, sa.Text))
