"""Small DICOM objects for tests of the doors: any transfer syntax, any character set."""

from __future__ import annotations

import io
import zlib

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

STUDY, SERIES = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.1.1"
UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def slice_dataset(number: int = 1, charset: str | list[str] = "ISO_IR 100", name: str = "Doe^Jane") -> Dataset:
    """A CT slice of 16 by 16 pixels."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = charset
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{SERIES}.{number}"
    dataset.StudyDate, dataset.StudyTime = "20240102", "030405"
    dataset.AccessionNumber = "A-1"
    dataset.Modality = "CT"
    dataset.PatientName = name
    dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = "P-1", "19700101", "F"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.SeriesNumber, dataset.InstanceNumber = 3, number
    dataset.ImagePositionPatient = [-100.5, 20.25, 5.0 * number]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [0.5, 0.5], 5
    dataset.Rows = dataset.Columns = 16
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    return dataset


def part10_bytes(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The data set with pixels as a Part 10 file in the transfer syntax; RLE Lossless carries one opaque frame."""
    pixels = np.arange(256, dtype=">u2" if syntax == ExplicitVRBigEndian else "<u2").tobytes()
    encapsulated = syntax == RLELossless
    dataset.add_new(0x7FE00010, "OB" if encapsulated else "OW", encapsulate([pixels]) if encapsulated else pixels)
    dataset["PixelData"].is_undefined_length = encapsulated
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    dcmwrite(file, FileDataset(file, dataset, file_meta=meta, preamble=b"\0" * 128), enforce_file_format=True)
    return file.getvalue()


def inflated(dataset: bytes) -> bytes:
    return zlib.decompress(dataset, -zlib.MAX_WBITS)
