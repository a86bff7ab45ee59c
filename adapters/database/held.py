"""Implements gateway.held.Holdings on the index: studies by SQL, what is within them by the standard's matching."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import OperationalError

from adapters.database.held_rows import HELD_KINDS, condition, document_instance, instance_of, something_held, told_once
from adapters.database.tables import cases, documents, instances, studies
from gateway.errors import GatewayError, Transient
from gateway.held import Describe, Found, Held, HeldQuery, Level, Match, matches
from gateway.study import Instance, Tags

log = structlog.get_logger()

_CHUNK = 200
"""Studies that are looked into at a time."""
_DESCRIBED = 4096
"""Documents whose tags are remembered: their bytes never change."""
_OF_STUDY = frozenset({
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber", "PatientID",
    "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", "ReferringPhysicianName"})
"""Attributes that are asked of the study in SQL."""
_IN_STUDY = "ModalitiesInStudy"


@dataclass(frozen=True, slots=True)
class _Group:
    """A series: its first instance and how many it has."""

    first: Instance
    count: int

    @property
    def modality(self) -> str:
        return str(self.first.tags.get("Modality", ""))


class DatabaseHoldings:
    """`facility`: whose studies. `describe`: path of a document's file → its tags."""

    def __init__(self, engine: sa.Engine, facility: str, describe: Describe) -> None:
        self._engine, self._facility = engine, facility
        self._describe: Callable[[str], Tags] = lru_cache(_DESCRIBED)(describe)

    def search(self, query: HeldQuery) -> Found:
        """Newest study first. Raises Transient where the database does not answer."""
        with self._reading() as connection:
            found = islice(self._walk(connection, query), query.limit + 1)
            page = list(found)
        return Found(tuple(page[:query.limit]), len(page) > query.limit)

    def instances(self, study: str, series: str = "", instance: str = "") -> tuple[Instance, ...]:
        with self._reading() as connection:
            row = connection.execute(sa.select(studies).where(*self._study_is(study))).first()
            if row is None:
                return ()
            found = self._instances(connection, [row], series, instance)[row.id]
        return tuple(found)

    def deleted_at(self, study: str) -> datetime | None:
        with self._reading() as connection:
            at: datetime | None = connection.execute(
                sa.select(studies.c.files_deleted_at).where(*self._study_is(study))).scalar()
        return at

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except OperationalError as error:
            raise Transient(f"the database did not answer: {type(error.orig).__name__}") from error

    def _study_is(self, study: str) -> tuple[sa.ColumnElement[bool], ...]:
        return studies.c.facility == self._facility, studies.c.study_instance_uid == study

    # ------------------------------------------------------------ search

    def _walk(self, connection: sa.Connection, query: HeldQuery) -> Iterator[Held]:
        """Every result from `offset` on, study by study."""
        of_study = [m for m in query.matching if m.keyword in _OF_STUDY]
        within = tuple(m for m in query.matching if m.keyword not in _OF_STUDY)
        by_sql = query.level is Level.STUDY and not within
        rows = self._studies(connection, query, of_study, query.offset if by_sql else 0,
                             min(query.limit + 1, _CHUNK) if by_sql else _CHUNK)
        found = self._results(connection, rows, query, within)
        return islice(found, 0 if by_sql else query.offset, None)

    def _studies(self, connection: sa.Connection, query: HeldQuery, wanted: Sequence[Match],
                 offset: int, chunk: int) -> Iterator[list[Any]]:
        """Rows of studies, `chunk` at a time: each goes on behind the last id."""
        asked = sa.select(studies).where(studies.c.facility == self._facility, something_held(),
                                         *(condition(m) for m in wanted)).order_by(studies.c.id.desc())
        if query.study:
            asked = asked.where(studies.c.study_instance_uid == query.study)
        asked = asked.where(*_narrowed(query))
        rows = connection.execute(asked.limit(chunk).offset(offset)).all()
        while rows:
            yield list(rows)
            if len(rows) < chunk:
                return
            rows = connection.execute(asked.where(studies.c.id < rows[-1].id).limit(chunk)).all()

    def _results(self, connection: sa.Connection, chunks: Iterator[list[Any]], query: HeldQuery,
                 within: tuple[Match, ...]) -> Iterator[Held]:
        for rows in chunks:
            groups = self._series(connection, rows)
            objects = self._instances(connection, rows, query.series) if query.level is Level.INSTANCE else {}
            for row in rows:
                for held in _told(row, groups[row.id], objects.get(row.id, ()), query):
                    if matches({**held.tags, _IN_STUDY: list(held.modalities)}, within):
                        yield held

    def _series(self, connection: sa.Connection, rows: Sequence[Any]) -> dict[int, list[_Group]]:
        """Series of each study: those received in order of arrival, then our results (a series each)."""
        found: dict[int, list[_Group]] = {row.id: [] for row in rows}
        uids = {row.id: row.study_instance_uid for row in rows}
        grouped = sa.select(sa.func.min(instances.c.id).label("first"), sa.func.count().label("count")).where(
            instances.c.study_id.in_(uids), told_once()).group_by(
            instances.c.study_id, instances.c.series_instance_uid).subquery()
        for row in connection.execute(sa.select(instances, grouped.c.count.label("held")).join(
                grouped, instances.c.id == grouped.c.first).order_by(instances.c.id)):
            found[row.study_id].append(_Group(instance_of(row, uids[row.study_id]), row.held))
        for study_id, made in self._documents(connection, rows):
            found[study_id].append(_Group(made, 1))
        return found

    # ------------------------------------------------------------ instances and our documents

    def _instances(self, connection: sa.Connection, rows: Sequence[Any], series: str = "",
                   instance: str = "") -> dict[int, list[Instance]]:
        found: dict[int, list[Instance]] = {row.id: [] for row in rows}
        uids = {row.id: row.study_instance_uid for row in rows}
        asked = sa.select(instances).where(instances.c.study_id.in_(uids), told_once()).order_by(instances.c.id)
        if series:
            asked = asked.where(instances.c.series_instance_uid == series)
        if instance:
            asked = asked.where(instances.c.sop_instance_uid == instance)
        for row in connection.execute(asked):
            found[row.study_id].append(instance_of(row, uids[row.study_id]))
        for received in found.values():
            received.sort(key=_in_order)
        for study_id, made in self._documents(connection, rows, instance):
            if not series or made.series_instance_uid == series:
                found[study_id].append(made)
        return found

    def _documents(self, connection: sa.Connection, rows: Sequence[Any],
                   instance: str = "") -> Iterator[tuple[int, Instance]]:
        """(study id, result) of the current runs; one whose file cannot be read is left out and told in the log."""
        uids = {row.id: row.study_instance_uid for row in rows}
        asked = sa.select(documents, cases.c.study_id).join(cases, cases.c.run_id == documents.c.run_id).where(
            cases.c.study_id.in_(uids), documents.c.kind.in_(HELD_KINDS), documents.c.path != "").order_by(
            documents.c.id)
        if instance:
            asked = asked.where(documents.c.identity == instance)
        known = set()
        for row in connection.execute(asked).all():
            if row.identity in known:
                continue
            known.add(row.identity)
            try:
                yield row.study_id, document_instance(row, uids[row.study_id], self._describe(row.path))
            except (GatewayError, OSError) as error:
                log.warning("document_unreadable", kind=row.kind, run=row.run_id, error=type(error).__name__)


