"""A filter of the worklist as SQL: which cases are listed, and how many there are of each kind."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.sql.util import ClauseAdapter

from adapters.database.tables import case_findings, cases, studies
from gateway.browsing import Facets, WorklistFilter

_COLUMNS = (cases.c.verdict, cases.c.state, cases.c.priority, cases.c.modality)
"""In the order of their index, so that they are counted as they are read."""
_NAMES = tuple(column.name for column in _COLUMNS)
_Grid = Mapping[tuple[str, ...], int]
"""Studies by their values of `_COLUMNS`, and for findings by label and these."""
_QUICK, _COUNTING_SHARE = 0.005, 100
_MOST_REMEMBERED = 64
_FEW = 2000
T = TypeVar("T")


def search_text(*parts: str) -> str:
    """What a text search looks through: the same folding as of the words that are looked for."""
    return " ".join(part for part in parts if part).casefold()


def listed(query: Any, where: WorklistFilter, expected: int = 0, among: Sequence[int] | None = None) -> Any:
    """`query` over the cases that lead their study and pass the filter.

    `expected`: how many do, where that is known. Of many, a page is soonest found by walking along the list and asking
    of each; of few, by looking them up first. `among`: the studies that meet the filter's conditions on studies, where
    these have been looked up (`few_studies`).
    """
    return query.where(cases.c.lead, *_conditions(where, among, walk=expected > _FEW))


def few_studies(connection: sa.Connection, where: WorklistFilter) -> tuple[int, ...] | None:
    """Ids of the studies that meet the filter's conditions on studies; None where it has none, or they are many.

    They are asked for once, and what is listed and counted is then found by them: the words of a search are in no
    order that an index keeps.
    """
    conditions = list(_study_conditions(where))
    if not conditions:
        return None
    found = connection.execute(sa.select(studies.c.id).where(*conditions).limit(_FEW + 1)).scalars().all()
    return tuple(found) if len(found) <= _FEW else None


def _conditions(where: WorklistFilter, among: Sequence[int] | None, *, walk: bool) -> Iterator[sa.ColumnElement[bool]]:
    chosen = ((cases.c.verdict, where.verdict), (cases.c.state, where.state), (cases.c.priority, where.priority),
              (cases.c.pipeline, where.pipeline), (cases.c.modality, where.modality))
    yield from (column.in_(sorted(wanted)) for column, wanted in chosen if wanted)
    if where.finding:
        yield _among(cases.c.case_id, case_findings.c.case_id, [case_findings.c.code.in_(sorted(where.finding))], walk)
    if where.received_from is not None:
        yield cases.c.received_at >= where.received_from
    if where.received_to is not None:
        yield cases.c.received_at < where.received_to
    if where.read is not None:
        yield cases.c.read_at.is_not(None) if where.read else cases.c.read_at.is_(None)
    if among is not None:
        # Written into the statement: a parameter for each of two thousand costs more than finding them.
        yield cases.c.study_id.in_(sa.bindparam("among", list(among), expanding=True, literal_execute=True))
    elif of_study := list(_study_conditions(where)):
        yield _among(cases.c.study_id, studies.c.id, of_study, walk)


def _among(column: sa.Column[Any], others: sa.Column[Any], conditions: Sequence[sa.ColumnElement[bool]],
           walk: bool) -> sa.ColumnElement[bool]:
    """`column` is one of `others` that meet the conditions: asked of each row, or looked up before."""
    other = others.table.alias()
    to_alias = ClauseAdapter(other)  # the outer query may hold the same table
    found = sa.select(other.c[others.name]).where(*map(to_alias.traverse, conditions))
    return found.where(other.c[others.name] == column).exists() if walk else column.in_(found)


def _study_conditions(where: WorklistFilter) -> Iterator[sa.ColumnElement[bool]]:
    if where.patient is not None:
        yield studies.c.patient_issuer == where.patient[0]
        yield studies.c.patient_id == where.patient[1]
    if where.study_instance_uid:
        yield studies.c.study_instance_uid == where.study_instance_uid
    yield from (studies.c.search.contains(word, autoescape=True) for word in where.text.casefold().split())


class Remembered:
    """Counts, each taken again at most a hundredth of the time: what took long is remembered the longer.

    Counting that takes less than five milliseconds is done each time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[Any, tuple[float, Any]] = {}

    def get(self, key: Any, count: Callable[[], T]) -> T:
        kept = self.kept(key)
        if kept is not None:
            return kept  # type: ignore[no-any-return]
        started = self._clock()
        counted = count()
        ended = self._clock()
        if len(self._kept) >= _MOST_REMEMBERED:
            self._kept.clear()
        if ended - started > _QUICK:
            self._kept[key] = (ended + _COUNTING_SHARE * (ended - started), counted)
        return counted

    def kept(self, key: Any) -> Any:
        """What is remembered; None for nothing."""
        kept_until, value = self._kept.get(key, (0.0, None))
        return value if self._clock() < kept_until else None


