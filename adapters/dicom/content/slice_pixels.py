"""One frame's pixels for looking at, of any image object: CT, MR, radiograph or photograph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, pixel_array

from adapters.dicom.content.waveform_read import MALFORMED
from gateway.errors import Transient, Unusable
from gateway.pipeline import Array
from gateway.study import Instance
from gateway.viewing import Pixels

_TAGS = ["Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation", "NumberOfFrames",
         "PhotometricInterpretation", "PixelPaddingValue", "RescaleSlope", "RescaleIntercept",
         "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]
_TRANSFORMATION = "PixelValueTransformationSequence"
_HALF = 2**15
_LARGEST = 128 * 2**20
"""Samples of a frame that are decoded."""


def read_pixels(instance: Instance, frame: int) -> Pixels:
    """Modality LUT applied as slope and intercept (PS3.3 C.11.1.1.2); padding takes the smallest real value.

    Raises Unusable where the frame cannot be decoded, Transient where the file is out of reach.
    """
    path = Path(instance.path)
    try:
        header = dcmread(path, specific_tags=list(_TAGS), stop_before_pixels=True)
        if int(header.Rows) * int(header.Columns) * int(header.get("SamplesPerPixel") or 1) > _LARGEST:
            raise Unusable("The image is too large to be shown.")
        return _pixels(path, header, frame)
    except OSError as error:
        if isinstance(error, EOFError) or error.errno is None:
            raise Unusable("The pixels of this image are damaged or cut short.") from error
        raise Transient("The file of an image is out of reach.") from error
    except (*MALFORMED, RuntimeError) as error:
        raise Unusable("The pixels of this image cannot be decoded.") from error


def _pixels(path: Path, header: Dataset, frame: int) -> Pixels:
    interpretation = str(header.PhotometricInterpretation)
    if interpretation.startswith("MONOCHROME"):
        return _monochrome(_sample(pixel_array(path, index=frame - 1, raw=True), header), header, frame)
    if interpretation == "PALETTE COLOR":
        whole = dcmread(path)
        return _colour(apply_color_lut(pixel_array(whole, index=frame - 1, raw=True), whole))
    return _colour(pixel_array(path, index=frame - 1))


def _colour(values: Array) -> Pixels:
    """RGB of any depth as 8 bits."""
    if values.ndim != 3 or values.shape[2] != 3:
        raise Unusable("The image has colours that are not shown here.")
    return Pixels(np.asarray(values >> (values.dtype.itemsize * 8 - 8), np.uint8))


def _sample(values: Array, header: Dataset) -> Array:
    """The sample alone: bits above BitsStored may hold anything (PS3.5 8.1.1)."""
    unused = values.dtype.itemsize * 8 - int(header.BitsStored)
    return (values << unused) >> unused if unused > 0 and values.dtype.kind in "iu" else values


def _monochrome(values: Array, header: Dataset, frame: int) -> Pixels:
    slope, intercept = _rescale(header, frame)
    whole = values.astype(np.int32)
    padding = header.get("PixelPaddingValue")
    if padding is not None:
        padded = (whole & 0xFFFF) == (int(padding) & 0xFFFF)
        if padded.any() and not padded.all():
            whole[padded] = whole[~padded].min()
    low, high = int(whole.min()), int(whole.max())
    if high - low >= 2 * _HALF:
        raise Unusable("The image has more than 16 bits.")
    shift = 0 if low >= -_HALF and high < _HALF else low + _HALF
    return Pixels((whole - shift).astype(np.int16), slope, intercept + shift * slope)


def _rescale(header: Dataset, frame: int) -> tuple[float, float]:
    """The frame's own functional group before the shared one, the plain attributes last (PS3.3 C.7.6.16)."""
    own = (header.get("PerFrameFunctionalGroupsSequence") or [])[frame - 1:frame]
    for group in (*own, *(header.get("SharedFunctionalGroupsSequence") or [])[:1]):
        if items := group.get(_TRANSFORMATION):
            return _factors(items[0])
    return _factors(header)


def _factors(told: Any) -> tuple[float, float]:
    slope, intercept = told.get("RescaleSlope"), told.get("RescaleIntercept")
    return (float(slope) if slope else 1.0), (float(intercept) if intercept else 0.0)
