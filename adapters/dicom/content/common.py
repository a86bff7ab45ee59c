"""What every DICOM object made from a reading shares: patient, study, series and equipment modules, Part 10 bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from gateway.case import Reading
from gateway.codes import Code
from gateway.identity import uid
from gateway.result import ModelRelease
from gateway.site_thresholds import told_thresholds
from gateway.study import Tags

MANUFACTURER = "Triage Gateway"
IMPLEMENTATION_CLASS_UID = uid("implementation class", "triage-gateway")
IMPLEMENTATION_VERSION_NAME = "TRIAGE_GATEWAY"

_PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})")


def derived_dataset(reading: Reading, *, sop_class_uid: str, sop_instance_uid: str, series_instance_uid: str,
                    modality: str, series_number: int, series_description: str) -> Dataset:
    """A data set with the SOP common, patient, general study, general series and general equipment modules filled.

    Patient and study come from the source (PS3.3 C.7.1.1, C.7.2.1), times from the run. The caller adds the rest,
    content date and time included (`content_time`). Text is Unicode: Specific Character Set is ISO_IR 192.
    """
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class_uid, sop_instance_uid
    _add_patient(ds, reading)
    _add_study(ds, reading)
    made = content_time(reading)
    ds.InstanceCreationDate, ds.InstanceCreationTime = dicom_date(made), dicom_time(made)
    ds.TimezoneOffsetFromUTC = made.strftime("%z")
    ds.Modality = modality
    ds.SeriesInstanceUID = series_instance_uid
    ds.SeriesNumber, ds.InstanceNumber = series_number, 1
    ds.SeriesDescription = series_description[:64]
    ds.SeriesDate, ds.SeriesTime = dicom_date(made), dicom_time(made)
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = reading.result.provenance.pipeline[:64]
    ds.SoftwareVersions = reading.result.provenance.pipeline_version[:64]
    ds.DeviceSerialNumber = device_uid(reading)
    return ds


def to_part10(ds: Dataset, transfer_syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """Part 10 bytes; the same data set gives the same bytes. Pixels are already in that transfer syntax."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    target = BytesIO()
    whole = FileDataset(target, ds, preamble=b"\0" * 128, file_meta=meta)
    dcmwrite(target, whole, enforce_file_format=True)
    return target.getvalue()


def contributing_equipment(reading: Reading) -> list[Dataset]:
    """Contributing Equipment Sequence items (PS3.3 C.12.1), one for each model that ran: name, version, SHA-256."""
    return [_equipment(reading, model) for model in reading.result.provenance.models]


def content_time(reading: Reading) -> datetime:
    """When the run was made, in the one offset that holds for every date and time of the object (PS3.3 C.12.1.1.8).

    The study's date and time are copied and must keep their meaning: the offset is the source's own, else that of
    the site's time zone on the study's day.
    """
    return reading.run.created_at.astimezone(_source_offset(reading.study.tags) or _site_offset(reading))


def dicom_date(moment: datetime) -> str:
    return moment.strftime("%Y%m%d")


def dicom_time(moment: datetime) -> str:
    return moment.strftime("%H%M%S.%f")


def device_uid(reading: Reading) -> str:
    """The UID of the observing device: this pipeline at this facility."""
    return uid("device", reading.facility, reading.result.provenance.pipeline)


def code_item(code: Code) -> Dataset:
    """A code sequence item (PS3.3 8.8); values that do not fit SH go into Long Code Value."""
    item = Dataset()
    if len(code.value) <= 16:
        item.CodeValue = code.value
    else:
        item.LongCodeValue = code.value
    item.CodingSchemeDesignator = code.scheme
    item.CodeMeaning = code.meaning[:64]
    return item


def coding_scheme_identification() -> list[Dataset]:
    """Coding Scheme Identification Sequence: who is responsible for the private scheme 99TRIAGE (PS3.3 C.12.1)."""
    item = Dataset()
    item.CodingSchemeDesignator = "99TRIAGE"
    item.CodingSchemeUID = Code("scheme", "99TRIAGE", "scheme").system.removeprefix("urn:oid:")
    item.CodingSchemeName = "Triage Gateway"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return [item]


def text_of(tags: Tags, keyword: str, length: int = 64) -> str:
    """A text value as one line of at most `length` characters; "" where it is missing or no text."""
    value = tags.get(keyword)
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = value[0] if value else None
    if value is None or isinstance(value, dict):
        return ""
    return _one_line(str(value))[:length].strip()


