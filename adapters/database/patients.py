"""Patients as rows: whoever a study, an order or a person names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapters.database.audit import note
from adapters.database.connection import upsert, writing
from adapters.database.filtering import search_text
from adapters.database.opaque import Addresses, row_before
from adapters.database.slices import slices
from adapters.database.tables import patients, studies
from gateway.errors import Conflict, NotFound, Stale
from gateway.identity import digest
from gateway.library import Demographics, PatientRecord
from gateway.study import Patient
from gateway.work import now

_TOLD = ("name", "birth_date", "sex")
_MARKS = str.maketrans("^=", "  ")


def put_patient(connection: sa.Connection, facility: str, patient: Patient, **alias: str) -> None:
    """What is told of a patient, over what was known; what is empty tells nothing."""
    key = _key(facility, patient)
    told = {name: getattr(patient, name) for name in _TOLD}
    values = {name: value for name, value in told.items() if value} | alias
    row = connection.execute(sa.select(patients).where(*key)).first()
    if row is None:
        connection.execute(sa.insert(patients).values(
            facility=facility, issuer=patient.issuer, patient_id=patient.patient_id, search=_search(patient), **values))
    elif values:
        name = values.get("name", row.name)
        connection.execute(sa.update(patients).where(*key).values(
            **values, search=_search(Patient(patient.patient_id, name=name))))


def note_patient(connection: sa.Connection, study: Mapping[str, Any]) -> None:
    """The patient of a new study (its columns), unless one of that id is known already."""
    if study["patient_id"]:
        patient = Patient(study["patient_id"], study["patient_issuer"], study["patient_name"],
                          study["patient_birth_date"], study["patient_sex"])
        connection.execute(upsert(connection.dialect.name, patients).values(
            facility=study["facility"], issuer=patient.issuer, patient_id=patient.patient_id, name=patient.name,
            birth_date=patient.birth_date, sex=patient.sex, search=_search(patient)).on_conflict_do_nothing())


def _key(facility: str, patient: Patient) -> tuple[sa.ColumnElement[bool], ...]:
    return (patients.c.facility == facility, patients.c.issuer == patient.issuer,
            patients.c.patient_id == patient.patient_id)


def _search(patient: Patient) -> str:
    return search_text(patient.name.translate(_MARKS), patient.patient_id)


class DatabasePatients:
    """Implements gateway.library.Patients."""

    def __init__(self, engine: sa.Engine, facility: str, addresses: Addresses,
                 clock: Callable[[], datetime] = now) -> None:
        self._engine, self._facility, self._addresses, self._clock = engine, facility, addresses, clock

    def page(self, limit: int, cursor: str | None = None,
             text: str = "") -> tuple[tuple[PatientRecord, ...], str | None]:
        query = sa.select(patients).where(
            patients.c.facility == self._facility,
            *(patients.c.search.contains(word, autoescape=True) for word in text.casefold().split()))
        after = row_before(cursor)
        if after is not None:
            query = query.where(patients.c.id > after)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(patients.c.id).limit(limit + 1)).all()
            counts = self._studies(connection, rows[:limit])
            found = tuple(self._record(connection, row, counts.get((row.issuer, row.patient_id), 0))
                          for row in rows[:limit])
        return found, str(rows[limit - 1].id) if len(rows) > limit else None

    def get(self, patient_key: str) -> PatientRecord | None:
        with self._engine.connect() as connection:
            row = patient_row(connection, self._addresses, patient_key)
            return None if row is None else self._record(connection, row)

    def create(self, patient: Patient, who: str) -> PatientRecord:
        with writing(self._engine) as connection:
            key = _key(self._facility, patient)
            if connection.execute(sa.select(patients.c.id).where(*key)).first() is not None:
                raise Conflict("A patient with this id and issuer is known already.", element="patient_id")
            put_patient(connection, self._facility, patient)
            record = self._record(connection, connection.execute(sa.select(patients).where(*key)).one())
            note(connection, self._clock(), who, "patient_created", record.patient_key)
            return record

    def change(self, patient_key: str, wanted: Demographics, version: str | None, who: str) -> PatientRecord:
        with writing(self._engine) as connection:
            row = patient_row(connection, self._addresses, patient_key)
            if row is None:
                raise NotFound("There is no such patient.", element="patient_key")
            if version not in (None, _version(row)):
                raise Stale("The patient was changed since it was read: read it again, then change it.",
                            element="If-Match")
            values = {name: value for name in _TOLD if (value := getattr(wanted, name)) is not None}
            if values:
                told = Patient(row.patient_id, name=values.get("name", row.name))
                connection.execute(sa.update(patients).where(patients.c.id == row.id).values(
                    **values, search=_search(told)))
                note(connection, self._clock(), who, "patient_changed", patient_key, fields=sorted(values))
            changed = connection.execute(sa.select(patients).where(patients.c.id == row.id)).one()
            return self._record(connection, changed)

    def _studies(self, connection: sa.Connection, rows: Sequence[Any]) -> dict[tuple[str, str], int]:
        """How many each of the patients has, by issuer and id."""
        counted: dict[tuple[str, str], int] = {}
        for some in slices([row.patient_id for row in rows]):
            for issuer, patient_id, count in connection.execute(sa.select(
                    studies.c.patient_issuer, studies.c.patient_id, sa.func.count()).where(
                    studies.c.facility == self._facility, studies.c.patient_id.in_(some)).group_by(
                    studies.c.patient_issuer, studies.c.patient_id)):
                counted[issuer, patient_id] = count
        return counted

    def _record(self, connection: sa.Connection, row: Any, count: int | None = None) -> PatientRecord:
        """`count`: of the studies, where it is known already."""
        if count is None:
            count = connection.execute(sa.select(sa.func.count()).where(*studies_of_patient(row))).scalar_one()
        return PatientRecord(patient_key_of(self._addresses, row), Patient(
            row.patient_id, row.issuer, row.name, row.birth_date, row.sex), count, _version(row),
            self._merged_into(connection, row))

    def _merged_into(self, connection: sa.Connection, row: Any) -> str:
        if not row.alias_patient_id:
            return ""
        other = connection.execute(sa.select(patients).where(*_key(
            row.facility, Patient(row.alias_patient_id, row.alias_issuer)))).first()
        return patient_key_of(self._addresses, other) if other else ""


def _version(row: Any) -> str:
    return digest(row.name, row.birth_date, row.sex, row.alias_issuer, row.alias_patient_id)[:16]


def patient_key_of(addresses: Addresses, row: Any) -> str:
    return addresses.of(row.id, row.facility, row.issuer, row.patient_id)


def patient_row(connection: sa.Connection, addresses: Addresses, patient_key: str) -> Any:
    """The row of a patient's key, None where there is none."""
    row = connection.execute(sa.select(patients).where(patients.c.id == addresses.row(patient_key))).first()
    fits = row is not None and addresses.fits(patient_key, row.facility, row.issuer, row.patient_id)
    return row if fits else None


def studies_of_patient(row: Any) -> tuple[sa.ColumnElement[bool], ...]:
    return (studies.c.facility == row.facility, studies.c.patient_issuer == row.issuer,
            studies.c.patient_id == row.patient_id)
