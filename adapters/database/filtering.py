"""A filter of the worklist as SQL: which cases are listed, and how many there are of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from adapters.database.tables import case_findings, cases, studies
from gateway.browsing import Facets, WorklistFilter

_FACETS: dict[str, sa.Column[str]] = {
    "modality": studies.c.modality, "verdict": cases.c.verdict, "state": cases.c.state, "priority": cases.c.priority}


def search_text(*parts: str) -> str:
    """What a text search looks through: the same folding as of the words that are looked for."""
    return " ".join(part for part in parts if part).casefold()


def listed(query: Any, where: WorklistFilter) -> Any:
    """`query` over the cases that lead their study and pass the filter, joined with their studies where needed."""
    conditions = list(_conditions(where))
    if any("studies" in {table.name for table in _tables(c)} for c in [*query.selected_columns, *conditions]):
        query = query.join_from(cases, studies, studies.c.id == cases.c.study_id)
    return query.where(cases.c.lead, *conditions)


def _tables(element: Any) -> set[Any]:
    return {source for source in element._from_objects if isinstance(source, sa.Table)}


def _conditions(where: WorklistFilter) -> Iterator[sa.ColumnElement[bool]]:
    chosen = ((cases.c.verdict, where.verdict), (cases.c.state, where.state), (cases.c.priority, where.priority),
              (cases.c.pipeline, where.pipeline), (studies.c.modality, where.modality))
    yield from (column.in_(sorted(wanted)) for column, wanted in chosen if wanted)
    if where.finding:
        yield cases.c.case_id.in_(sa.select(case_findings.c.case_id).where(
            case_findings.c.code.in_(sorted(where.finding))))
    if where.received_from is not None:
        yield cases.c.received_at >= where.received_from
    if where.received_to is not None:
        yield cases.c.received_at < where.received_to
    if where.read is not None:
        yield cases.c.read_at.is_not(None) if where.read else cases.c.read_at.is_(None)
    if where.patient is not None:
        yield studies.c.patient_issuer == where.patient[0]
        yield studies.c.patient_id == where.patient[1]
    if where.study_instance_uid:
        yield studies.c.study_instance_uid == where.study_instance_uid
    yield from (studies.c.search.contains(word, autoescape=True) for word in where.text.casefold().split())


def without(where: WorklistFilter, field: str) -> WorklistFilter:
    """The same filter with no condition on that field."""
    nothing: dict[str, Any] = {field: frozenset()}
    return replace(where, **nothing)


def count_facets(connection: sa.Connection, where: WorklistFilter) -> Facets:
    """See gateway.browsing.Facets."""
    found: dict[str, dict[str, int]] = {}
    for name, column in _FACETS.items():
        query = listed(sa.select(column, sa.func.count()), without(where, name)).group_by(column)
        found[name] = {value: n for value, n in connection.execute(query) if value}
    query = listed(sa.select(case_findings.c.code, sa.func.count()).join_from(
        cases, case_findings, case_findings.c.case_id == cases.c.case_id), without(where, "finding"))
    found["finding"] = dict(connection.execute(query.group_by(case_findings.c.code)).tuples().all())
    return found
