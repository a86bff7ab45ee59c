"""Implements gateway.held.Holdings on the index: studies by SQL, what is within them by the standard's matching."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any

import sqlalchemy as sa
import structlog

from adapters.database import held_rows
from adapters.database.held_rows import MADE_HERE, TOLD_WITHOUT_FILE
from adapters.database.tables import studies
from gateway.errors import GatewayError
from gateway.held import Describe, Found, Held, HeldQuery, Level, Match, matches
from gateway.study import Instance, Tags

log = structlog.get_logger()

_CHUNK = 200
"""Studies that are looked into at a time."""
_DESCRIBED = 4096
"""Documents whose tags are remembered: their bytes never change."""
_COLUMNS = {"PatientID": "patient_id", "IssuerOfPatientID": "patient_issuer", "PatientName": "patient_name",
            "PatientBirthDate": "patient_birth_date", "PatientSex": "patient_sex",
            "AccessionNumber": "accession_number", "IssuerOfAccessionNumberSequence": "accession_issuer",
            "StudyDescription": "description"}
_OF_STUDY = frozenset({*_COLUMNS, "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "ReferringPhysicianName"})
"""Attributes that are the same for the whole study, and asked of it in SQL."""
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
        with self._engine.connect() as connection:
            page = list(islice(self._walk(connection, query), query.limit + 1))
        return Found(tuple(page[:query.limit]), len(page) > query.limit)

    def instances(self, study: str, series: str = "", instance: str = "") -> tuple[Instance, ...]:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(studies).where(*self._study_is(study))).first()
            if row is None:
                return ()
            found = _instances(connection, [row], series, instance)[row.id]
        return tuple(self._whole(one) for one in found)

    def deleted_at(self, study: str) -> datetime | None:
        with self._engine.connect() as connection:
            at: datetime | None = connection.execute(
                sa.select(studies.c.files_deleted_at).where(*self._study_is(study))).scalar()
        return at

    def _study_is(self, study: str) -> tuple[sa.ColumnElement[bool], ...]:
        return studies.c.facility == self._facility, studies.c.study_instance_uid == study

    # ------------------------------------------------------------ search

    def _walk(self, connection: sa.Connection, query: HeldQuery) -> Iterator[Held]:
        """Every result from `offset` on, study by study."""
        of_study = [m for m in query.matching if m.keyword in _OF_STUDY]
        below = tuple(m for m in query.matching if m.keyword not in _OF_STUDY)
        by_sql = query.level is Level.STUDY and not below
        conditions = [*(held_rows.condition(m) for m in of_study), *held_rows.within(below),
                      *held_rows.named(connection, below)]
        rows = self._studies(connection, query, conditions, query.offset if by_sql else 0)
        return islice(self._results(connection, rows, query, below), 0 if by_sql else query.offset, None)

    def _studies(self, connection: sa.Connection, query: HeldQuery, conditions: Sequence[sa.ColumnElement[bool]],
                 offset: int) -> Iterator[list[Any]]:
        """Rows of studies that may hold results, a chunk at a time: each goes on behind the last id."""
        chunk = min(query.limit + 1, _CHUNK)
        asked = sa.select(studies).where(studies.c.facility == self._facility, held_rows.something_held(),
                                         *conditions).order_by(studies.c.id.desc())
        if query.study:
            asked = asked.where(studies.c.study_instance_uid == query.study)
        rows = connection.execute(asked.limit(chunk).offset(offset)).all()
        while rows:
            yield list(rows)
            if len(rows) < chunk:
                return
            rows = connection.execute(asked.where(studies.c.id < rows[-1].id).limit(chunk)).all()

    def _results(self, connection: sa.Connection, chunks: Iterator[list[Any]], query: HeldQuery,
                 below: tuple[Match, ...]) -> Iterator[Held]:
        from_file = any(m.keyword.partition(".")[0] not in TOLD_WITHOUT_FILE for m in below)
        for rows in chunks:
            groups = _series(connection, rows)
            objects = _instances(connection, rows, query.series) if query.level is Level.INSTANCE else {}
            for row in rows:
                for held in self._told(row, groups[row.id], objects.get(row.id, ()), query):
                    known = self._described(held) if from_file else held
                    if matches({**known.tags, _IN_STUDY: list(known.modalities)}, below):
                        yield self._described(known)

    def _told(self, row: Any, groups: Sequence[_Group], objects: Sequence[Instance],
              query: HeldQuery) -> Iterator[Held]:
        """The results of one study at the level asked for; of our own no more than their rows tell."""
        if not groups:
            return
        counts = {g.first.series_instance_uid: g.count for g in groups}
        of_study = _study_tags(row, self._whole(groups[0].first).tags)
        modalities = tuple(sorted({g.modality for g in groups if g.modality}))

        def held(first: Instance) -> Held:
            series = first.series_instance_uid
            return Held(query.level, row.study_instance_uid, series, first.sop_instance_uid,
                        {**first.tags, **of_study}, modalities, len(groups), sum(counts.values()),
                        counts.get(series, 1), first.path, first.sender == MADE_HERE)

        if query.level is Level.INSTANCE:
            yield from (held(one) for one in objects)
        else:
            shown = groups if query.level is Level.SERIES else groups[:1]
            yield from (held(group.first) for group in shown)

    # ------------------------------------------------------------ our own results

    def _described(self, held: Held) -> Held:
        """With the tags of its file, where it is a result of ours; those of its study stay as they are now."""
        return replace(held, tags={**self._tags(held.path), **held.tags}) if held.made_here else held

    def _whole(self, instance: Instance) -> Instance:
        if instance.sender != MADE_HERE:
            return instance
        return replace(instance, tags={**self._tags(instance.path), **instance.tags})

    def _tags(self, path: str) -> Tags:
        """None, and a line in the log, where the file of a result cannot be read."""
        try:
            return self._describe(path)
        except (GatewayError, OSError) as error:
            log.warning("document_unreadable", error=type(error).__name__)
            return {}


def _series(connection: sa.Connection, rows: Sequence[Any]) -> dict[int, list[_Group]]:
    """Series of each study: those received in order of arrival, then our results (a series each)."""
    found: dict[int, list[_Group]] = {row.id: [] for row in rows}
    uids = {row.id: row.study_instance_uid for row in rows}
    for study_id, first, count in held_rows.series(connection, uids):
        found[study_id].append(_Group(first, count))
    for study_id, made in held_rows.documents_of(connection, uids):
        found[study_id].append(_Group(made, 1))
    return found


def _instances(connection: sa.Connection, rows: Sequence[Any], series: str = "",
               instance: str = "") -> dict[int, list[Instance]]:
    """Instances of each study, those received by series and instance number, then our results."""
    found: dict[int, list[Instance]] = {row.id: [] for row in rows}
    uids = {row.id: row.study_instance_uid for row in rows}
    for study_id, received in held_rows.instances_of(connection, uids, series, instance):
        found[study_id].append(received)
    for of_study in found.values():
        of_study.sort(key=_in_order)
    for study_id, made in held_rows.documents_of(connection, uids, instance):
        if not series or made.series_instance_uid == series:
            found[study_id].append(made)
    return found


def _in_order(instance: Instance) -> tuple[int, str, int]:
    return (_integer(instance.tags.get("SeriesNumber")), instance.series_instance_uid,
            _integer(instance.tags.get("InstanceNumber")))


def _integer(value: Any) -> int:
    return value if isinstance(value, int) else 2**31


def _study_tags(row: Any, first: Tags) -> dict[str, Any]:
    """What the study's row says now, the rest as its first instance has it: one study, one answer."""
    shared = {keyword: first[keyword] for keyword in _OF_STUDY if keyword in first}
    return shared | {keyword: getattr(row, column) for keyword, column in _COLUMNS.items()}
