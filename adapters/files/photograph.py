"""PNG and JPEG photographs, decoded with bounds."""

from __future__ import annotations

import io
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gateway.errors import Unusable

MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_MOST_PIXELS = 100_000_000


def read_photograph(content: bytes) -> NDArray[np.uint8]:
    """RGB uint8 (rows, columns, 3), turned upright as its EXIF says. Raises Unusable: damaged or too large."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise Unusable("the photograph is too large")
            return cast(NDArray[np.uint8], np.asarray(ImageOps.exif_transpose(image).convert("RGB")))
    except (OSError, SyntaxError, ValueError, ArithmeticError, Image.DecompressionBombError) as error:
        raise Unusable("the photograph is damaged or truncated") from error
