"""PNG and JPEG photographs: decoded with bounds, and kept without what they tell besides the picture."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gateway.errors import Unusable

MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_MOST_PIXELS = 80_000_000
_TOO_LARGE = "the photograph is too large"
_DAMAGED = "the photograph is damaged or truncated"
_ORIENTATION = 0x0112
_BASELINE, _SCAN, _END = 0xC0, 0xDA, 0xD9
_TABLES = frozenset({0xC0, 0xC4, 0xDA, 0xDB, 0xDD})
"""SOF0, DHT, SOS, DQT, DRI: what a decoder needs (ITU-T T.81 B.2). Everything else tells about the picture."""
_ADOBE = 0xEE
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
"""Ends a scan: any marker but a stuffed zero and a restart."""


@dataclass(frozen=True, slots=True)
class PhotographFile:
    """`pixels`: uint8 RGB (rows, columns, 3), upright. `jpeg`: the same picture as the file's own baseline JPEG stream
    with subsampled chroma, without EXIF and comments; b"" where it cannot be kept as it is (progressive, turned, other
    colours). `lossy_bytes`: length of the lossily compressed stream that it came as, 0 for PNG.
    """

    pixels: NDArray[np.uint8]
    jpeg: bytes = b""
    lossy_bytes: int = 0


def read_photograph(content: bytes) -> PhotographFile:
    """Turned upright as its EXIF says. Raises Unusable: damaged, too large."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise Unusable(_TOO_LARGE)
            upright = int(image.getexif().get(_ORIENTATION, 1) or 1) == 1
            lossy = image.format == "JPEG"
            kept = _kept(content) if lossy and upright and image.mode == "RGB" else b""
            pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
    except Image.DecompressionBombError as error:
        raise Unusable(_TOO_LARGE) from error
    except (OSError, SyntaxError, ValueError, ArithmeticError) as error:
        raise Unusable(_DAMAGED) from error
    return PhotographFile(pixels, kept, len(content) if lossy else 0)


def _kept(content: bytes) -> bytes:
    """The stream with its tables and scans alone; b"" where it is not baseline YBR with subsampled chroma, the only one
    for which VL images have a Photometric Interpretation (PS3.3 C.8.12.1.1.1).

    Raises ValueError where it is no whole JPEG stream.
    """
    parts = [b"\xff\xd8"]
    for marker, segment in _segments(content):
        if not _takes(marker, segment):
            return b""
        if marker in _TABLES or marker == _ADOBE:
            parts.append(segment)
    return b"".join([*parts, b"\xff\xd9"])


def _takes(marker: int, segment: bytes) -> bool:
    """Whether a decoder of JPEG Baseline (Process 1) gives the right colours for a stream with this segment."""
    if marker == _BASELINE:
        return segment[4] == 8 and segment[9] == 3 and len({segment[11 + 3 * component] for component in range(3)}) > 1
    if marker == _ADOBE and segment[4:9] == b"Adobe":
        return segment[15:16] == b"\x01"
    return not 0xC1 <= marker <= 0xCF or marker in _TABLES


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, its segment from FF on; of a scan with its data) up to the end of the image."""
    at = 2
    while at + 4 <= len(content):
        if content[at] != 0xFF:
            raise ValueError("no marker where one must be")
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == _END:
            return
        end = at + 2 + int.from_bytes(content[at + 2:at + 4], "big")
        if marker == _SCAN:
            found = _MARKER.search(content, end)
            if found is None:
                raise ValueError("a scan without an end")
            end = found.start()
        yield marker, content[at:end]
        at = end
    if content[at:at + 2] != b"\xff\xd9":
        raise ValueError("a stream without an end")
