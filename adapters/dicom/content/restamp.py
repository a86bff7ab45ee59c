"""An object made here of a file that names nobody, as the object of the patient and order that came with the file."""

from __future__ import annotations

from datetime import UTC
from io import BytesIO

from pydicom import Dataset, dcmread, dcmwrite

from adapters.dicom.content.audio_write import location_item
from adapters.dicom.content.common import dicom_date, dicom_datetime, dicom_time
from adapters.dicom.content.source_modules import add_source_modules
from gateway.identity import uid
from gateway.media import MediaSource

_AUDIO = "AU"


def restamped(part10: bytes, source: MediaSource, number: int) -> bytes:
    """Part 10 bytes with patient, order, times and UIDs of `source`; `number` tells its objects apart. What the object
    shows or holds stays byte for byte. Raises Unusable where an identifier does not fit DICOM."""
    ds = dcmread(BytesIO(part10))
    recorded = source.recorded_at.astimezone(UTC)
    add_source_modules(ds, source.patient, modality=str(ds.Modality), recorded_at=recorded,
                       description=source.description, accession_number=source.accession_number)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid("media", *source.key, str(number))
    ds.StudyInstanceUID = source.study_instance_uid or uid("media study", *source.key)
    ds.SeriesInstanceUID = uid("media series", *source.key)
    ds.ContentDate, ds.ContentTime = dicom_date(recorded), dicom_time(recorded)
    ds.AcquisitionDateTime = dicom_datetime(recorded)
    if source.age_years is not None and 0 <= source.age_years <= 999:
        ds.PatientAge = f"{source.age_years:03d}Y"
    _add_body_site(ds, source.body_site)
    target = BytesIO()
    dcmwrite(target, ds, enforce_file_format=True)
    return target.getvalue()


def _add_body_site(ds: Dataset, told: str) -> None:
    if told.strip() and ds.Modality == _AUDIO:
        ds.AcquisitionContextSequence = [location_item(told)]
