"""Implements gateway.erasing.ErasingRows: a study goes with all that was made of it, and leaves one line of audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapters.database.audit import note
from adapters.database.connection import writing
from adapters.database.library_studies import study_id_of, study_row
from adapters.database.opaque import Addresses
from adapters.database.patients import patient_row, studies_of_patient
from adapters.database.planning_rows import OPEN
from adapters.database.tables import cases, deliveries, documents, evidence, instances, orders, patients, runs, studies
from gateway.delivery import DeliveryState
from gateway.erasing import Doomed
from gateway.errors import Conflict, NotFound

_PENDING = deliveries.c.state == DeliveryState.PENDING.value


class StudyErasing:
    """Row changes behind the deletion of studies and patients."""

    def __init__(self, engine: sa.Engine, addresses: Addresses) -> None:
        self._engine, self._addresses = engine, addresses

    def doom(self, study_id: str, at: datetime, *, force: bool) -> None:
        with writing(self._engine) as connection:
            row = study_row(connection, self._addresses, study_id)
            if not force:
                _require_idle(connection, row)
            of_study = runs.c.case_id.in_(_cases(row.id))
            connection.execute(sa.update(runs).where(of_study, runs.c.state == "waiting").values(state="cancelled"))
            connection.execute(sa.update(studies).where(studies.c.id == row.id).values(
                receiving=False, replan=False, files_deleted_at=at))

    def doomed(self, study_id: str) -> Doomed:
        with self._engine.connect() as connection:
            row = self._doomed_row(connection, study_id)
            objects = connection.execute(sa.select(instances.c.path).where(instances.c.study_id == row.id)).scalars()
            made = connection.execute(sa.select(documents.c.path).where(
                documents.c.case_id.in_(_cases(row.id)), documents.c.path != "")).scalars()
            tried = connection.execute(sa.select(runs.c.run_id, runs.c.attempt).where(
                runs.c.case_id.in_(_cases(row.id)))).tuples()
            sent = connection.execute(sa.select(deliveries.c.id, deliveries.c.generation).where(
                deliveries.c.case_id.in_(_cases(row.id)))).tuples()
            return Doomed(study_id, tuple(objects), tuple(made), tuple(tried), tuple(sent))

    def reading(self, study_id: str) -> bool:
        with self._engine.connect() as connection:
            row = study_row(connection, self._addresses, study_id)
            return connection.execute(sa.select(runs.c.run_id).where(
                runs.c.case_id.in_(_cases(row.id)), runs.c.state == "analysing")).first() is not None

    def erase(self, doomed: Doomed, who: str, at: datetime, *, force: bool) -> None:
        with writing(self._engine) as connection:
            row = self._doomed_row(connection, doomed.study_id)
            pending = connection.execute(sa.select(sa.func.count()).where(
                deliveries.c.case_id.in_(_cases(row.id)), _PENDING)).scalar_one()
            told = connection.execute(_cases(row.id)).scalars().all()
            connection.execute(sa.delete(evidence).where(
                evidence.c.facility == row.facility, evidence.c.study_instance_uid == row.study_instance_uid))
            connection.execute(sa.delete(studies).where(studies.c.id == row.id))
            note(connection, at, who, "study_deleted", doomed.study_id, objects=len(doomed.objects),
                 documents=len(doomed.documents), cases=list(told), forced=force, deliveries_abandoned=pending)

    def _doomed_row(self, connection: sa.Connection, study_id: str) -> Any:
        row = study_row(connection, self._addresses, study_id)
        if row.files_deleted_at is None:
            raise Conflict("Objects of this study came in while it was being deleted: delete it again.")
        return row

    # ------------------------------------------------------------ patients

    def studies_of(self, patient_key: str) -> Sequence[str]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(studies.c.id, studies.c.facility, studies.c.study_instance_uid).where(
                *studies_of_patient(self._patient(connection, patient_key))).order_by(studies.c.id)).all()
        return [study_id_of(self._addresses, row) for row in rows]

    def require_idle(self, study_ids: Sequence[str]) -> None:
        with self._engine.connect() as connection:
            for study_id in study_ids:
                _require_idle(connection, study_row(connection, self._addresses, study_id))

    def erase_patient(self, patient_key: str, who: str, at: datetime) -> None:
        with writing(self._engine) as connection:
            row = self._patient(connection, patient_key)
            if connection.execute(sa.select(studies.c.id).where(*studies_of_patient(row))).first() is not None:
                raise Conflict("A study of this patient came in while it was being deleted: delete again.")
            gone = [order.id for order in connection.execute(sa.select(orders.c.id, orders.c.body).where(
                orders.c.facility == row.facility, orders.c.patient_id == row.patient_id))
                if order.body["patient"]["issuer"] == row.issuer]
            connection.execute(sa.delete(orders).where(orders.c.id.in_(gone)))
            connection.execute(sa.delete(patients).where(patients.c.id == row.id))
            note(connection, at, who, "patient_deleted", patient_key, orders=len(gone))

    def _patient(self, connection: sa.Connection, patient_key: str) -> Any:
        row = patient_row(connection, self._addresses, patient_key)
        if row is None:
            raise NotFound("There is no such patient.", element="patient_key")
        return row


def _cases(row_id: int) -> sa.Select[tuple[str]]:
    return sa.select(cases.c.case_id).where(cases.c.study_id == row_id)


def _require_idle(connection: sa.Connection, row: Any) -> None:
    if row.receiving:
        raise Conflict("The study is still being received: wait until it is read, or force the deletion.")
    if connection.execute(sa.select(runs.c.run_id).where(
            runs.c.case_id.in_(_cases(row.id)), runs.c.state.in_(OPEN))).first() is not None:
        raise Conflict("The study is being read: cancel its cases or wait, or force the deletion.")
    if connection.execute(sa.select(deliveries.c.id).where(
            deliveries.c.case_id.in_(_cases(row.id)), _PENDING)).first() is not None:
        raise Conflict("Results of the study are under delivery: wait until they are delivered, or force the deletion.")
