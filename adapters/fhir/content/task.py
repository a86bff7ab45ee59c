"""A line of the worklist as a FHIR Task (R4 12.3): a person interprets this study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.datatypes import (
    Json,
    clean,
    compact,
    concept,
    identifier,
    issuer_system,
    moment,
    reference,
)
from adapters.fhir.content.observations import VERDICT_CODES
from adapters.fhir.content.subjects import accession_identifier
from gateway import identity
from gateway.case import CaseState
from gateway.ports import CaseView
from gateway.result import Verdict
from gateway.triage import Band

_PRIORITY = {Band.PATHOLOGY: "stat", Band.NEEDS_A_PERSON: "asap", Band.NOT_ANALYSED: "urgent"}
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Site:
    """Whose ids these are: the facility, and issuer as received → the URI that the EHR knows it by."""

    facility: str
    systems: Mapping[str, str]

    def patient_system(self, issuer: str) -> str:
        """As in the reports: the issuer's URI, else one of our own for facility and issuer."""
        own = "urn:oid:" + identity.uid("fhir-system", "patient", self.facility, issuer)
        return self.systems.get(issuer, "") or issuer_system(issuer, own)


def priority_of(case: CaseView) -> str:
    """stat, asap, urgent or routine: never higher than that of a line above it, so that sorting by it keeps the order.
    """
    return _PRIORITY.get(Band(case.band), "routine")


def status_of(case: CaseView) -> str:
    """`draft` while objects are still coming, `ready` until a person has read it: what the readers made of it stands
    in businessStatus."""
    if case.state == CaseState.CANCELLED:
        return "cancelled"
    if case.band == Band.READ:
        return "completed"
    return "draft" if case.state == CaseState.RECEIVING else "ready"


def task(case: CaseView, site: Site) -> Json:
    """The Task whose id is the case id. Patient, study and order are named by their identifiers."""
    changed = max(t for t in (case.received_at, case.reported_at, case.read_at) if t)
    resource: Json = compact({
        "resourceType": "Task", "id": case.case_id, "identifier": [identifier(v.CASE, case.case_id, use="official")],
        "basedOn": _order(case), "status": status_of(case), "businessStatus": _business_status(case),
        "intent": "plan", "priority": priority_of(case), "code": concept(v.INTERPRETING),
        "description": clean(case.summary) or clean(case.error), "focus": _study(case), "for": _patient(case, site),
        "executionPeriod": {"end": _at(case.read_at)} if status_of(case) == "completed" else None,
        "authoredOn": _at(case.received_at), "lastModified": _at(changed),
        "reasonCode": _reason(case), "reasonReference": _report(case),
        "note": [{"text": clean(problem.get("text"))} for problem in case.problems if clean(problem.get("text"))],
        "restriction": {"period": {"end": _at(case.due_at)}}, "input": _inputs(case)})
    return resource | {"meta": {"versionId": identity.digest(resource)[:20], "lastUpdated": _at(changed)}}


def _at(when: datetime | None) -> str:
    return moment(when) if when else ""


def _order(case: CaseView) -> list[Json]:
    if not case.accession_number:
        return []
    return [{"type": "ServiceRequest", "identifier": accession_identifier("", case.accession_number)}]


def _business_status(case: CaseView) -> Json:
    told = {"coding": [{"system": v.CASE_STATE, "code": case.state}], "text": case.state}
    return told | ({"text": f"{case.state}: {case.verdict}"} if case.verdict else {})


def _study(case: CaseView) -> Json:
    return {"type": "ImagingStudy", "display": clean(f"{case.modality} {case.study_description}"),
            "identifier": {"system": v.DICOM_UID, "value": f"urn:oid:{case.study_instance_uid}"}}


def _patient(case: CaseView, site: Site) -> Json:
    if case.patient_id:
        known = identifier(site.patient_system(case.patient_issuer), case.patient_id, "MR", "Medical record number")
    else:
        known = identifier(v.CASE_PATIENT, case.case_id)
    return {"type": "Patient", "identifier": known, "display": clean(case.patient_name.replace("^", " "))}


def _reason(case: CaseView) -> Json | None:
    if case.verdict is None:
        return None
    risk = f", risk {case.risk:.3f}" if case.risk is not None else ""
    shown = ", demonstration model" if case.demonstration else ""
    return concept(VERDICT_CODES[Verdict(case.verdict)], text=f"{case.verdict}{risk}{shown}")


def _report(case: CaseView) -> Json | None:
    """Our report, where there is one."""
    if case.verdict is None or not case.run_id:
        return None
    return reference(f"DiagnosticReport/{case.case_id}", "DiagnosticReport")


def _inputs(case: CaseView) -> list[Json]:
    if case.verdict is None or case.risk is None:
        return []
    return [{"type": concept(v.RISK), "valueDecimal": round(case.risk, _DIGITS)}]
