"""One frame's geometry and pixel description, read from the headers of classic and enhanced CT and MR objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian

from gateway.errors import Transient, Unusable
from gateway.study import Instance

Vector = NDArray[np.float64]

_TAGS = [
    "SOPInstanceUID", "ImageType", "AcquisitionNumber", "ConvolutionKernel", "SliceThickness",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SamplesPerPixel", "NumberOfFrames", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "RescaleType",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PixelData",
]
_UNREADABLE = (InvalidDicomError, BytesLengthException, ValueError, TypeError, AttributeError, KeyError, EOFError,
               IndexError, NotImplementedError)
"""What pydicom raises on bytes that are no sound data set."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """How one object's pixels are stored (PS3.3 C.7.6.3). `offset`: where native pixel data begins in the file."""

    path: Path
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    frames: int
    offset: int | None
    big_endian: bool
    padding: tuple[int, int] | None
    """Inclusive range of stored values that are padding (C.7.5.1.1.2)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        kind = "i" if self.signed else "u"
        return np.dtype(f"{'>' if self.big_endian else '<'}{kind}{self.bits_allocated // 8}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame and where it lies. `number`: 1-based; `position`: mm, centre of its first voxel."""

    sop_instance_uid: str
    number: int
    pixels: Pixels
    position: Vector
    orientation: Vector
    spacing: tuple[float, float]
    thickness: float
    slope: float
    intercept: float
    hounsfield: bool
    acquisition: tuple[str, str]
    """(AcquisitionNumber, ConvolutionKernel): tells repeated scans of one position apart."""


def read_frames(instance: Instance) -> list[Frame]:
    """Every frame of one object that has a place in space; pixel values are not read.

    Raises Unusable (one sentence) where the object is no monochrome image or has no geometry, Transient where the
    file is out of reach.
    """
    return frames_of(instance, read_header(instance))


def frames_of(instance: Instance, header: Dataset) -> list[Frame]:
    """As `read_frames`, of a header that `read_header` gave."""
    try:
        return list(_frames(instance, header))
    except _UNREADABLE as error:
        raise Unusable("the image header is incomplete or damaged") from error


def read_header(instance: Instance, more_tags: Sequence[str | int] = ()) -> Dataset:
    """Geometry, pixel description and `more_tags`, without pixels. Raises Unusable and Transient."""
    try:
        return dcmread(Path(instance.path), specific_tags=[*_TAGS, *more_tags], defer_size=1024)
    except OSError as error:
        raise Transient("an image file is out of reach") from error
    except _UNREADABLE as error:
        raise Unusable("an object is no readable DICOM image") from error


def _frames(instance: Instance, header: Dataset) -> Iterator[Frame]:
    pixels = _pixels(Path(instance.path), header)
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])[:1]
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    if pixels.frames > 1 and len(per_frame) < pixels.frames:
        raise Unusable("a multi-frame image has no functional groups for each frame")
    for index in range(pixels.frames):
        yield _frame(instance.sop_instance_uid, index + 1, pixels, header, [*per_frame[index:index + 1], *shared])


def _frame(uid: str, number: int, pixels: Pixels, header: Dataset, groups: list[Dataset]) -> Frame:
    position = value_of(header, groups, "PlanePositionSequence", "ImagePositionPatient")
    orientation = value_of(header, groups, "PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = value_of(header, groups, "PixelMeasuresSequence", "PixelSpacing")
    if position is None or orientation is None or spacing is None:
        raise Unusable("a slice carries no ImagePositionPatient, ImageOrientationPatient or PixelSpacing")
    where, axes = np.asarray(position, np.float64), _unit(np.asarray(orientation, np.float64))
    if where.shape != (3,) or not np.isfinite(where).all() or min(float(s) for s in spacing) <= 0:
        raise Unusable("a slice has an impossible position or pixel spacing")
    slope, intercept, kind = (value_of(header, groups, "PixelValueTransformationSequence", keyword)
                              for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"))
    thickness = value_of(header, groups, "PixelMeasuresSequence", "SliceThickness")
    return Frame(
        uid, number, pixels, where, axes, (float(spacing[0]), float(spacing[1])), float(thickness or 0),
        1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept),
        slope is not None and intercept is not None and kind in (None, "", "HU", "HU_MOD"),
        (str(header.get("AcquisitionNumber") or ""), str(header.get("ConvolutionKernel") or "")),
    )


def _unit(axes: Vector) -> Vector:
    """Six direction cosines, each triple of length one. Raises Unusable where they span no plane."""
    if axes.shape != (6,) or not np.isfinite(axes).all():
        raise Unusable("a slice has an impossible ImageOrientationPatient")
    row, column = axes[:3], axes[3:]
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    if min(lengths) < 0.5 or abs(float(row @ column)) > 0.05:
        raise Unusable("a slice has an impossible ImageOrientationPatient")
    return np.concatenate([row / lengths[0], column / lengths[1]])


def value_of(header: Dataset, groups: list[Dataset], sequence: str, keyword: str) -> Any:
    """The frame's own functional group before the shared one, the plain attribute last (PS3.3 C.7.6.16)."""
    for group in groups:
        items = group.get(sequence)
        value = items[0].get(keyword) if items else None
        if value is not None:
            return value
    return header.get(keyword)


def _pixels(path: Path, header: Dataset) -> Pixels:
    if "PixelData" not in header:
        raise Unusable("an object carries no pixel data")
    if int(header.get("SamplesPerPixel") or 1) != 1 or int(header.BitsAllocated) not in (8, 16):
        raise Unusable("an image is not monochrome with 8 or 16 bits allocated")
    signed = int(header.PixelRepresentation) == 1
    stored, syntax = int(header.BitsStored), header.file_meta.TransferSyntaxUID
    native = not syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian
    offset = header.get_item("PixelData", keep_deferred=True).value_tell if native else None
    return Pixels(
        path, int(header.Rows), int(header.Columns), int(header.BitsAllocated), stored, signed,
        int(header.get("NumberOfFrames") or 1), offset, not syntax.is_little_endian,
        _padding(header, stored, signed),
    )


def _padding(header: Dataset, bits: int, signed: bool) -> tuple[int, int] | None:
    """Padding range as stored values; writers disagree on the VR, so values are wrapped into the stored range."""
    value = header.get("PixelPaddingValue")
    if value is None:
        return None
    limit = header.get("PixelPaddingRangeLimit")
    ends = sorted(_wrap(int(v), bits, signed) for v in (value, value if limit is None else limit))
    return ends[0], ends[1]


def _wrap(value: int, bits: int, signed: bool) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value
