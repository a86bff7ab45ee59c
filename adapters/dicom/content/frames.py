"""Frames of stored images, as they were encoded or decoded to plain samples, one at a time (PS3.18 10.4, PS3.5 A.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from adapters.dicom.content.dicom_json import opened
from adapters.dicom.content.waveform_read import MALFORMED
from gateway.errors import Transient, Unusable

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
LARGEST_FRAME = 1024**3
"""Bytes of one frame that are decoded in memory."""
_READ_WHOLE = 16 * 1024 * 1024
"""Bytes of a file that is read as a whole where the library finds no frames in it."""
_PIXEL_DATA = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_UNDECODABLE = (*MALFORMED, RuntimeError, MemoryError)
_WORD = "1.2.840.10008.1.2.4."
NATIVE_TYPES: dict[str, str] = {
    **{_WORD + end: "image/jpeg" for end in ("50", "51", "57", "70")},
    **{_WORD + end: "image/jls" for end in ("80", "81")},
    **{_WORD + end: "image/jp2" for end in ("90", "91")},
    **{_WORD + end: "image/jpx" for end in ("92", "93")},
    **{_WORD + end: "image/jphc" for end in ("201", "202", "203")},
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
"""Transfer syntax → media type of a frame as it was encoded (PS3.18 Table 8.7.3-4)."""

Samples = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Image:
    """How an object's pixels are stored (PS3.3 C.7.6.3). `offset`, `length`: of their value in the file, where they
    can be read there; a length of -1 is undefined (encapsulated)."""

    path: Path
    transfer_syntax_uid: str
    rows: int
    columns: int
    samples: int
    bits: int
    frames: int
    planar: bool
    photometric: str
    offset: int
    length: int

    @property
    def encapsulated(self) -> bool:
        return self.transfer_syntax_uid in NATIVE_TYPES or self.length == -1

    @property
    def frame_bytes(self) -> int:
        """Of a frame in a native encoding; YBR_FULL_422 shares its chrominance between two pixels."""
        samples = 2 if self.photometric == "YBR_FULL_422" and self.samples == 3 else self.samples
        return self.rows * self.columns * samples * self.bits // 8

    @property
    def plain(self) -> bool:
        """Whether frames lie in the file as they are told."""
        return (UID(self.transfer_syntax_uid).is_little_endian and not self.encapsulated and self.bits % 8 == 0
                and self.transfer_syntax_uid != DeflatedExplicitVRLittleEndian)


@contextmanager
def reading() -> Iterator[None]:
    """What goes wrong with a stored object's pixels, in words: Transient (file out of reach), Unusable."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # pydicom's own
            raise Unusable("The object's pixel data is damaged.") from error
        raise Transient("The file of an object is out of reach.") from error
    except _UNDECODABLE as error:
        raise Unusable("The object's pixel data cannot be decoded; ask for it with transfer-syntax=*.") from error


def describe(path: Path) -> Image:
    """Raises Unusable where the object has no pixel data, Transient where its file is out of reach."""
    with reading(), opened(path) as header:
        return image_of(path, header)


def image_of(path: Path, header: Dataset) -> Image:
    keyword = next((k for k in _PIXEL_DATA if k in header), None)
    if keyword is None:
        raise Unusable("The object has no pixel data: it is no image.")
    element = header.get_item(keyword, keep_deferred=True)
    length = int(getattr(element, "length", 0))
    return Image(
        path, str(header.file_meta.TransferSyntaxUID), int(header.Rows), int(header.Columns),
        int(header.get("SamplesPerPixel") or 1), int(header.BitsAllocated), max(1, int(header.get(
            "NumberOfFrames") or 1)), int(header.get("PlanarConfiguration") or 0) == 1,
        str(header.get("PhotometricInterpretation") or ""), int(getattr(element, "value_tell", 0) or 0),
        -1 if length == 0xFFFFFFFF else length)


def decodable(transfer_syntax_uid: str) -> bool:
    try:
        return bool(get_decoder(UID(transfer_syntax_uid)).is_available)
    except NotImplementedError:
        return False


def encoded_frame(image: Image, number: int) -> bytes:
    """The bit stream of one frame as it is stored, of encapsulated pixel data. `number` is 1-based."""
    with reading(), image.path.open("rb") as file:
        file.seek(image.offset)
        return bytes(get_frame(file, number - 1, number_of_frames=image.frames))


def plain_frames(image: Image, numbers: Sequence[int]) -> Iterator[bytes]:
    """Each frame as little endian samples (Explicit VR Little Endian): planes where the object says planes.

    YBR_FULL_422 that was compressed comes as RGB. Raises Unusable, Transient.
    """
    with reading():
        if image.plain:
            yield from _stored(image, numbers)
        else:
            for samples in decoded(image, numbers, raw=image.photometric != "YBR_FULL_422"):
                yield _little_endian(image, samples)


def _stored(image: Image, numbers: Sequence[int]) -> Iterator[bytes]:
    size = image.frame_bytes
    with image.path.open("rb") as file:
        for number in numbers:
            file.seek(image.offset + (number - 1) * size)
            piece = file.read(min(size, LARGEST_FRAME))
            if len(piece) != size:
                raise Unusable("The object's pixel data is shorter than its rows and columns say.")
            yield piece


def decoded(image: Image, numbers: Sequence[int], *, raw: bool = False) -> Iterator[Samples]:
    """Each frame as an array (rows, columns[, samples]); in RGB unless `raw`. Errors are those of `reading`."""
    if image.rows * image.columns * image.samples * max(8, image.bits) // 8 > LARGEST_FRAME:
        raise Unusable("A frame of this object is too large to be decoded here; ask for it with transfer-syntax=*.")
    if not decodable(image.transfer_syntax_uid):
        raise Unusable(f"The gateway has no decoder for the transfer syntax {image.transfer_syntax_uid}; "
                       "ask for it with transfer-syntax=*.")
    for samples in _by_library(image, [n - 1 for n in numbers], raw):
        if samples.shape[:2] != (image.rows, image.columns):
            raise Unusable("A frame of this object has another size than its rows and columns say.")
        yield samples


def _by_library(image: Image, indices: list[int], raw: bool) -> Iterator[Samples]:
    """From the file, where the library reads only the frames; from the data set, which it takes more damage in."""
    given = 0
    if image.transfer_syntax_uid != DeflatedExplicitVRLittleEndian:
        try:
            for samples in iter_pixels(image.path, indices=indices, raw=raw):
                yield samples
                given += 1
        except ValueError:
            if given or image.path.stat().st_size > _READ_WHOLE:
                raise
        else:
            return
    yield from iter_pixels(dcmread(image.path), indices=indices, raw=raw)


def _little_endian(image: Image, samples: Samples) -> bytes:
    if image.planar and samples.ndim == 3:
        samples = samples.transpose(2, 0, 1)
    if image.bits == 1:
        return np.packbits(samples.astype(np.uint8).ravel(), bitorder="little").tobytes()
    return samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes()
