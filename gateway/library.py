"""Patients and studies as people keep them over the API: values and ports.

A patient and a study are known by opaque ids of our own (`patient_key`, `study_id`): no address holds patient data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from gateway.browsing import WorklistFilter
from gateway.erasing import Eraser
from gateway.study import Patient


@dataclass(frozen=True, slots=True)
class PatientRecord:
    """`version`: changes with the record. `merged_into`: key of the patient that this one is an alias of (A40)."""

    patient_key: str
    patient: Patient
    studies: int
    version: str
    merged_into: str = ""


@dataclass(frozen=True, slots=True)
class Demographics:
    """What of a patient may be changed; None: left as it is. Identity is issuer and id, which stay."""

    name: str | None = None
    birth_date: str | None = None
    sex: str | None = None


class Patients(Protocol):
    """Port. Cursors are opaque; a bad one raises Unusable. `who`: the name of the asker, for the audit."""

    def page(self, limit: int, cursor: str | None = None,
             text: str = "") -> tuple[tuple[PatientRecord, ...], str | None]:
        """In the order in which they became known; every word of `text` stands in name or id."""
        ...

    def get(self, patient_key: str) -> PatientRecord | None: ...

    def create(self, patient: Patient, who: str) -> PatientRecord:
        """Raises Conflict where the patient is known already."""
        ...

    def change(self, patient_key: str, wanted: Demographics, version: str | None, who: str) -> PatientRecord:
        """`version`: as it was read, None: whatever it is. Raises NotFound, Stale."""
        ...


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study with what its most urgent case says. `files`: objects that are still on disk, of `objects` received."""

    study_id: str
    patient_key: str
    study_instance_uid: str
    patient: Patient
    accession_number: str
    modality: str
    description: str
    received_at: datetime
    objects: int
    files: int
    receiving: bool
    state: str
    verdict: str | None
    risk: float | None
    demonstration: bool
    cases: tuple[str, ...]
    findings: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A received object on disk: its path, and the name it gets in a download."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What one reader made of a study, if anything. `documents`: {kind, identity, destination} each."""

    case_id: str
    run_id: str
    pipeline: str
    state: str
    result: Mapping[str, Any] | None
    documents: tuple[Mapping[str, str], ...]


class Studies(Protocol):
    """Port. `study_id`: of our own making; methods that take one raise NotFound."""

    def page(self, where: WorklistFilter, limit: int, cursor: str | None = None,
             patient_key: str = "") -> tuple[tuple[StudyRecord, ...], str | None]:
        """The last received first; the filter is asked of each study's most urgent case, as in the worklist."""
        ...

    def get(self, study_id: str) -> StudyRecord: ...

    def ids_of(self, study_instance_uids: Sequence[str]) -> tuple[str, ...]:
        """Of the studies that are there, in the order of the UIDs."""
        ...

    def describe(self, study_id: str, description: str, before: str | None, who: str) -> None:
        """`before`: as it was read, None: whatever it is. Raises Stale."""
        ...

    def files(self, study_id: str) -> tuple[StoredFile, ...]: ...

    def results(self, study_id: str) -> tuple[CaseResult, ...]: ...

    def analyse(self, study_id: str) -> None:
        """Read it now with what is there, whatever is still awaited; again with nothing new changes nothing."""
        ...


@dataclass(frozen=True, slots=True)
class AuditLine:
    """Who did what, when. `subject` and `detail` hold ids of our own making and counts, never patient data."""

    line_id: int
    at: datetime
    who: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


class Audit(Protocol):
    """Port: append only."""

    def page(self, limit: int, cursor: str | None = None) -> tuple[tuple[AuditLine, ...], str | None]:
        """The newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Library:
    """All that the API's routes for patients and studies ask."""

    patients: Patients
    studies: Studies
    audit: Audit
    eraser: Eraser
