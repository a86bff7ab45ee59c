"""MR studies from arrays: what demonstrations and tests send as a scanner would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import MRImageStorage

from adapters.dicom.content.common import dicom_date, dicom_time, to_part10
from adapters.dicom.content.source_modules import add_source_modules
from gateway.identity import uid
from gateway.study import Patient


class MrSeries(Protocol):
    """`values`: int16 (slices, rows, columns), foot to head; `spacing`: mm between slices, rows, columns; `origin`: LPS
    mm of the first voxel; `attributes`: DICOM keyword → value, the same for every slice."""

    values: NDArray[np.int16]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    attributes: Mapping[str, Any]


def write_mr_study(series: Sequence[MrSeries], patient: Patient, *, key: tuple[str, ...], accession_number: str,
                   recorded_at: datetime, description: str) -> list[bytes]:
    """MR Image Storage (PS3.3 A.4), one Part 10 object a slice, all series in one frame of reference; the same bytes
    for the same arguments. UIDs derive from `key`. `recorded_at`: aware."""
    made: list[bytes] = []
    for number, one in enumerate(series):
        for ds in _slices(one, number, key):
            add_source_modules(ds, patient, modality="MR", recorded_at=recorded_at.astimezone(UTC),
                               description=description, accession_number=accession_number)
            ds.ContentDate = ds.AcquisitionDate = dicom_date(recorded_at.astimezone(UTC))
            ds.ContentTime = ds.AcquisitionTime = dicom_time(recorded_at.astimezone(UTC))
            for keyword, value in one.attributes.items():
                setattr(ds, keyword, value)
            made.append(to_part10(ds))
    return made


def _slices(series: MrSeries, number: int, key: tuple[str, ...]) -> Iterator[Dataset]:
    between, rows, columns = series.spacing
    for index, image in enumerate(series.values):
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, uid("image", *key, str(number), str(index))
        ds.StudyInstanceUID = uid("image study", *key)
        ds.SeriesInstanceUID = uid("image series", *key, str(number))
        ds.FrameOfReferenceUID = uid("image frame of reference", *key)
        ds.PositionReferenceIndicator = ""
        ds.PatientPosition = "HFS"
        ds.InstanceNumber, ds.AcquisitionNumber = index + 1, 1
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        x, y, z = series.origin
        ds.ImagePositionPatient = [round(v, 6) for v in (x, y, z + between * index)]
        ds.PixelSpacing = [rows, columns]
        ds.SliceThickness = ds.SpacingBetweenSlices = between
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.Rows, ds.Columns = image.shape
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelData = np.ascontiguousarray(image.astype("<i2")).tobytes()
        ds["PixelData"].VR = "OW"
        yield ds
