"""`/api/patients`: who is known, by ids of our own; searched by a body, so that no address holds patient data."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from adapters.web.paging import DEFAULT_LIMIT, Cursor, Force, IfMatch, Limit, PatientKey, Plain, tag, version_of
from adapters.web.principal import Asker
from adapters.web.problems import not_found, problems_of
from gateway.erasing import Eraser
from gateway.library import Demographics, PatientRecord, Patients
from gateway.study import Patient

log = structlog.get_logger()


def _day(value: str) -> str:
    if value:
        datetime.strptime(value, "%Y%m%d")
    return value


Day = Annotated[str, Field(pattern=r"^([0-9]{8})?$", examples=["19590214"], description="YYYYMMDD, or empty."),
                AfterValidator(_day)]
Sex = Literal["M", "F", "O", ""]
PersonName = Annotated[Plain, Field(max_length=194, examples=["Ivanova^Anna"],
                                    description="Family^Given^Middle^Prefix^Suffix, as DICOM writes it.")]
Identifier = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f\\\\]*$", max_length=64)]


class DemographicsForm(BaseModel):
    """All that may be changed of a patient; the id and its issuer stay (a merge comes as ADT^A40)."""

    model_config = ConfigDict(extra="forbid")

    name: PersonName
    birth_date: Day
    sex: Sex


class DemographicsPatch(BaseModel):
    """As a merge patch (RFC 7396): what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: PersonName | None = None
    birth_date: Day | None = None
    sex: Sex | None = None


class NewPatient(BaseModel):
    model_config = ConfigDict(extra="forbid")

    patient_id: Annotated[Identifier, Field(min_length=1, examples=["P00017"])]
    issuer: Annotated[Identifier, Field(examples=["HOSPITAL"])] = ""
    name: PersonName = ""
    birth_date: Day = ""
    sex: Sex = ""


class PatientForm(BaseModel):
    """`patient_key`: for addresses. `merged_into`: key of the patient that this one is another name of."""

    patient_key: str
    patient_id: str
    issuer: str
    name: str
    birth_date: str
    sex: str
    studies: int
    merged_into: str

    @classmethod
    def of(cls, record: PatientRecord) -> PatientForm:
        patient = record.patient
        return cls(patient_key=record.patient_key, patient_id=patient.patient_id, issuer=patient.issuer,
                   name=patient.name, birth_date=patient.birth_date, sex=patient.sex, studies=record.studies,
                   merged_into=record.merged_into)


class PatientPage(BaseModel):
    items: list[PatientForm]
    next: str | None


class PatientSearch(BaseModel):
    """Every word of `text` stands in the name or the id, whatever the case of its letters."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[Plain, Field(max_length=200, examples=["ivanova"])]
    limit: Annotated[int, Field(ge=1, le=1000)] = DEFAULT_LIMIT
    cursor: Annotated[str | None, Field(max_length=500)] = None


def router(patients: Patients, eraser: Eraser) -> APIRouter:
    routes = APIRouter(prefix="/api/patients", tags=["patients"])
    _add_reads(routes, patients)
    _add_changes(routes, patients)

    @routes.delete("/{patient_key}", status_code=204, summary="Delete a patient", responses=problems_of(404, 409))
    def delete(patient_key: PatientKey, asker: Asker, force: Force = False) -> None:
        """Delete a patient with all studies, files, results and orders; a line of audit stays."""
        eraser.patient(patient_key, asker.name, force=force)
        log.info("patient_deleted", patient=patient_key, forced=force, by=asker.name)

    return routes


def _add_reads(routes: APIRouter, patients: Patients) -> None:
    @routes.get("", response_model=PatientPage, summary="List patients", responses=problems_of(422))
    def listed(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> PatientPage:
        """In the order in which they became known."""
        return _page(patients, limit, cursor, "")

    @routes.post("/search", response_model=PatientPage, summary="Search patients", responses=problems_of(422))
    def search(wanted: PatientSearch) -> PatientPage:
        """By words in name or id; a body, because addresses end up in logs."""
        return _page(patients, wanted.limit, wanted.cursor, wanted.text)

    @routes.get("/{patient_key}", response_model=PatientForm, summary="Read a patient", responses=problems_of(404))
    def one(patient_key: PatientKey, response: Response) -> PatientForm:
        """The ETag is the version that a change names in If-Match."""
        found = patients.get(patient_key)
        if found is None:
            raise not_found("patient")
        return _told(found, response)


def _add_changes(routes: APIRouter, patients: Patients) -> None:
    @routes.post("", response_model=PatientForm, status_code=201, summary="Create a patient",
                 responses=problems_of(409, 422))
    def create(wanted: NewPatient, asker: Asker, response: Response) -> PatientForm:
        """Refused (409) where id and issuer are known already."""
        made = patients.create(Patient(wanted.patient_id, wanted.issuer, wanted.name, wanted.birth_date, wanted.sex),
                               asker.name)
        response.headers["Location"] = f"/api/patients/{made.patient_key}"
        return _told(made, response)

    @routes.put("/{patient_key}", response_model=PatientForm, summary="Replace a patient's demographics",
                responses=problems_of(404, 412, 422, 428))
    def replace(patient_key: PatientKey, wanted: DemographicsForm, asker: Asker, response: Response,
                if_match: IfMatch = None) -> PatientForm:
        """Needs If-Match; studies keep what they came with."""
        told = Demographics(wanted.name, wanted.birth_date, wanted.sex)
        return _told(patients.change(patient_key, told, version_of(if_match), asker.name), response)

    @routes.patch("/{patient_key}", response_model=PatientForm, summary="Change some of a patient's demographics",
                  responses=problems_of(404, 412, 422, 428))
    def change(patient_key: PatientKey, wanted: DemographicsPatch, asker: Asker, response: Response,
               if_match: IfMatch = None) -> PatientForm:
        """Needs If-Match; what is left out stays."""
        told = Demographics(wanted.name, wanted.birth_date, wanted.sex)
        return _told(patients.change(patient_key, told, version_of(if_match), asker.name), response)


def _page(patients: Patients, limit: int, cursor: str | None, text: str) -> PatientPage:
    found, following = patients.page(limit, cursor, text)
    return PatientPage(items=[PatientForm.of(record) for record in found], next=following)


def _told(record: PatientRecord, response: Response) -> PatientForm:
    response.headers["ETag"] = tag(record.version)
    return PatientForm.of(record)
