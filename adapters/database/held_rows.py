"""SQL of what is held: conditions on studies, rows as instances."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from adapters.database.tables import cases, documents, instances, studies
from gateway.delivery import Kind
from gateway.held import Match
from gateway.study import Instance, Tags

HELD_KINDS = (Kind.SR.value, Kind.SC.value, Kind.SEG.value)
"""Documents that are DICOM objects of their study; a `source` is held as the received object that it is."""

_COLUMNS = {"StudyInstanceUID": studies.c.study_instance_uid, "PatientID": studies.c.patient_id,
            "IssuerOfPatientID": studies.c.patient_issuer, "PatientName": studies.c.patient_name,
            "PatientBirthDate": studies.c.patient_birth_date, "PatientSex": studies.c.patient_sex,
            "AccessionNumber": studies.c.accession_number, "StudyDescription": studies.c.description}


def condition(match: Match) -> sa.ColumnElement[bool]:
    """The matching key as SQL, with the meaning of `gateway.held.matches`."""
    column = _column(match.keyword)
    if match.between is not None:
        low, high = match.between
        within: sa.ColumnElement[bool] = column >= low
        return sa.and_(within, sa.or_(column <= high, _like(column, f"{_escaped(high)}%"))) if high else within
    return sa.or_(*(_equal(column, value, match) for value in match.values))


def _column(keyword: str) -> Any:
    """The study's own column, else the attribute of its first instance."""
    if keyword in _COLUMNS:
        return _COLUMNS[keyword]
    first = sa.select(instances.c.tags[keyword].as_string()).where(
        instances.c.study_id == studies.c.id).order_by(instances.c.id).limit(1)
    return first.scalar_subquery()


def _equal(column: Any, value: str, match: Match) -> sa.ColumnElement[bool]:
    if match.name:
        # SQLite compares only ASCII without regard to case: other letters are tried in their usual forms
        forms = dict.fromkeys((value, value.lower(), value.upper(), value.title()))
        return sa.or_(*(test for form in forms for test in (_like(column, _like_pattern(form), caseless=True),
                                                            _like(column, f"{_like_pattern(form)}=%", caseless=True))))
    if match.wildcards and ("*" in value or "?" in value):
        return _like(column, _like_pattern(value))
    return sa.cast(column == value, sa.Boolean)


def _like(column: Any, pattern: str, *, caseless: bool = False) -> sa.ColumnElement[bool]:
    test: sa.ColumnElement[bool] = column.ilike(pattern, escape="\\") if caseless else column.like(
        pattern, escape="\\")
    return test


def _like_pattern(value: str) -> str:
    return _escaped(value).replace("*", "%").replace("?", "_")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def something_held() -> sa.ColumnElement[bool]:
    """The study has an object, or a result that is still on disk."""
    received = sa.select(instances.c.id).where(instances.c.study_id == studies.c.id).exists()
    made = sa.select(documents.c.id).join(cases, cases.c.run_id == documents.c.run_id).where(
        cases.c.study_id == studies.c.id, documents.c.kind.in_(HELD_KINDS), documents.c.path != "").exists()
    return sa.or_(received, made)


def told_once() -> sa.ColumnElement[bool]:
    """One object for each UID: what came later under it with other content is not told."""
    other = instances.alias()
    first = sa.select(other.c.id).where(
        other.c.study_id == instances.c.study_id, other.c.sop_instance_uid == instances.c.sop_instance_uid,
        sa.or_(other.c.conflict.is_(False), other.c.id < instances.c.id)).exists()
    return sa.or_(instances.c.conflict.is_(False), ~first)


def instance_of(row: Any, study_uid: str) -> Instance:
    return Instance(row.sop_instance_uid, row.sop_class_uid, study_uid, row.series_instance_uid,
                    row.transfer_syntax_uid, row.path, row.size, row.digest, row.tags, row.received_at, row.sender)


def document_instance(row: Any, study_uid: str, tags: Tags) -> Instance:
    """A result as an instance of its study; `size` is not known without its file."""
    return Instance(row.identity, row.sop_class_uid or str(tags.get("SOPClassUID", "")), study_uid,
                    str(tags.get("SeriesInstanceUID", "")), str(tags.get("TransferSyntaxUID", "")), row.path, 0,
                    row.sha256, tags, row.created_at)
