"""Labelled slices in standard space: the `.npz` layout of `../shared/data/stroke-flair`."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.errors import Unusable
from gateway.pipeline import Array, Floats
from pipelines.stroke_mr.intensity import standardised
from pipelines.stroke_mr.labels import CROP, SLICE

_FOLDER = "stroke-flair"


@dataclass(frozen=True, slots=True)
class Slices:
    """`images`: uint8 (n, 189, 157), row 0 is anterior, zero outside the brain; `masks`: bool, the same shape;
    `subjects`: (n,) one patient each."""

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    subjects: tuple[str, ...]

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Lesion pixels of each slice."""
        return np.asarray(self.masks.sum((1, 2)), np.int64)

    def part(self, chosen: NDArray[np.intp]) -> Slices:
        return Slices(self.images[chosen], self.masks[chosen], tuple(self.subjects[n] for n in chosen))


def read_slices(data: Path) -> Slices:
    """`data`: the file, its folder, or the folder above `stroke-flair`. Raises Unusable where there is none."""
    file = _file(data)
    try:
        with np.load(file, allow_pickle=False) as held:
            images, packed = held["image"], held["lesion"]
            subjects = held["subject"] if "subject" in held else np.arange(len(images))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise Unusable("the .npz file holds no `image` and `lesion`", element=file.name) from error
    if images.shape[1:] != SLICE or len(packed) != len(images):
        raise Unusable(f"`image` must be (n, {SLICE[0]}, {SLICE[1]}), with a mask for each slice", element=file.name)
    bits = np.unpackbits(packed, axis=1)[:, :SLICE[0] * SLICE[1]]
    return Slices(images.astype(np.uint8), bits.reshape(images.shape).astype(np.bool_), tuple(map(str, subjects)))


def _file(data: Path) -> Path:
    if data.is_file():
        return data
    found = sorted(data.glob("*.npz")) or sorted((data / _FOLDER).glob("*.npz"))
    if not found:
        raise Unusable(f"there is no .npz file in that folder, nor in its folder {_FOLDER}", element="data")
    return found[0]


def prepared(images: Array) -> Floats:
    """float32 (n, 1, *CROP): standardised inside the brain (pixels above zero), the midline in the middle."""
    return framed(np.stack([standardised(image, image > 0) for image in images]))[:, None]


def framed(stack: Array, shape: tuple[int, int] = CROP) -> Array:
    """(n, *SLICE) in the middle of (n, *shape), zero around."""
    rows, columns = shape[0] - SLICE[0], shape[1] - SLICE[1]
    return np.pad(stack, ((0, 0), (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)))


def unframed(stack: Array) -> Array:
    """(n, *SLICE) out of the middle of (n, rows, columns): undoes `framed`."""
    top, left = (stack.shape[-2] - SLICE[0]) // 2, (stack.shape[-1] - SLICE[1]) // 2
    return stack[..., top:top + SLICE[0], left:left + SLICE[1]]