def _one_line(value: str) -> str:
    return "".join(" " if c == "\\" or not c.isprintable() else c for c in value).strip()


def _add_patient(ds: Dataset, reading: Reading) -> None:
    patient, tags = reading.study.patient, reading.study.tags
    ds.PatientName = _person_name(patient.name)
    ds.PatientID = patient.patient_id
    if patient.issuer:
        ds.IssuerOfPatientID = _one_line(patient.issuer)[:64]
    ds.PatientBirthDate = _date(patient.birth_date)
    ds.PatientSex = patient.sex if patient.sex in ("M", "F", "O") else ""
    for keyword in ("PatientAge", "PatientSize", "PatientWeight"):
        _copy(ds, tags, keyword)


def _copy(ds: Dataset, tags: Tags, keyword: str) -> None:
    value = text_of(tags, keyword, 16)
    pattern = r"\d{3}[DWMY]" if keyword == "PatientAge" else r"\d+(\.\d+)?"
    if re.fullmatch(pattern, value):
        setattr(ds, keyword, value)


def _add_study(ds: Dataset, reading: Reading) -> None:
    study = reading.study
    ds.StudyInstanceUID = study.study_instance_uid
    ds.StudyDate = _date(text_of(study.tags, "StudyDate"))
    ds.StudyTime = _time(text_of(study.tags, "StudyTime"))
    ds.StudyID = text_of(study.tags, "StudyID", 16)
    ds.AccessionNumber = study.accession_number
    if study.accession_number and study.accession_issuer:
        issuer = Dataset()
        issuer.LocalNamespaceEntityID = _one_line(study.accession_issuer)
        ds.IssuerOfAccessionNumberSequence = [issuer]
    ordered_by = study.order.referring_physician if study.order else ""
    ds.ReferringPhysicianName = _person_name(text_of(study.tags, "ReferringPhysicianName", 194) or ordered_by)
    if description := text_of(study.tags, "StudyDescription"):
        ds.StudyDescription = description


def _person_name(name: str) -> str:
    """PN: at most three groups of 64 characters with at most five components each (PS3.5 6.2.1)."""
    groups = _one_line(name).split("=")[:3]
    return "=".join("^".join(group.split("^")[:5])[:64] for group in groups)


def _date(value: str) -> str:
    """DA; the older form YYYY.MM.DD is taken too, anything else is left out."""
    digits = value.replace(".", "")
    try:
        datetime.strptime(digits, "%Y%m%d")
    except ValueError:
        return ""
    return digits if len(digits) == 8 else ""


def _time(value: str) -> str:
    compact = value.replace(":", "")
    return compact if _TIME.fullmatch(compact) else ""


def _source_offset(tags: Tags) -> timezone | None:
    found = _OFFSET.fullmatch(text_of(tags, "TimezoneOffsetFromUTC"))
    if not found:
        return None
    sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(offset if sign == "+" else -offset) if offset <= timedelta(hours=14) else None


def _site_offset(reading: Reading) -> timezone:
    zone = ZoneInfo(reading.timezone)
    day = _date(text_of(reading.study.tags, "StudyDate"))
    time = _time(text_of(reading.study.tags, "StudyTime"))[:6].ljust(6, "0")
    moment = datetime.strptime(day + time, "%Y%m%d%H%M%S").replace(tzinfo=zone) if day else reading.run.created_at
    offset = moment.astimezone(zone).utcoffset() or timedelta()
    # Local mean times of old dates carry seconds, which ±ZZXX cannot.
    return timezone(timedelta(minutes=round(offset.total_seconds() / 60)))


def _equipment(reading: Reading, model: ModelRelease) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(_PROCESSING_EQUIPMENT)]
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = model.name[:64]
    item.SoftwareVersions = _versions(model)
    item.DeviceUID = uid("model", model.name, model.version, model.sha256)
    item.ContributionDateTime = dicom_datetime(content_time(reading))
    told = [model.status, told_thresholds(model, reading.language)]
    item.ContributionDescription = f"{model.name} {model.version}: {'; '.join(filter(None, told))}".rstrip(": ")[:1024]
    return item


def _versions(model: ModelRelease) -> Any:
    return [model.version[:64], model.sha256] if model.sha256 else model.version[:64]


def dicom_datetime(moment: datetime) -> str:
    """DT with its offset (PS3.5 6.2)."""
    return moment.strftime("%Y%m%d%H%M%S.%f%z")
