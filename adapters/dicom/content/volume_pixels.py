"""Stored values → real ones, frame by frame into one array; native syntaxes read straight from the file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from pydicom import dcmread
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import UID

from adapters.dicom.content.volume_frames import Frame, Pixels
from gateway.errors import Transient, Unusable
from gateway.pipeline import Array, Floats

AIR = -1000.0
"""HU written where PixelPaddingValue stood."""
_THREADS = 2


def read_values(frames: Sequence[Frame], padding: float = AIR) -> Floats:
    """float32 (frames, rows, columns) after each frame's rescale (CT: HU); stored padding becomes `padding`.

    Raises Unusable where pixel data is short or cannot be decoded, Transient where a file is out of reach.
    """
    first = frames[0].pixels
    values = np.empty((len(frames), first.rows, first.columns), np.float32)
    by_object: dict[str, list[int]] = defaultdict(list)
    for index, frame in enumerate(frames):
        by_object[str(frame.pixels.path)].append(index)
    with ThreadPoolExecutor(_THREADS) as pool:
        for done in [pool.submit(_fill, values, frames, indices, padding) for indices in by_object.values()]:
            done.result()
    return values


def _fill(out: Floats, frames: Sequence[Frame], indices: list[int], padding: float) -> None:
    """Every wanted frame of one object. Threads write disjoint slices."""
    pixels = frames[indices[0]].pixels
    numbers = [frames[i].number for i in indices]
    for index, stored in zip(indices, _stored(pixels, numbers), strict=True):
        _convert(stored, frames[index], padding, out[index])


def _stored(pixels: Pixels, numbers: list[int]) -> Iterator[Array]:
    try:
        if pixels.offset is None:
            yield from _decoded(pixels, numbers)
        else:
            yield from _native(pixels, pixels.offset, numbers)
    except OSError as error:
        raise Transient("an image file is out of reach") from error


def _native(pixels: Pixels, offset: int, numbers: list[int]) -> Iterator[Array]:
    count = pixels.rows * pixels.columns
    with pixels.path.open("rb", buffering=0) as file:
        for number in numbers:
            file.seek(offset + (number - 1) * count * pixels.dtype.itemsize)
            values = np.frombuffer(file.read(count * pixels.dtype.itemsize), pixels.dtype)
            if values.size != count:
                raise Unusable("the pixel data of a slice is shorter than its rows and columns say")
            yield _without_unused_bits(values.reshape(pixels.rows, pixels.columns), pixels)


def _without_unused_bits(values: Array, pixels: Pixels) -> Array:
    """The sample alone: bits above BitsStored may hold anything (PS3.5 8.1.1)."""
    unused = pixels.bits_allocated - pixels.bits_stored
    if unused < 0 or pixels.bits_stored < 1:
        raise Unusable("a slice's BitsStored does not fit its BitsAllocated")
    if not unused:
        return values
    return (values << unused) >> unused


def _decoded(pixels: Pixels, numbers: list[int]) -> Iterator[Array]:
    """Compressed pixel data by pydicom's decoders; the deflated syntax, where pydicom needs the whole data set, too."""
    try:
        data = dcmread(pixels.path)
        syntax = data.file_meta.TransferSyntaxUID
        if syntax.is_compressed and not _decodable(syntax):
            raise Unusable(f"no decoder is installed for the transfer syntax {syntax}")
        for values in iter_pixels(data, indices=[n - 1 for n in numbers], raw=True):
            if values.shape != (pixels.rows, pixels.columns):
                raise Unusable("a compressed slice has another size than its rows and columns say")
            yield values
    except (RuntimeError, NotImplementedError, ValueError, AttributeError, TypeError, EOFError, KeyError) as error:
        raise Unusable("the pixel data of a slice cannot be decoded") from error


def _decodable(syntax: UID) -> bool:
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _convert(stored: Array, frame: Frame, padding: float, out: Floats) -> None:
    np.multiply(stored, np.float32(frame.slope), out=out, dtype=np.float32, casting="unsafe")
    out += np.float32(frame.intercept)
    if frame.pixels.padding is not None:
        low, high = frame.pixels.padding
        out[(stored >= low) & (stored <= high)] = padding
