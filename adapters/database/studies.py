"""Studies as rows, and back as the Study that pipelines and documents see."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from pydantic_core import to_json

from adapters.database.connection import Written
from adapters.database.filtering import search_text
from adapters.database.tables import instances, studies
from gateway.study import Instance, Order, Patient, Priority, Series, Study, Tags

_NAME_MARKS = str.maketrans("^=", "  ")


def study_columns(facility: str, tags: Tags) -> dict[str, Any]:
    """What a study row takes from the tags of one of its instances."""
    return with_search({
        "facility": facility, "study_instance_uid": str(tags["StudyInstanceUID"]),
        "patient_id": _text(tags, "PatientID"), "patient_issuer": _text(tags, "IssuerOfPatientID"),
        "patient_name": _text(tags, "PatientName"), "patient_birth_date": _text(tags, "PatientBirthDate"),
        "patient_sex": _text(tags, "PatientSex"), "accession_number": _text(tags, "AccessionNumber"),
        "accession_issuer": _text(tags, "IssuerOfAccessionNumberSequence"), "modality": _text(tags, "Modality"),
        "description": _text(tags, "StudyDescription"),
    })


def with_search(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns of a study with what a text search looks through; `patient_name` in PN form."""
    told = (columns["patient_name"].translate(_NAME_MARKS), columns["patient_id"], columns["accession_number"])
    return {**columns, "search": search_text(*told)}


def _text(tags: Tags, keyword: str) -> str:
    value = tags.get(keyword)
    return str(storable("" if value is None else str(value)))


def storable(value: Any) -> Any:
    """As both databases take it: no NUL, no lone surrogates, no NaN, at any depth."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {storable(name): storable(one) for name, one in value.items()}
    return [storable(one) for one in value] if isinstance(value, list | tuple) else value


def plain(value: Order | Patient) -> dict[str, Any]:
    """Its fields by name, one level deep: `dataclasses.asdict` takes ten times as long on the receiving path."""
    return {name: getattr(value, name) for name in value.__slots__}


def order_to_json(order: Order) -> dict[str, Any]:
    return {**plain(order), "patient": plain(order.patient), "fields": dict(order.fields)}


def order_from_json(body: Any) -> Order | None:
    if not body:
        return None
    return Order(**{**body, "patient": Patient(**body["patient"]), "priority": Priority(body["priority"])})


def load_study(connection: sa.Connection, study_id: int, order: Order | None,
               last_instance_id: int | None = None, only: sa.ColumnElement[bool] | None = None) -> Study:
    """The study as it stood when `last_instance_id` was its newest instance (None: as it stands).

    `only`: with those of its instances for which that holds.
    """
    row = connection.execute(sa.select(studies).where(studies.c.id == study_id)).one()
    query = sa.select(instances).where(instances.c.study_id == study_id, instances.c.conflict.is_(False))
    if last_instance_id is not None:
        query = query.where(instances.c.id <= last_instance_id)
    if only is not None:
        query = query.where(only)
    found = connection.execute(query.order_by(instances.c.id)).all() or _conflicting(connection, study_id)
    patient = Patient(row.patient_id, row.patient_issuer, row.patient_name, row.patient_birth_date, row.patient_sex)
    return Study(row.facility, row.study_instance_uid, patient,
                 series_of(instance_of(i, row.study_instance_uid) for i in found),
                 row.accession_number, row.accession_issuer, order)


def _conflicting(connection: sa.Connection, study_id: int) -> Any:
    """What is there when every object contradicts one that is gone."""
    return connection.execute(sa.select(instances).where(instances.c.study_id == study_id).order_by(
        instances.c.id)).all()


def instance_of(row: Any, study_uid: str) -> Instance:
    return Instance(row.sop_instance_uid, row.sop_class_uid, study_uid, row.series_instance_uid,
                    row.transfer_syntax_uid, row.path, row.size, row.digest, row.tags, row.received_at, row.sender)


def series_of(found: Iterable[Instance]) -> tuple[Series, ...]:
    """Instances grouped by series, in the order received."""
    grouped: dict[str, list[Instance]] = {}
    for instance in found:
        grouped.setdefault(instance.series_instance_uid, []).append(instance)
    return tuple(Series(uid, str(group[0].tags.get("Modality", "")), tuple(group)) for uid, group in grouped.items())


def count_instances(connection: sa.Connection, study_id: int) -> int:
    """Objects of the study, each once, whatever else was received under its UID."""
    return int(connection.execute(sa.select(sa.func.count(instances.c.sop_instance_uid.distinct())).where(
        instances.c.study_id == study_id)).scalar_one())


def newest_instance(connection: sa.Connection, study_id: int) -> int:
    """Id of the newest instance row, 0 without any."""
    query = sa.select(sa.func.max(instances.c.id)).where(instances.c.study_id == study_id)
    return int(connection.execute(query).scalar() or 0)


def storable_tags(tags: Tags) -> Any:
    """As `storable`, which looks at each value by itself only where one may have to be changed."""
    try:
        text = to_json(tags, inf_nan_mode="null").decode()
    except ValueError:  # lone surrogates
        return storable(tags)
    return storable(tags) if "\\u0000" in text else Written(text)
