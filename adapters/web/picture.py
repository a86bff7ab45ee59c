"""The secondary capture's pixels as PNG, for the page."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from gateway.errors import Permanent


def png_of(part10: bytes) -> bytes:
    """One 8-bit RGB or MONOCHROME2 frame as PNG (PS3.3 C.8.6.1). Raises Permanent for anything else."""
    try:
        pixels = dcmread(io.BytesIO(part10)).pixel_array
    except (InvalidDicomError, AttributeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise Permanent("The picture of this case cannot be decoded.") from error
    if pixels.dtype != np.uint8 or pixels.ndim not in {2, 3}:
        raise Permanent("The picture of this case is not an 8-bit image.")
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=3)
    return out.getvalue()
