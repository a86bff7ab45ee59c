"""Plain CT and MR image series from arrays: what demonstrations and tests send as a scanner would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage
from pydicom.valuerep import DSfloat

from adapters.dicom.content.common import dicom_date, dicom_time, to_part10
from adapters.dicom.content.source_modules import add_source_modules
from gateway.identity import uid
from gateway.study import Patient

Spacing = tuple[float, float, float]
"""mm between slices, between rows, between columns."""


@dataclass(frozen=True, slots=True)
class _Series:
    patient: Patient
    key: tuple[str, ...]
    accession_number: str
    recorded_at: datetime
    description: str
    spacing: Spacing


def write_ct(hu: NDArray[np.int16], spacing: Spacing, patient: Patient, *, key: tuple[str, ...],
             accession_number: str, recorded_at: datetime, description: str) -> list[bytes]:
    """CT Image Storage, one Part 10 object per slice (PS3.3 A.3), the same bytes for the same arguments.

    `hu`: int16 (slices, rows, columns), foot to head, each row from the patient's right to left (LPS axes +x, +y).
    UIDs derive from `key`. `recorded_at`: aware.
    """
    series = _Series(patient, key, accession_number, recorded_at.astimezone(UTC), description, spacing)
    return list(_ct_slices(series, hu))


def ct_slices(images: Iterable[NDArray[np.int16]], spacing: Spacing, patient: Patient, *, key: tuple[str, ...],
              recorded_at: datetime, description: str) -> Iterator[bytes]:
    """As `write_ct`, one object at a time: `images` are its slices."""
    return _ct_slices(_Series(patient, key, "", recorded_at.astimezone(UTC), description, spacing), images)


def _ct_slices(series: _Series, images: Iterable[NDArray[np.int16]]) -> Iterator[bytes]:
    return (to_part10(_ct_slice(ds)) for ds in _slices(series, images, CTImageStorage, "CT"))


def write_mr(pixels: NDArray[np.int16], spacing: Spacing, patient: Patient, *, key: tuple[str, ...],
             accession_number: str, recorded_at: datetime, description: str) -> list[bytes]:
    """MR Image Storage (PS3.3 A.4), as `write_ct`; `pixels` are arbitrary units, not negative."""
    series = _Series(patient, key, accession_number, recorded_at.astimezone(UTC), description, spacing)
    return [to_part10(_mr_slice(ds)) for ds in _slices(series, pixels, MRImageStorage, "MR")]


def _slices(series: _Series, pixels: Iterable[NDArray[np.int16]], sop_class_uid: str,
            modality: str) -> Iterator[Dataset]:
    for index, image in enumerate(pixels):
        ds = Dataset()
        ds.SOPClassUID = sop_class_uid
        ds.SOPInstanceUID = uid("image", *series.key, str(index))
        ds.StudyInstanceUID = uid("image study", *series.key)
        ds.SeriesInstanceUID = uid("image series", *series.key)
        add_source_modules(ds, series.patient, modality=modality, recorded_at=series.recorded_at,
                           description=series.description, accession_number=series.accession_number)
        ds.InstanceNumber = index + 1
        ds.AcquisitionNumber = 1
        ds.ContentDate, ds.ContentTime = dicom_date(series.recorded_at), dicom_time(series.recorded_at)
        ds.AcquisitionDate, ds.AcquisitionTime = ds.ContentDate, ds.ContentTime
        _add_plane(ds, series, index, image.shape)
        _add_pixels(ds, image)
        yield ds


def _add_plane(ds: Dataset, series: _Series, index: int, shape: tuple[int, ...]) -> None:
    """Frame of Reference and Image Plane (PS3.3 C.7.4.1, C.7.6.2): axial, centred on the origin."""
    between, rows, columns = series.spacing
    corner = (-columns * (shape[1] - 1) / 2, -rows * (shape[0] - 1) / 2, between * index)
    ds.FrameOfReferenceUID = uid("image frame of reference", *series.key)
    ds.PositionReferenceIndicator = ""
    ds.PatientPosition = "HFS"
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [_decimal(c) for c in corner]
    ds.PixelSpacing = [_decimal(rows), _decimal(columns)]
    ds.SliceThickness = _decimal(between)
    ds.SliceLocation = _decimal(corner[2])


def _decimal(value: float) -> Any:
    return DSfloat(float(value), auto_format=True)


def _add_pixels(ds: Dataset, image: NDArray[np.int16]) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = image.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.PixelData = np.ascontiguousarray(image.astype("<i2")).tobytes()
    ds["PixelData"].VR = "OW"


def _ct_slice(ds: Dataset) -> Dataset:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.BodyPartExamined = "CHEST"
    ds.KVP = 120
    ds.ConvolutionKernel = "STANDARD"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "HU"
    ds.WindowCenter, ds.WindowWidth = -600, 1500
    return ds


def _mr_slice(ds: Dataset) -> Dataset:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.BodyPartExamined, ds.Laterality = "KNEE", ""
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "SE", "NONE", ""
    ds.MRAcquisitionType, ds.EchoTrainLength = "2D", 1
    ds.RepetitionTime, ds.EchoTime = 500, 15
    ds.MagneticFieldStrength = _decimal(1.5)
    return ds
