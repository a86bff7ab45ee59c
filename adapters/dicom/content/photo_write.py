"""A photograph as a DICOM object of its own: VL Photographic (PS3.3 A.32.4) or Dermoscopic Photography (A.32.11)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from adapters.dicom.content.common import dicom_date, dicom_time, to_part10
from adapters.dicom.content.source_modules import add_source_modules
from gateway.identity import uid
from gateway.study import Patient

SOP_CLASSES = {"XC": "1.2.840.10008.5.1.4.1.1.77.1.4", "DMS": "1.2.840.10008.5.1.4.1.1.77.1.7"}
"""By modality, that first of which less must be known."""


class PhotographSource(Protocol):
    """See adapters.files.photograph.PhotographFile."""

    @property
    def pixels(self) -> NDArray[np.uint8]: ...

    @property
    def jpeg(self) -> bytes: ...

    @property
    def lossy_bytes(self) -> int: ...


def write_photo(source: PhotographSource, modality: str, patient: Patient, *, key: tuple[str, ...],
                recorded_at: datetime, accession_number: str = "",
                spacing: tuple[float, float] | None = None) -> bytes:
    """Part 10 bytes, the same for the same arguments: the file's own JPEG stream where there is one, else plain RGB.

    `modality`: XC or DMS. UIDs derive from `key`. `recorded_at`: aware. `spacing`: mm between rows, between columns.
    """
    recorded = recorded_at.astimezone(UTC)
    ds = Dataset()
    ds.SOPClassUID = SOP_CLASSES[modality]
    ds.SOPInstanceUID = uid("photo", *key)
    ds.StudyInstanceUID = uid("photo study", *key)
    ds.SeriesInstanceUID = uid("photo series", *key)
    add_source_modules(ds, patient, modality=modality, recorded_at=recorded, description="",
                       accession_number=accession_number)
    ds.InstanceNumber = 1
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.ContentDate, ds.ContentTime = dicom_date(recorded), dicom_time(recorded)
    ds.AcquisitionDateTime = recorded.strftime("%Y%m%d%H%M%S")
    ds.AcquisitionContextSequence = []
    ds.BurnedInAnnotation = "NO"
    ds.PatientOrientation, ds.Laterality = "", ""
    if modality == "DMS":
        _add_dermoscopy(ds)
    _add_compression(ds, source)
    ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
    if spacing is not None:
        ds.PixelSpacing = list(spacing)
    ds.Rows, ds.Columns = source.pixels.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    return _with_pixels(ds, source)


def _add_dermoscopy(ds: Dataset) -> None:
    """What the Dermoscopic Photography IOD asks for besides: nothing is known of the lens, and a face may be seen."""
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = uid("photo frame", str(ds.SOPInstanceUID)), ""
    ds.ManufacturerModelName, ds.DeviceSerialNumber, ds.SoftwareVersions = "file", "unknown", "unknown"
    ds.RecognizableVisualFeatures = "YES"
    ds.LightSourcePolarization, ds.ContactMethod = "", ""
    ds.EmitterColorTemperature, ds.OpticalMagnificationFactor = None, None


def _add_compression(ds: Dataset, source: PhotographSource) -> None:
    """PS3.3 C.7.6.1.1.5: once lossy, always lossy, also where the stream was unpacked to be turned upright."""
    ds.LossyImageCompression = "01" if source.lossy_bytes else "00"
    if source.lossy_bytes:
        ds.LossyImageCompressionRatio = f"{source.pixels.size / source.lossy_bytes:.2f}"
        ds.LossyImageCompressionMethod = "ISO_10918_1"


def _with_pixels(ds: Dataset, source: PhotographSource) -> bytes:
    if source.jpeg:
        ds.PhotometricInterpretation = "YBR_FULL_422"
        ds.PixelData = encapsulate([source.jpeg])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        return to_part10(ds, JPEGBaseline8Bit)
    ds.PhotometricInterpretation = "RGB"
    content = np.ascontiguousarray(source.pixels).tobytes()
    ds.PixelData = content + b"\0" * (len(content) % 2)
    ds["PixelData"].VR = "OB"
    return to_part10(ds, ExplicitVRLittleEndian)
