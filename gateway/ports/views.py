"""What pages, API, FHIR and terminal are told: values, none of which changes anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.delivery import DeliveryState, Kind
from gateway.study import Priority


@dataclass(frozen=True, slots=True)
class DeliveryView:
    delivery_id: int
    case_id: str
    destination: str
    kind: Kind
    state: DeliveryState
    attempts: int
    last_error: str = ""
    next_attempt_at: datetime | None = None
    delivered_at: datetime | None = None
    receipt: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaseView:
    """One worklist line (CONTRACT, `/api/worklist`), and more for the case page. Times are aware UTC."""

    case_id: str
    run_id: str
    study_instance_uid: str
    accession_number: str
    patient_id: str
    patient_name: str
    modality: str
    pipeline: str
    state: str
    completeness: str
    read_at: datetime | None
    verdict: str | None
    risk: float | None
    priority: Priority
    received_at: datetime
    reported_at: datetime | None
    demonstration: bool
    findings: tuple[Mapping[str, Any], ...] = ()
    """{code, display, probability, threshold, present} each; `code` is the label."""
    deliveries: tuple[DeliveryView, ...] = ()
    cases: tuple[str, ...] = ()
    patient_birth_date: str = ""
    patient_sex: str = ""
    patient_issuer: str = ""
    study_description: str = ""
    problems: tuple[Mapping[str, str], ...] = ()
    """{code, text}: why undetermined, failed, unsupported or partial."""
    summary: str = ""
    error: str = ""
    conflict: bool = False
    missing: tuple[Mapping[str, Any], ...] = ()
    """{lack, missing, of, series} each: what the study is known to lack (gateway.completion.Missing)."""
    due_at: datetime | None = None
    """When a person should have looked: the time budget of its priority, counted from the first object."""
    band: int = 2
    """gateway.triage.Band: the first key of the order."""
    place_reasons: tuple[Mapping[str, Any], ...] = ()
    """Why it stands where it does: {code, values} each, from gateway.triage.explain, the weightiest first."""


@dataclass(frozen=True, slots=True)
class CaseDetail:
    """A case with its full result (JSON form), its order, its versions."""

    case: CaseView
    result: Mapping[str, Any] | None
    order: Mapping[str, Any] | None
    runs: tuple[Mapping[str, Any], ...]
    """{run_id, number, created_at, state, verdict, risk, current, error} each, newest first."""
    instances: int
    documents: tuple[Mapping[str, str], ...]
    """{kind, identity, destination} each."""
    evidence: tuple[Mapping[str, Any], ...] = ()
    """{kind, …} each: why the study was taken as complete, then what was said of it (gateway.assembly.Handover)."""
    prior: Mapping[str, Any] | None = None
    """{state, study_instance_uid, archive, objects, error} of the earlier study that its route asks for
    (gateway.fetching.PriorState); None where none was asked for."""


@dataclass(frozen=True, slots=True)
class Page:
    items: tuple[CaseView, ...]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """FHIR search of what the gateway made: every field optional. `updated`: (prefix, aware datetime) pairs.

    Prefixes are `ge` and `lt` (the FHIR adapter turns the others and partial dates into these).
    """

    case_id: str = ""
    study_instance_uid: str = ""
    accession_number: str = ""
    patient_id: str = ""
    patient_issuer: str = ""
    status: str = ""
    updated: tuple[tuple[str, datetime], ...] = ()
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class StoredDocument:
    case_id: str
    run_id: str
    kind: Kind
    identity: str
    destination: str
    content: bytes
    created_at: datetime