class Counts:
    """How many studies pass a filter, and how many of them there are of each kind."""

    def __init__(self) -> None:
        self._remembered = Remembered()

    def few(self, connection: sa.Connection, where: WorklistFilter) -> tuple[int, ...] | None:
        """`few_studies`, not asked again while it is remembered that there are many."""
        grid = self._remembered.kept(_without_columns(where))
        return None if grid and sum(grid.values()) > _FEW else few_studies(connection, where)

    def total(self, connection: sa.Connection, where: WorklistFilter, among: Sequence[int] | None) -> int:
        """`among`: what `few` has found."""
        return sum(n for values, n in self._grid(connection, where, among).items() if _passes(values, where, ""))

    def facets(self, connection: sa.Connection, where: WorklistFilter) -> Facets:
        """See gateway.browsing.Facets."""
        found: dict[str, Mapping[str, int]] = {}
        among = self.few(connection, where)
        grid = self._grid(connection, where, among)
        for place, name in enumerate(_NAMES):
            counted: Counter[str] = Counter()
            for values, n in grid.items():
                if values[place] and _passes(values, where, name):
                    counted[values[place]] += n
            found[name] = dict(counted)
        return {**found, "finding": self._findings(connection, replace(where, finding=frozenset()), among)}

    def _findings(self, connection: sa.Connection, where: WorklistFilter,
                  among: Sequence[int] | None) -> Mapping[str, int]:
        counted: Counter[str] = Counter()
        for (label, *values), n in self._finding_grid(connection, where, among).items():
            if _passes(tuple(values), where, ""):
                counted[label] += n
        return dict(counted)

    def _grid(self, connection: sa.Connection, where: WorklistFilter, among: Sequence[int] | None) -> _Grid:
        rest = _without_columns(where)
        query = listed(sa.select(*_COLUMNS, sa.func.count()), rest, among=among).group_by(*_COLUMNS)
        return self._remembered.get(rest, lambda: _read(connection, query))

    def _finding_grid(self, connection: sa.Connection, where: WorklistFilter, among: Sequence[int] | None) -> _Grid:
        rest = _without_columns(where)
        query = listed(sa.select(case_findings.c.code, *_COLUMNS, sa.func.count()).join_from(
            case_findings, cases, cases.c.case_id == case_findings.c.case_id), rest, among=among).group_by(
            case_findings.c.code, *_COLUMNS)
        return self._remembered.get(("finding", rest), lambda: _read(connection, query))


def _read(connection: sa.Connection, query: Any) -> _Grid:
    return {tuple(values): n for *values, n in connection.execute(query)}


def _without_columns(where: WorklistFilter) -> WorklistFilter:
    """What of the filter the grid does not hold: one grid then serves all choices of its columns."""
    return replace(where, modality=frozenset(), verdict=frozenset(), state=frozenset(), priority=frozenset())


def _passes(values: tuple[str, ...], where: WorklistFilter, but: str) -> bool:
    """Whether the values meet the filter's conditions on the grid's columns, one of them left out."""
    return all(name == but or not getattr(where, name) or value in getattr(where, name)
               for name, value in zip(_NAMES, values, strict=True))
