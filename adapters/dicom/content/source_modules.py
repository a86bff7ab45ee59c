"""The modules shared by DICOM objects that are made here without a DICOM source: patient, study, series, equipment."""

from __future__ import annotations

import re
from datetime import datetime

from pydicom import Dataset

from adapters.dicom.content.common import MANUFACTURER, dicom_date, dicom_time
from gateway.errors import Unusable
from gateway.study import Patient


def add_source_modules(ds: Dataset, patient: Patient, *, modality: str, recorded_at: datetime, description: str,
                       accession_number: str) -> None:
    """Patient, General Study, General Series, General Equipment and SOP Common (PS3.3 C.7.1.1, C.7.2.1, C.7.3.1,
    C.7.5.1, C.12.1). `recorded_at` must be aware; the object carries its offset. UIDs are the caller's.

    Raises Unusable where an identifier does not fit DICOM: cut short it would name somebody else.
    """
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.TimezoneOffsetFromUTC = recorded_at.strftime("%z")
    ds.PatientName = _person_name(patient.name)
    ds.PatientID = _identifier(patient.patient_id, "PatientID", 64)
    if patient.issuer:
        ds.IssuerOfPatientID = _identifier(patient.issuer, "IssuerOfPatientID", 64)
    ds.PatientBirthDate = patient.birth_date if _is_date(patient.birth_date) else ""
    ds.PatientSex = patient.sex if patient.sex in ("M", "F", "O") else ""
    ds.StudyDate, ds.StudyTime = dicom_date(recorded_at), dicom_time(recorded_at)
    ds.SeriesDate, ds.SeriesTime = ds.StudyDate, ds.StudyTime
    ds.StudyID = "1"
    ds.AccessionNumber = _identifier(accession_number, "AccessionNumber", 16)
    ds.ReferringPhysicianName = ""
    if description:
        ds.StudyDescription = _one_line(description)[:64]
    ds.Modality = modality
    ds.SeriesNumber = 1
    ds.Manufacturer = MANUFACTURER


def _identifier(value: str, keyword: str, length: int) -> str:
    if len(value) > length or value != _one_line(value):
        raise Unusable(f"{keyword} does not fit DICOM: {length} printable characters at most, no backslash",
                       element=keyword)
    return value


def _one_line(value: str) -> str:
    return "".join(" " if c == "\\" or not c.isprintable() else c for c in value)


def _person_name(name: str) -> str:
    """PN: three groups of at most 64 characters (PS3.5 6.2.1)."""
    return "=".join(group[:64] for group in _one_line(name).split("=")[:3])


def _is_date(value: str) -> bool:
    if not re.fullmatch(r"\d{8}", value):
        return False
    try:
        datetime.strptime(value, "%Y%m%d")
    except ValueError:
        return False
    return True
