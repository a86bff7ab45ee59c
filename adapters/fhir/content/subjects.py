"""Whose and what: Patient and ImagingStudy of a reading. Both are others', so they are only created when absent."""

from __future__ import annotations

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.bundle import Entry, create_unless_there
from adapters.fhir.content.datatypes import (
    Json,
    clean,
    compact,
    fhir_date,
    full_url,
    human_names,
    identifier,
    issuer_system,
)
from adapters.fhir.content.frame import Frame
from gateway.codes import FHIR_SYSTEMS
from gateway.study import Order, Patient, Series

GENDERS = {"M": "male", "F": "female", "O": "other"}


def patient_resource(patient: Patient, system: str) -> Json:
    """Patient with its id as medical record number (HL7 table 0203 `MR`)."""
    number = [identifier(system, patient.patient_id, "MR", "Medical record number", "usual")]
    return compact({  # type: ignore[no-any-return]
        "resourceType": "Patient", "identifier": number if patient.patient_id else [],
        "name": human_names(patient.name), "gender": GENDERS.get(patient.sex, "unknown"),
        "birthDate": fhir_date(patient.birth_date)})


def patient_entry(frame: Frame) -> Entry:
    """Known by issuer and id; a patient without id is known by the case alone."""
    patient, facility = frame.reading.study.patient, frame.reading.facility
    system = frame.patient_system()
    resource = patient_resource(patient, system)
    if patient.patient_id:
        url = full_url("Patient", facility, system, patient.patient_id)
        return create_unless_there(url, resource, system, patient.patient_id)
    resource["identifier"] = [identifier(v.CASE_PATIENT, frame.case_id)]
    return create_unless_there(frame.url("Patient"), resource, v.CASE_PATIENT, frame.case_id)


def accession_identifier(system: str, number: str) -> Json:
    return identifier(system, number, "ACSN", "Accession ID")


def study_entry(frame: Frame, patient: Entry) -> Entry:
    """ImagingStudy (R4 8.22) known by its Study Instance UID; waveform studies are studies too."""
    study = frame.reading.study
    value = f"urn:oid:{study.study_instance_uid}"
    identifiers = [{"system": v.DICOM_UID, "value": value}]
    if study.accession_number:
        identifiers.append(accession_identifier(frame.accession_system(), study.accession_number))
    series = [_series(s) for s in study.series]
    resource = compact({
        "resourceType": "ImagingStudy", "identifier": identifiers, "status": "available",
        "modality": [_modality(m) for m in sorted({s.modality or "OT" for s in study.series})],
        "subject": patient.reference, "started": frame.at(frame.studied) if frame.studied else "",
        "basedOn": order_references(study.order, ""),
        "numberOfSeries": len(series), "numberOfInstances": len(study.instances),
        "description": clean(study.tags.get("StudyDescription")), "series": series})
    url = full_url("ImagingStudy", frame.reading.facility, study.study_instance_uid)
    return create_unless_there(url, resource, v.DICOM_UID, value)


def _series(series: Series) -> Json:
    number = series.tags.get("SeriesNumber")
    return {"uid": series.series_instance_uid, "modality": _modality(series.modality or "OT"),
            "number": number if isinstance(number, int) and number >= 0 else None,
            "description": clean(series.tags.get("SeriesDescription")), "numberOfInstances": len(series.instances)}


def _modality(modality: str) -> Json:
    return {"system": FHIR_SYSTEMS["DCM"], "code": modality}


_ORDER_NUMBERS = (("placer_order_number", "ORC-2.3", "PLAC", "Placer Identifier"),
                  ("filler_order_number", "ORC-3.3", "FILL", "Filler Identifier"))


def order_identifiers(order: Order) -> list[Json]:
    """Placer and filler number; their systems stand in the order fields ORC-2.3 and ORC-3.3 (universal id)."""
    return [identifier(issuer_system(order.fields.get(field, "")), number, kind, display)
            for attribute, field, kind, display in _ORDER_NUMBERS if (number := getattr(order, attribute))]


def order_references(order: Order | None, accession_number: str, accession_system: str = "") -> list[Json]:
    """Logical references (R4 2.3.0.4) to the order: by placer or filler number, else by accession number."""
    known = order_identifiers(order) if order else []
    if not known and accession_number:
        known = [accession_identifier(accession_system, accession_number)]
    return [{"type": "ServiceRequest", "identifier": known[0]}] if known else []

