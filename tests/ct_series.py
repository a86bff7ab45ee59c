"""CT objects for tests: classic and enhanced, with every fault on request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from gateway.study import Instance

STUDY, SERIES = "2.25.100", "2.25.101"


def slice_dataset(stored: NDArray[Any], uid: str, position: Sequence[float], **overrides: Any) -> Dataset:
    """A classic CT slice. `stored`: values as they stand in PixelData; `overrides` by DICOM keyword (None removes)."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, uid
    data.StudyInstanceUID, data.SeriesInstanceUID, data.Modality = STUDY, SERIES, "CT"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.ImagePositionPatient = [float(p) for p in position]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.SliceThickness = [0.8, 0.7], 2.5
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = stored.shape[-2:]
    data.BitsAllocated = stored.dtype.itemsize * 8
    data.BitsStored, data.HighBit = data.BitsAllocated, data.BitsAllocated - 1
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    for keyword, value in overrides.items():
        if value is None:
            del data[keyword]
        else:
            setattr(data, keyword, value)
    data.PixelData = stored.tobytes()
    data["PixelData"].VR = "OW" if data.BitsAllocated > 8 else "OB"
    return data


def save(data: Dataset, folder: Path, syntax: str = ExplicitVRLittleEndian) -> Instance:
    """Write Part 10 and describe it; compressed syntaxes are encoded by pydicom."""
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{data.SOPInstanceUID}.dcm"
    target = data.file_meta.TransferSyntaxUID.__class__(syntax)
    if target.is_compressed:
        data.compress(target, generate_instance_uid=False)
    else:
        if not target.is_little_endian:
            words = np.frombuffer(data.PixelData, f"<u{data.BitsAllocated // 8}")
            data.PixelData = words.astype(words.dtype.newbyteorder(">")).tobytes()
        data.file_meta.TransferSyntaxUID = target
    data.save_as(path, enforce_file_format=True, implicit_vr=target.is_implicit_VR,
                 little_endian=target.is_little_endian)
    return described(data, path)


def described(data: Dataset, path: Path, **tags: Any) -> Instance:
    return Instance(data.SOPInstanceUID, data.SOPClassUID, STUDY, SERIES, str(data.file_meta.TransferSyntaxUID),
                    str(path), path.stat().st_size, "", tags, datetime(2026, 1, 1, tzinfo=UTC))


def series(folder: Path, count: int = 6, *, spacing: float = 2.5, shape: tuple[int, int] = (8, 10), seed: int = 0,
           first: int = 1, **overrides: Any) -> list[Instance]:
    """`count` unsigned 16-bit slices from z = 0 upwards with random values below 4096."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        stored = rng.integers(0, 4096, shape).astype(np.uint16)
        uid = f"2.25.{seed + 1}{first + number:04d}"
        data = slice_dataset(stored, uid, (-5.0, -6.0, spacing * number), **overrides)
        made.append(save(data, folder))
    return made


def enhanced_dataset(stored: NDArray[Any], uid: str, heights: Sequence[float],
                     rescale: Sequence[tuple[float, float]]) -> Dataset:
    """An enhanced multi-frame CT: shared orientation and pixel measures, each frame its place and rescale."""
    data = slice_dataset(stored[0], uid, (0, 0, 0), ImagePositionPatient=None, ImageOrientationPatient=None,
                         PixelSpacing=None, SliceThickness=None, RescaleSlope=None, RescaleIntercept=None)
    data.SOPClassUID, data.NumberOfFrames = EnhancedCTImageStorage, len(stored)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [0.8, 0.7], 2.5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = [_frame(z, numbers) for z, numbers in zip(heights, rescale, strict=True)]
    data.PixelData = stored.tobytes()
    return data


def _frame(height: float, rescale: tuple[float, float]) -> Dataset:
    frame, plane, values = Dataset(), Dataset(), Dataset()
    plane.ImagePositionPatient = [-5.0, -6.0, height]
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = *rescale, "HU"
    frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [plane], [values]
    return frame
