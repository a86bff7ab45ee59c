"""The JSON forms of the contract ("HTTP"). Field names are fixed; times are ISO 8601 UTC with Z."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from pydantic_core import to_json

from gateway.completion import known_code, missing_from_json, told
from gateway.fetching import PriorState
from gateway.ports import CaseDetail, CaseView, DeliveryView, Page
from gateway.study import Priority


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


Time = Annotated[datetime, AfterValidator(_utc)]


class FindingForm(BaseModel):
    code: str
    display: str
    probability: float
    threshold: float
    present: bool


class DeliveryMark(BaseModel):
    """A delivery as the worklist shows it."""

    destination: str
    kind: str
    state: str


class DeliveryForm(DeliveryMark):
    """A line of the delivery ledger. `receipt`: what the peer answered."""

    delivery_id: int
    case_id: str
    attempts: int
    last_error: str
    next_attempt_at: Time | None
    delivered_at: Time | None
    receipt: dict[str, Any]

    @classmethod
    def of(cls, view: DeliveryView) -> DeliveryForm:
        return cls(delivery_id=view.delivery_id, case_id=view.case_id, destination=view.destination, kind=view.kind,
                   state=view.state, attempts=view.attempts, last_error=view.last_error, receipt=dict(view.receipt),
                   next_attempt_at=view.next_attempt_at, delivered_at=view.delivered_at)


class ProblemForm(BaseModel):
    code: str
    text: str


class ReasonForm(BaseModel):
    """One answer to "why here?": a code of gateway.triage.explain and its values."""

    code: str
    values: dict[str, str | float | int]


class MissingForm(BaseModel):
    """What the study is known to lack: `missing` of `of` objects, of one series where it is told."""

    lack: str
    missing: int
    of: int
    series: str
    text: str

    @classmethod
    def of_json(cls, form: Mapping[str, Any]) -> MissingForm:
        (one,) = missing_from_json([form])
        return cls(**form, text=one.told("en"))


class EvidenceForm(BaseModel):
    """Why the study was taken as complete, or what a system said of it. `code`: kind, and how far it had come."""

    code: str
    text: str
    sender: str = ""
    identity: str = ""
    heard_at: Time | None = None
    instances: int = 0
    count: int | None = None
    readings: int = 0
    seconds: float = 0

    @classmethod
    def of_json(cls, form: Mapping[str, Any]) -> EvidenceForm:
        return cls(**dict(form), code=known_code(form), text=told(form, "en"))


class CaseForm(BaseModel):
    """One worklist item: the contract's fields, then more that the pages show."""

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
    read_at: Time | None
    verdict: str | None
    risk: float | None
    priority: str
    received_at: Time
    reported_at: Time | None
    findings: list[FindingForm]
    deliveries: list[DeliveryMark]
    demonstration: bool
    cases: list[str]
    patient_birth_date: str
    patient_sex: str
    study_description: str
    problems: list[ProblemForm]
    summary: str
    error: str
    conflict: bool
    missing: list[MissingForm]
    due_at: Time | None
    place_reasons: list[ReasonForm]

    @classmethod
    def of(cls, view: CaseView) -> CaseForm:
        return cls(**_case_fields(view), deliveries=[
            DeliveryMark(destination=d.destination, kind=d.kind, state=d.state) for d in view.deliveries])


class RunForm(BaseModel):
    """One version of the case's reading."""

    run_id: str
    number: int
    created_at: Time
    state: str
    verdict: str | None
    risk: float | None
    current: bool
    error: str

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> RunForm:
        return cls(**{"verdict": None, "risk": None, "current": False, "error": ""} | dict(run))


class DocumentForm(BaseModel):
    kind: str
    identity: str
    destination: str


class PriorForm(BaseModel):
    """The patient's newest earlier study of that modality, where the route asks for it. `objects`: that are here."""

    state: PriorState
    study_instance_uid: str
    archive: str
    objects: int
    error: str


