"""SQL of what is held: conditions on studies, rows as instances."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from adapters.database.studies import instance_of
from adapters.database.tables import cases, documents, instances, studies
from gateway.delivery import Kind
from gateway.held import Match, matches
from gateway.identity import document_series_uid
from gateway.study import Instance, Tags

MODALITIES = {Kind.SR.value: "SR", Kind.SC.value: "OT", Kind.SEG.value: "SEG"}
"""Kinds of documents that are DICOM objects of their study, and their modality. A `source` is held as the received
object that it is."""
MADE_HERE = "gateway:"
"""Sender of our own results."""
TOLD_WITHOUT_FILE = frozenset({"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality",
                               "InstanceNumber", "TransferSyntaxUID", "ModalitiesInStudy"})
"""What is known of a document without opening it."""
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_COLUMNS = {"StudyInstanceUID": studies.c.study_instance_uid, "PatientID": studies.c.patient_id,
            "IssuerOfPatientID": studies.c.patient_issuer, "PatientName": studies.c.patient_name,
            "PatientBirthDate": studies.c.patient_birth_date, "PatientSex": studies.c.patient_sex,
            "AccessionNumber": studies.c.accession_number, "StudyDescription": studies.c.description}
_UIDS = {"SOPInstanceUID": (instances.c.sop_instance_uid, documents.c.identity),
         "SOPClassUID": (instances.c.sop_class_uid, documents.c.sop_class_uid)}
_NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,6})?")


# ---------------------------------------------------------------- conditions


def condition(match: Match) -> sa.ColumnElement[bool]:
    """A matching key of the study as SQL, with the meaning of `gateway.held.matches`."""
    return _compared(_column(match.keyword), match)


def _compared(column: Any, match: Match) -> sa.ColumnElement[bool]:
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
    return sa.or_(_received([]), _made_where([]))


def told_once() -> sa.ColumnElement[bool]:
    """One object for each UID: what came later under it with other content is not told."""
    other = instances.alias()
    first = sa.select(other.c.id).where(
        other.c.study_id == instances.c.study_id, other.c.sop_instance_uid == instances.c.sop_instance_uid,
        sa.or_(other.c.conflict.is_(False), other.c.id < instances.c.id)).exists()
    return sa.or_(instances.c.conflict.is_(False), ~first)


def within(wanted: Sequence[Match]) -> Iterator[sa.ColumnElement[bool]]:
    """Studies that may hold what matches below their own level: none is left out that does."""
    for match in (m for m in wanted if m.keyword == "ModalitiesInStudy"):
        modality = Match("Modality", match.values, wildcards=match.wildcards)
        yield sa.or_(_received([_may_equal(modality)]), *_made([modality]))
    below = [m for m in wanted if m.keyword != "ModalitiesInStudy"]
    if below:
        yield sa.or_(_received([_may_equal(m) for m in below]), *_made(below))


def named(connection: sa.Connection, wanted: Sequence[Match]) -> Iterator[sa.ColumnElement[bool]]:
    """Searches by instance or series UID look only into the studies that hold one."""
    for match in (m for m in wanted if m.values):
        if match.keyword == "SOPInstanceUID":
            here = sa.select(instances.c.study_id).where(instances.c.sop_instance_uid.in_(match.values))
            made = _current(cases.c.study_id).where(documents.c.identity.in_(match.values))
            yield sa.or_(studies.c.id.in_(here), studies.c.id.in_(made))
        elif match.keyword == "SeriesInstanceUID":
            yield studies.c.id.in_(_holding_series(connection, match.values))


def _holding_series(connection: sa.Connection, uids: Sequence[str]) -> set[int]:
    """Ids of studies; the series of our results are known by their run alone."""
    rows = connection.execute(sa.select(instances.c.study_id, instances.c.series_instance_uid).where(
        instances.c.series_instance_uid.in_(uids)).distinct()).all()
    found, left = {row.study_id for row in rows}, set(uids) - {row.series_instance_uid for row in rows}
    if left:
        made = _current(cases.c.study_id, documents.c.run_id, documents.c.kind)
        found |= {row.study_id for row in connection.execute(made)
                  if document_series_uid(row.run_id, row.kind) in left}
    return found


def _current(*columns: Any) -> Any:
    """DICOM documents of the current runs whose file is there."""
    return sa.select(*columns).select_from(documents.join(cases, cases.c.run_id == documents.c.run_id)).where(
        documents.c.kind.in_(tuple(MODALITIES)), documents.c.path != "")


def _received(conditions: Sequence[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    return sa.select(instances.c.id).where(instances.c.study_id == studies.c.id, *conditions).exists()


def _made_where(conditions: Sequence[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    made: sa.ColumnElement[bool] = _current(documents.c.id).where(
        cases.c.study_id == studies.c.id, *conditions).exists()
    return made


def _made(wanted: Sequence[Match]) -> Iterator[sa.ColumnElement[bool]]:
    """Studies with a document that may match, as far as its row tells."""
    told = [m for m in wanted if m.keyword in ("Modality", "InstanceNumber")]
    kinds = [kind for kind, modality in MODALITIES.items()
             if matches({"Modality": modality, "InstanceNumber": 1}, told)]
    if kinds:
        yield _made_where([documents.c.kind.in_(kinds),
                           *(_UIDS[m.keyword][1].in_(m.values) for m in wanted if m.keyword in _UIDS)])


def _may_equal(match: Match) -> sa.ColumnElement[bool]:
    """True for every instance whose tags match; several values in one attribute are left to `gateway.held.matches`."""
    if match.keyword in _UIDS and match.values:
        return _UIDS[match.keyword][0].in_(match.values)
    head, _, inner = match.keyword.partition(".")
    told = sa.cast(instances.c.tags[head].as_string(), sa.Text)
    if inner:
        return told.is_not(None)
    forms = Match(match.keyword, tuple(f for v in match.values for f in _forms(v)), match.between, match.wildcards,
                  match.name)
    return sa.or_(_compared(told, forms), told.like("[%"))


def _forms(value: str) -> tuple[str, ...]:
    """How JSON may write a number that equals the value, and the value itself."""
    if not _NUMBER.fullmatch(value):
        return (value,)
    number = float(value)
    return tuple(dict.fromkeys((value, f"{number:g}", repr(number))))


# ---------------------------------------------------------------- rows


def series(connection: sa.Connection, uids: Mapping[int, str]) -> Iterator[tuple[int, Instance, int]]:
    """(study id, first instance of a series, how many it has), in order of arrival. `uids`: of the studies by id."""
    grouped = sa.select(sa.func.min(instances.c.id).label("first"), sa.func.count().label("held")).where(
        instances.c.study_id.in_(uids), told_once()).group_by(
        instances.c.study_id, instances.c.series_instance_uid).subquery()
    for row in connection.execute(sa.select(instances, grouped.c.held).join(
            grouped, instances.c.id == grouped.c.first).order_by(instances.c.id)):
        yield row.study_id, instance_of(row, uids[row.study_id]), row.held


def instances_of(connection: sa.Connection, uids: Mapping[int, str], series_uid: str,
                 instance_uid: str) -> Iterator[tuple[int, Instance]]:
    """(study id, instance) in order of arrival; of one series or one instance where that is named."""
    asked = sa.select(instances).where(instances.c.study_id.in_(uids), told_once()).order_by(instances.c.id)
    if series_uid:
        asked = asked.where(instances.c.series_instance_uid == series_uid)
    if instance_uid:
        asked = asked.where(instances.c.sop_instance_uid == instance_uid)
    for row in connection.execute(asked):
        yield row.study_id, instance_of(row, uids[row.study_id])


def documents_of(connection: sa.Connection, uids: Mapping[int, str],
                 instance_uid: str = "") -> Iterator[tuple[int, Instance]]:
    """(study id, result) of the current runs, each once."""
    asked = _current(documents, cases.c.study_id).where(cases.c.study_id.in_(uids)).order_by(documents.c.id)
    if instance_uid:
        asked = asked.where(documents.c.identity == instance_uid)
    known = set()
    for row in connection.execute(asked):
        if row.identity not in known:
            known.add(row.identity)
            yield row.study_id, _document(row, uids[row.study_id])


def _document(row: Any, study_uid: str) -> Instance:
    """As far as its row tells; `size` is not known without its file."""
    series_uid = document_series_uid(row.run_id, row.kind)
    tags: Tags = {"SOPClassUID": row.sop_class_uid, "SOPInstanceUID": row.identity, "StudyInstanceUID": study_uid,
                  "SeriesInstanceUID": series_uid, "Modality": MODALITIES[row.kind], "InstanceNumber": 1,
                  "TransferSyntaxUID": _EXPLICIT_LITTLE_ENDIAN}
    return Instance(row.identity, row.sop_class_uid, study_uid, series_uid, _EXPLICIT_LITTLE_ENDIAN, row.path, 0,
                    row.sha256, tags, row.created_at, MADE_HERE)