def _narrowed(query: HeldQuery) -> Iterator[sa.ColumnElement[bool]]:
    """Searches by instance or series UID look only into the studies that hold one."""
    for match in query.matching:
        if match.keyword == "SOPInstanceUID" and match.values:
            here = sa.select(instances.c.study_id).where(instances.c.sop_instance_uid.in_(match.values))
            made = sa.select(cases.c.study_id).join(documents, documents.c.run_id == cases.c.run_id).where(
                documents.c.identity.in_(match.values))
            yield sa.or_(studies.c.id.in_(here), studies.c.id.in_(made))


def _in_order(instance: Instance) -> tuple[int, str, int]:
    return (_integer(instance.tags.get("SeriesNumber")), instance.series_instance_uid,
            _integer(instance.tags.get("InstanceNumber")))


def _integer(value: Any) -> int:
    return value if isinstance(value, int) else 2**31


def _told(row: Any, groups: Sequence[_Group], objects: Sequence[Instance], query: HeldQuery) -> Iterator[Held]:
    """The results of one study at the level asked for."""
    if not groups:
        return
    counts = {g.first.series_instance_uid: g.count for g in groups}
    of_study = _study_tags(row, groups[0].first.tags)
    modalities, total = tuple(sorted({g.modality for g in groups if g.modality})), sum(counts.values())

    def held(first: Instance) -> Held:
        series = first.series_instance_uid
        return Held(query.level, row.study_instance_uid, series, first.sop_instance_uid, {**first.tags, **of_study},
                    modalities, len(groups), total, counts.get(series, 1), first.path)

    if query.level is Level.STUDY:
        yield held(groups[0].first)
    elif query.level is Level.SERIES:
        yield from (held(g.first) for g in groups)
    else:
        yield from (held(one) for one in objects)


_COLUMNS = {"PatientID": "patient_id", "IssuerOfPatientID": "patient_issuer", "PatientName": "patient_name",
            "PatientBirthDate": "patient_birth_date", "PatientSex": "patient_sex",
            "AccessionNumber": "accession_number", "IssuerOfAccessionNumberSequence": "accession_issuer",
            "StudyDescription": "description"}


def _study_tags(row: Any, first: Tags) -> dict[str, Any]:
    """What the study's row says now, the rest as its first instance has it: one study, one answer."""
    shared = {keyword: first[keyword] for keyword in _OF_STUDY if keyword in first}
    return shared | {keyword: getattr(row, column) for keyword, column in _COLUMNS.items()}