class CaseDetailForm(CaseForm):
    """The same with the full result, the order, the versions and the documents."""

    ledger: list[DeliveryForm]
    result: dict[str, Any] | None
    order: dict[str, Any] | None
    runs: list[RunForm]
    instances: int
    documents: list[DocumentForm]
    evidence: list[EvidenceForm]
    prior: PriorForm | None

    @classmethod
    def of_detail(cls, detail: CaseDetail) -> CaseDetailForm:
        ledger = [DeliveryForm.of(d) for d in detail.case.deliveries]
        return cls(**_case_fields(detail.case), deliveries=list(ledger), ledger=ledger,
                   result=None if detail.result is None else dict(detail.result),
                   order=None if detail.order is None else dict(detail.order),
                   runs=[RunForm.of(run) for run in detail.runs], instances=detail.instances,
                   documents=[DocumentForm(**document) for document in detail.documents],
                   evidence=[EvidenceForm.of_json(one) for one in detail.evidence],
                   prior=None if detail.prior is None else PriorForm(**detail.prior))


_PLAIN = tuple(name for name in CaseForm.model_fields
               if name not in {"deliveries", "findings", "problems", "cases", "place_reasons", "missing"})
_FINDING = tuple(FindingForm.model_fields)


def _case_fields(view: CaseView) -> dict[str, Any]:
    return {name: getattr(view, name) for name in _PLAIN} | {
        "findings": [_finding(f) for f in view.findings],
        "problems": [ProblemForm(**problem) for problem in view.problems],
        "cases": list(view.cases) or [view.case_id],
        "missing": [MissingForm.of_json(one) for one in view.missing],
        "place_reasons": [ReasonForm(code=r["code"], values=dict(r["values"])) for r in view.place_reasons],
    }


def _case_json(view: CaseView) -> dict[str, Any]:
    """A `CaseForm` as it is written."""
    return {name: getattr(view, name) for name in _PLAIN} | {
        "findings": view.findings and [{name: finding[name] for name in _FINDING} for finding in view.findings],
        "deliveries": [{"destination": d.destination, "kind": d.kind, "state": d.state} for d in view.deliveries],
        "problems": view.problems, "cases": view.cases or [view.case_id],
        "missing": [MissingForm.of_json(one).model_dump() for one in view.missing],
        "place_reasons": view.place_reasons,
    }


def _finding(finding: Mapping[str, Any]) -> FindingForm:
    return FindingForm(**{name: finding[name] for name in _FINDING})


class CasePage(BaseModel):
    items: list[CaseForm]
    total: int
    next: str | None


def page_json(page: Page) -> bytes:
    """A `CasePage` as JSON. Lists of a hundred are made on every look, and are not validated again on their way out."""
    return to_json({"items": [_case_json(view) for view in page.items], "total": page.total, "next": page.next})


class FacetCounts(BaseModel):
    """Value → how many studies of the filtered list have it."""

    modality: dict[str, int] = {}
    verdict: dict[str, int] = {}
    state: dict[str, int] = {}
    priority: dict[str, int] = {}
    finding: dict[str, int] = {}


class DeliveryPage(BaseModel):
    items: list[DeliveryForm]
    next: str | None


class ModelForm(BaseModel):
    """A model of the repository. Not ready: `reason` says why, and what only a ready model tells is empty."""

    name: str
    version: str
    sha256: str
    status: str
    demonstration: bool | None
    ready: bool
    reason: str
    card: str | None
    """Address of the model card, None where the model has none."""


class ModelList(BaseModel):
    items: list[ModelForm]


class PriorityChange(BaseModel):
    priority: Priority


class DestinationName(BaseModel):
    """Empty: every destination."""

    destination: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{0,64}$")] = ""


class Ordered(BaseModel):
    """An order was taken. `run_id`: the run that carries it out, where there is one."""

    case_id: str
    run_id: str = ""


class Retried(BaseModel):
    retried: int


class RefusedFile(BaseModel):
    name: str
    reason: str


class KeptBeside(BaseModel):
    """An object whose UID was here already with other content: both are kept, and the study is marked."""

    name: str
    reason: str


class Uploaded(BaseModel):
    """What became of each object of an upload. `conflicts`: files kept beside others, also those sent again."""

    stored: int = 0
    duplicate: int = 0
    conflict: int = 0
    conflicts: list[KeptBeside] = []
    refused: list[RefusedFile] = []
    studies: list[str] = []
    """Ids of the studies that the objects belong to, for `/api/studies/{study_id}`."""


class Prediction(BaseModel):
    """A result that is kept nowhere, in the form of `/api/cases/{case_id}` `result`; `left_out`: files not read."""

    model_config = ConfigDict(extra="allow")

    pipeline: str
    verdict: str
    risk: float
    findings: list[dict[str, Any]]
    left_out: list[RefusedFile] = []
