"""A photograph as a DICOM object of its own: VL Photographic (PS3.3 A.32.4) or Dermoscopic Photography (A.32.11)."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from adapters.dicom.content.common import dicom_date, dicom_time, to_part10
from adapters.dicom.content.source_modules import add_source_modules
from gateway.identity import uid
from gateway.study import Patient

SOP_CLASSES = {"XC": "1.2.840.10008.5.1.4.1.1.77.1.4", "DMS": "1.2.840.10008.5.1.4.1.1.77.1.7"}
"""By modality."""


def write_photo(pixels: NDArray[np.uint8], modality: str, patient: Patient, *, key: tuple[str, ...],
                recorded_at: datetime) -> bytes:
    """Part 10 bytes, the same for the same arguments. `pixels`: RGB (rows, columns, 3). `modality`: XC or DMS.

    UIDs derive from `key`. `recorded_at`: aware.
    """
    recorded = recorded_at.astimezone(UTC)
    ds = Dataset()
    ds.SOPClassUID = SOP_CLASSES[modality]
    ds.SOPInstanceUID = uid("photo", *key)
    ds.StudyInstanceUID = uid("photo study", *key)
    ds.SeriesInstanceUID = uid("photo series", *key)
    add_source_modules(ds, patient, modality=modality, recorded_at=recorded, description="", accession_number="")
    ds.InstanceNumber = 1
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.ContentDate, ds.ContentTime = dicom_date(recorded), dicom_time(recorded)
    ds.AcquisitionDateTime = recorded.strftime("%Y%m%d%H%M%S")
    ds.AcquisitionContextSequence = []
    ds.LossyImageCompression = "00"
    ds.BurnedInAnnotation = "NO"
    ds.PatientOrientation = ""
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    content = np.ascontiguousarray(pixels).tobytes()
    ds.PixelData = content + b"\0" * (len(content) % 2)
    ds["PixelData"].VR = "OB"
    return to_part10(ds)
