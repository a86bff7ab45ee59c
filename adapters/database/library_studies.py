"""Implements gateway.library.Studies: what is kept of each study, and what was made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from adapters.database.audit import note
from adapters.database.connection import writing
from adapters.database.filtering import listed
from adapters.database.opaque import Addresses, row_before
from adapters.database.patients import patient_row, studies_of_patient
from adapters.database.slices import slices
from adapters.database.tables import cases, documents, instances, patients, runs, studies
from gateway.browsing import WorklistFilter
from gateway.errors import NotFound, Stale
from gateway.library import CaseResult, StoredFile, StudyRecord
from gateway.study import Patient
from gateway.work import now

_LEAD = (cases.c.state, cases.c.verdict, cases.c.risk, cases.c.demonstration, cases.c.findings)
_PATIENT = tuple(patients.c[name].label(f"of_{name}") for name in ("id", "facility", "issuer", "patient_id"))


class DatabaseStudies:
    """`plan`: route a study (its row id) and queue its runs."""

    def __init__(self, engine: sa.Engine, facility: str, addresses: Addresses, plan: Callable[[int], None],
                 clock: Callable[[], datetime] = now) -> None:
        self._engine, self._facility, self._addresses = engine, facility, addresses
        self._plan, self._clock = plan, clock

    # ------------------------------------------------------------ reading

    def page(self, where: WorklistFilter, limit: int, cursor: str | None = None,
             patient_key: str = "") -> tuple[tuple[StudyRecord, ...], str | None]:
        query = listed(_selected(), where).where(studies.c.facility == self._facility)
        before = row_before(cursor)
        if before is not None:
            query = query.where(studies.c.id < before)
        with self._engine.connect() as connection:
            if patient_key:
                row = patient_row(connection, self._addresses, patient_key)
                query = query.where(*studies_of_patient(row)) if row is not None else query.where(sa.false())
            rows = connection.execute(query.order_by(studies.c.id.desc()).limit(limit + 1)).all()
            found = tuple(self._records(connection, rows[:limit]))
        return found, str(rows[limit - 1].id) if len(rows) > limit else None

    def get(self, study_id: str) -> StudyRecord:
        with self._engine.connect() as connection:
            row_id = study_row(connection, self._addresses, study_id).id
            rows = connection.execute(_selected().where(studies.c.id == row_id)).all()
            return next(iter(self._records(connection, rows)))

    def ids_of(self, study_instance_uids: Sequence[str]) -> tuple[str, ...]:
        with self._engine.connect() as connection:
            rows = {row.study_instance_uid: row for some in slices(study_instance_uids) for row in connection.execute(
                sa.select(studies.c.id, studies.c.facility, studies.c.study_instance_uid).where(
                    studies.c.facility == self._facility, studies.c.study_instance_uid.in_(some)))}
        return tuple(study_id_of(self._addresses, rows[uid]) for uid in study_instance_uids if uid in rows)

    def files(self, study_id: str) -> tuple[StoredFile, ...]:
        with self._engine.connect() as connection:
            row = study_row(connection, self._addresses, study_id)
            found = connection.execute(sa.select(instances.c.path, instances.c.series_instance_uid).where(
                instances.c.study_id == row.id).order_by(instances.c.id)).all()
        series = {uid: number for number, uid in enumerate(dict.fromkeys(one.series_instance_uid for one in found), 1)}
        return tuple(StoredFile(one.path, f"{series[one.series_instance_uid]:03d}/{Path(one.path).name}")
                     for one in found)

    def results(self, study_id: str) -> tuple[CaseResult, ...]:
        with self._engine.connect() as connection:
            row = study_row(connection, self._addresses, study_id)
            found = connection.execute(sa.select(cases.c.case_id, cases.c.run_id, cases.c.pipeline, cases.c.state,
                                                 runs.c.result).outerjoin(runs, runs.c.run_id == cases.c.run_id).where(
                cases.c.study_id == row.id).order_by(cases.c.band, cases.c.weight, cases.c.case_id)).all()
            made = connection.execute(sa.select(documents).where(
                documents.c.run_id.in_([one.run_id for one in found if one.run_id]),
                documents.c.path != "").order_by(documents.c.id)).all()
        return tuple(CaseResult(one.case_id, one.run_id, one.pipeline, one.state, one.result, tuple(
            {"kind": d.kind, "identity": d.identity, "destination": d.destination}
            for d in made if d.run_id == one.run_id)) for one in found)

    # ------------------------------------------------------------ changing

    def describe(self, study_id: str, description: str, before: str | None, who: str) -> None:
        with writing(self._engine) as connection:
            row = study_row(connection, self._addresses, study_id)
            if before not in (None, row.description):
                raise Stale("The description was changed since it was read: read it again, then change it.",
                            element="If-Match")
            connection.execute(sa.update(studies).where(studies.c.id == row.id).values(description=description))
            note(connection, self._clock(), who, "study_described", study_id)

    def analyse(self, study_id: str) -> None:
        with self._engine.connect() as connection:
            row_id = int(study_row(connection, self._addresses, study_id).id)
        self._plan(row_id)

    # ------------------------------------------------------------ rows

    def _records(self, connection: sa.Connection, rows: Sequence[Any]) -> Iterator[StudyRecord]:
        ids = [row.id for row in rows]
        there: dict[int, int] = dict(connection.execute(sa.select(instances.c.study_id, sa.func.count()).where(
            instances.c.study_id.in_(ids)).group_by(instances.c.study_id)).tuples().all())
        told: dict[int, list[str]] = {}
        for study_id, case_id in connection.execute(sa.select(cases.c.study_id, cases.c.case_id).where(
                cases.c.study_id.in_(ids)).order_by(cases.c.band, cases.c.weight, cases.c.due_at, cases.c.case_id)):
            told.setdefault(study_id, []).append(case_id)
        for row in rows:
            yield self._record(row, 0 if row.files_deleted_at else there.get(row.id, 0), tuple(told.get(row.id, ())))

    def _record(self, row: Any, files: int, case_ids: tuple[str, ...]) -> StudyRecord:
        key = "" if row.of_id is None else self._addresses.of(row.of_id, row.of_facility, row.of_issuer,
                                                              row.of_patient_id)
        patient = Patient(row.patient_id, row.patient_issuer, row.patient_name, row.patient_birth_date, row.patient_sex)
        return StudyRecord(
            study_id=study_id_of(self._addresses, row), patient_key=key, study_instance_uid=row.study_instance_uid,
            patient=patient, accession_number=row.accession_number, modality=row.modality,
            description=row.description, received_at=row.first_received_at, objects=row.instance_count, files=files,
            receiving=row.receiving, state=row.state or "", verdict=row.verdict or None, risk=row.risk,
            demonstration=bool(row.demonstration), cases=case_ids, findings=tuple(row.findings or ()))


def study_id_of(addresses: Addresses, row: Any) -> str:
    return addresses.of(row.id, row.facility, row.study_instance_uid)


def study_row(connection: sa.Connection, addresses: Addresses, study_id: str) -> Any:
    """The row of a study's id. Raises NotFound."""
    row = connection.execute(sa.select(studies).where(studies.c.id == addresses.row(study_id))).first()
    if row is None or not addresses.fits(study_id, row.facility, row.study_instance_uid):
        raise NotFound("There is no such study.", element="study_id")
    return row


def _selected() -> sa.Select[Any]:
    of_patient = sa.and_(patients.c.facility == studies.c.facility, patients.c.issuer == studies.c.patient_issuer,
                         patients.c.patient_id == studies.c.patient_id)
    return sa.select(studies, *_LEAD, *_PATIENT).select_from(studies).outerjoin(
        cases, sa.and_(cases.c.study_id == studies.c.id, cases.c.lead)).outerjoin(patients, of_patient)


