"""A stored photograph as its colours and scale: VL Photographic, Dermoscopic Photography, Secondary Capture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit

from adapters.dicom.content.frames import describe, encoded_frame
from adapters.dicom.content.slice_pixels import read_pixels
from gateway.errors import Rejected, Unusable
from gateway.photograph import Photograph
from gateway.study import Instance

_SCALES = ("PixelSpacing", "NominalScannedPixelSpacing")
"""The first that is there: of the object itself (PS3.3 10.7.1.1), of what was scanned (C.8.6.1)."""
_MOST_PIXELS = 80_000_000
_LARGEST_MM = 10.0
"""A pixel of a photograph is smaller; what is larger is no scale."""


def load_photograph(instance: Instance, frame: int = 1) -> Photograph:
    """Raises Unusable where the frame cannot be decoded or holds no colours, Transient where its file is out of
    reach."""
    stored = _baseline(instance, frame)
    if stored is None:
        stored = read_pixels(instance, frame).stored
    if stored.ndim != 3:
        raise Unusable("The image has no colours: it is no photograph.", element="PhotometricInterpretation")
    return Photograph(np.ascontiguousarray(stored, np.uint8), scale_of(instance), instance.sop_instance_uid, frame)


def _baseline(instance: Instance, frame: int) -> NDArray[np.uint8] | None:
    """A YBR frame of JPEG Baseline by the quickest decoder; None for all others, and where it finds a fault."""
    try:
        image = describe(Path(instance.path))
        if image.transfer_syntax_uid != JPEGBaseline8Bit or not image.photometric.startswith("YBR"):
            return None
        if image.rows * image.columns > _MOST_PIXELS:
            return None
        with Image.open(BytesIO(encoded_frame(image, frame)), formats=("JPEG",)) as picture:
            told = picture.size == (image.columns, image.rows) and picture.mode == "RGB"
            return np.asarray(picture, np.uint8) if told else None
    except (Rejected, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def scale_of(instance: Instance) -> tuple[float, float] | None:
    """mm per pixel (between rows, between columns), None where it is not told or cannot be."""
    for keyword in _SCALES:
        told = _pair(instance.tags.get(keyword))
        if told is not None:
            return told
    return None


def _pair(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        return None
    try:
        rows, columns = (float(v) for v in value)
    except (TypeError, ValueError):
        return None
    usable = all(math.isfinite(v) and 0 < v <= _LARGEST_MM for v in (rows, columns))
    return (rows, columns) if usable else None
