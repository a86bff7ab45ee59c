"""`/api/studies`: what is kept of each study, what was made of it, and its deletion; `/api/audit`: who did what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import structlog
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from adapters.web.paging import DEFAULT_LIMIT, Cursor, Force, IfMatch, Limit, Plain, StudyId, tag, version_of
from adapters.web.principal import Asker
from adapters.web.problems import Refusal, problems_of
from adapters.web.schemas import DocumentForm, FindingForm, Time
from adapters.web.worklist_filter import ListQuery, SearchForm
from adapters.web.zip_stream import zipped
from gateway.browsing import WorklistFilter
from gateway.delivery import MEDIA_TYPES, Kind
from gateway.erasing import Eraser
from gateway.identity import digest
from gateway.library import Audit, CaseResult, Studies, StudyRecord

log = structlog.get_logger()
_ZIP = "application/zip"


class StudyQuery(ListQuery):
    """`patient`: a `patient_key`."""

    patient: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{0,64}$", description="`patient_key` of a patient.")] = ""


class StudyForm(BaseModel):
    """A study, told by its most urgent case. `objects`: received; `files`: of these still on disk."""

    study_id: str
    patient_key: str
    study_instance_uid: str
    patient_id: str
    patient_name: str
    accession_number: str
    modality: str
    description: str
    received_at: Time
    objects: int
    files: int
    receiving: bool
    state: str
    verdict: str | None
    risk: float | None
    demonstration: bool
    findings: list[FindingForm]
    cases: list[str]

    @classmethod
    def of(cls, study: StudyRecord) -> StudyForm:
        same = cls.model_fields.keys() - {"patient_id", "patient_name", "findings", "cases"}
        return cls(**{name: getattr(study, name) for name in same}, patient_id=study.patient.patient_id,
                   patient_name=study.patient.name, cases=list(study.cases), findings=[
                       FindingForm(**{name: f[name] for name in FindingForm.model_fields}) for f in study.findings])


class StudyPage(BaseModel):
    items: list[StudyForm]
    next: str | None


class DescriptionForm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    description: Annotated[Plain, Field(max_length=400, examples=["CT chest, follow-up"])]


class CaseResultForm(BaseModel):
    """What one reader made of the study. `result`: as in `/api/cases/{case_id}`, None while there is none."""

    case_id: str
    run_id: str
    pipeline: str
    state: str
    result: dict[str, Any] | None

    @classmethod
    def of(cls, told: CaseResult) -> CaseResultForm:
        return cls(case_id=told.case_id, run_id=told.run_id, pipeline=told.pipeline, state=told.state,
                   result=None if told.result is None else dict(told.result))


class ResultList(BaseModel):
    study_id: str
    items: list[CaseResultForm]


class StudyDocument(DocumentForm):
    """`href`: where its bytes are."""

    case_id: str
    media_type: str
    href: str


class DocumentList(BaseModel):
    study_id: str
    items: list[StudyDocument]


class AuditForm(BaseModel):
    """`subject`: the id of what it was done to."""

    line_id: int
    at: Time
    who: str
    action: str
    subject: str
    detail: dict[str, Any]


class AuditPage(BaseModel):
    items: list[AuditForm]
    next: str | None


def router(studies: Studies, eraser: Eraser, audit: Audit, zone: ZoneInfo) -> APIRouter:
    """`zone`: of times in filters that tell none."""
    routes = APIRouter(prefix="/api", tags=["studies"])
    _add_lists(routes, studies, zone)
    _add_reads(routes, studies)
    _add_changes(routes, studies, eraser)
    _add_audit(routes, audit)
    return routes


def _add_lists(routes: APIRouter, studies: Studies, zone: ZoneInfo) -> None:
    def page(where: WorklistFilter, query: ListQuery, patient: str = "") -> StudyPage:
        found, following = studies.page(where, query.limit, query.cursor, patient)
        return StudyPage(items=[StudyForm.of(study) for study in found], next=following)

    @routes.get("/studies", response_model=StudyPage, summary="List studies", responses=problems_of(422))
    def listed(query: Annotated[StudyQuery, Query()]) -> StudyPage:
        """The last received first; by patient, modality, verdict, state, finding and time of receipt."""
        return page(query.where(zone), query, query.patient)

    @routes.post("/studies/search", response_model=StudyPage, summary="Search studies", responses=problems_of(422))
    def search(form: SearchForm) -> StudyPage:
        """The same by what an address may not hold: text, patient id, Study Instance UID."""
        return page(form.everything(zone), form)


def _add_reads(routes: APIRouter, studies: Studies) -> None:
    @routes.get("/studies/{study_id}", response_model=StudyForm, summary="Read a study", responses=problems_of(404))
    def one(study_id: StudyId) -> StudyForm:
        """What is known of it, and what its most urgent case says."""
        return StudyForm.of(studies.get(study_id))

    @routes.get("/studies/{study_id}/description", response_model=DescriptionForm,
                summary="Read a study's description", responses=problems_of(404))
    def description(study_id: StudyId, response: Response) -> DescriptionForm:
        """The ETag is the version that a change names in If-Match."""
        return _described(studies.get(study_id).description, response)

    @routes.get("/studies/{study_id}/original", response_class=Response, summary="Download a study as it came",
                responses=problems_of(404, 410) | {200: {"content": {_ZIP: {"schema": {
                    "type": "string", "format": "binary"}}}, "description": "A zip of the stored DICOM files."}})
    def original(study_id: StudyId) -> StreamingResponse:
        """A zip of the files as they were received, a folder for each series; made while it is sent."""
        files = studies.files(study_id)
        if not files or not all(Path(file.path).is_file() for file in files):
            raise Refusal(410, "The files of this study were deleted (see storage.retention_days); results remain.")
        return StreamingResponse(zipped(files), media_type=_ZIP, headers={
            "Content-Disposition": f'attachment; filename="{study_id}.zip"'})

    @routes.get("/studies/{study_id}/result", response_model=ResultList, summary="Read what was made of a study",
                responses=problems_of(404))
    def result(study_id: StudyId) -> ResultList:
        """The full result of each reader, the most urgent first."""
        return ResultList(study_id=study_id, items=[CaseResultForm.of(told) for told in studies.results(study_id)])

    @routes.get("/studies/{study_id}/documents", response_model=DocumentList, summary="List a study's documents",
                responses=problems_of(404))
    def documents(study_id: StudyId) -> DocumentList:
        """What was made to be sent, with the address of its bytes."""
        return DocumentList(study_id=study_id, items=[
            _document(told.case_id, document) for told in studies.results(study_id) for document in told.documents])


def _add_changes(routes: APIRouter, studies: Studies, eraser: Eraser) -> None:
    @routes.put("/studies/{study_id}/description", response_model=DescriptionForm,
                summary="Change a study's description", responses=problems_of(404, 412, 422, 428))
    def describe(study_id: StudyId, wanted: DescriptionForm, asker: Asker, response: Response,
                 if_match: IfMatch = None) -> DescriptionForm:
        """As the page and the API show it; what was received and what was sent stay as they are. Needs If-Match."""
        version, now = version_of(if_match), studies.get(study_id).description
        if version not in (None, digest(now)[:16]):
            raise Refusal(412, "The description was changed since it was read: read it again, then change it.")
        studies.describe(study_id, wanted.description, None if version is None else now, asker.name)
        return _described(wanted.description, response)

    @routes.post("/studies/{study_id}/analysis", response_model=StudyForm, status_code=202,
                 summary="Start the analysis of a study", responses=problems_of(404))
    def analyse(study_id: StudyId, asker: Asker) -> StudyForm:
        """Read it now with what is there, under the rules of now; again with nothing new changes nothing."""
        studies.analyse(study_id)
        log.info("analysis_ordered", study=study_id, by=asker.name)
        return StudyForm.of(studies.get(study_id))

    @routes.delete("/studies/{study_id}", status_code=204, summary="Delete a study", responses=problems_of(404, 409))
    def delete(study_id: StudyId, asker: Asker, force: Force = False) -> None:
        """Delete a study with files, results and feedback; refused (409) while it is received, read or under
        delivery, unless forced. A line of audit stays; what was delivered stays with its receivers."""
        eraser.study(study_id, asker.name, force=force)
        log.info("study_deleted", study=study_id, forced=force, by=asker.name)


def _add_audit(routes: APIRouter, audit: Audit) -> None:
    @routes.get("/audit", response_model=AuditPage, summary="List who changed and deleted what", tags=["audit"],
                responses=problems_of(422))
    def lines(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> AuditPage:
        """The newest first."""
        found, following = audit.page(limit, cursor)
        return AuditPage(next=following, items=[AuditForm(
            line_id=line.line_id, at=line.at, who=line.who, action=line.action, subject=line.subject,
            detail=dict(line.detail)) for line in found])


def _described(text: str, response: Response) -> DescriptionForm:
    response.headers["ETag"] = tag(digest(text)[:16])
    return DescriptionForm.model_construct(description=text)


def _document(case_id: str, told: Any) -> StudyDocument:
    kind = Kind(told["kind"])
    return StudyDocument(kind=kind.value, identity=told["identity"], destination=told["destination"], case_id=case_id,
                         media_type=MEDIA_TYPES[kind], href=f"/api/cases/{case_id}/documents/{kind.value}")
