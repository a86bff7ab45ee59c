"""What is shown of a reading: the lesion outlined, where evidence for melanoma lies, both over the photograph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.evidence_map import HEAT, EvidenceVolume, as_bytes
from gateway.photograph import Photograph
from gateway.pipeline import Floats, KeyImage
from gateway.result import ImageRegion
from pipelines.dermoscopy.colour import Mask
from pipelines.dermoscopy.inputs import View
from pipelines.dermoscopy.labels import HISTOLOGY, KERATOSIS, MELANOMA
from pipelines.dermoscopy.lesion import Lesion
from pipelines.dermoscopy.prepare import SIDE, shrunk, squeezed_areas
from pipelines.dermoscopy.shape import outline

_LARGEST = 1000
"""Pixels of the longer side of the picture in the document."""
_PLANE = 128
"""Pixels of the side of a kept map."""
_LINE, _BOX = (0, 230, 118), (255, 214, 0)
OUTLINE = "outline"
OUTLINE_NAME = "Outline of the lesion"
_BORDER = 6
"""Pixels around the lesion in which its border's evidence is shown."""
_WEAK = 0.15
"""Evidence below this share of the strongest is not shown."""


class Shown(Protocol):
    """A photograph that was read, see `reader.Shown`."""

    @property
    def photograph(self) -> Photograph: ...

    @property
    def lesion(self) -> Lesion: ...

    @property
    def evidence(self) -> Floats: ...


def evidence_of(maps: Floats, lesion: Lesion) -> Floats:
    """(classes, rows, columns) over the cut-out, signed → (2, SIDE, SIDE) in [0, 1] over the whole picture: what speaks
    for melanoma and for keratosis in the lesion and at its border, the strongest place 1, what is weak 0."""
    view = View.of(lesion)
    told = np.zeros((2, SIDE, SIDE), np.float32)
    rows, columns = np.meshgrid(*(np.arange(SIDE) + 0.5 - start for start in (view.top, view.left)), indexing="ij")
    near = ndimage.binary_dilation(lesion.mask, iterations=_BORDER)
    inside = (rows >= 0) & (rows < view.side) & (columns >= 0) & (columns < view.side)
    for number in range(2):
        positive = np.maximum(maps[number], 0)
        scale = positive.shape[0] / view.side
        over = ndimage.map_coordinates(positive, [rows * scale - 0.5, columns * scale - 0.5], order=1, mode="nearest")
        told[number] = np.where(inside & near, over, 0)
    strong = told / np.maximum(told.max(axis=(1, 2), keepdims=True), 1e-9)
    return np.asarray(np.maximum(strong - _WEAK, 0) / (1 - _WEAK), np.float32)


def region(photograph: Photograph, lesion: Lesion) -> ImageRegion:
    """The lesion's box in the photograph's own pixels."""
    rows, columns = photograph.pixels.shape[:2]
    top, left, bottom, right = lesion.box
    return ImageRegion(photograph.sop_instance_uid, left * columns / SIDE, top * rows / SIDE,
                       min(right * columns / SIDE, columns - 0.5), min(bottom * rows / SIDE, rows - 0.5),
                       photograph.frame)


def picture(shown: Shown, which: int, count: int) -> KeyImage:
    """The photograph with outline and box, and the evidence for melanoma. `which` of `count` photographs, from 1."""
    photograph, lesion = shown.photograph, shown.lesion
    small = _smaller(photograph.pixels)
    mask = _enlarged(lesion.mask, small.shape[:2])
    drawn = _outlined(small, mask, lesion)
    caption = "lesion outlined; evidence for melanoma" if count == 1 else (
        f"lesion outlined, photograph {which} of {count}; evidence for melanoma")
    return KeyImage(drawn, shown.evidence[0], caption, source=(photograph.sop_instance_uid, photograph.frame))


def _smaller(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    step = -(-max(pixels.shape[:2]) // _LARGEST)
    return pixels if step == 1 or min(pixels.shape[:2]) < step else np.rint(shrunk(pixels, step)).astype(np.uint8)


def _enlarged(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """SIDE × SIDE → (rows, columns), its edge smooth."""
    rows, columns = (np.clip((np.arange(n) + 0.5) * SIDE / n - 0.5, 0, SIDE - 1) for n in shape)
    soft = ndimage.gaussian_filter(mask.astype(np.float32), 1.0)
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(ndimage.map_coordinates(soft, grid, order=1) > 0.5)


def _outlined(pixels: NDArray[np.uint8], mask: Mask, lesion: Lesion) -> NDArray[np.uint8]:
    drawn = pixels.copy()
    width = max(max(pixels.shape) // 400, 1)
    top, left, bottom, right = (round(edge * length / SIDE) for edge, length in
                                zip(lesion.box, pixels.shape[:2] * 2, strict=True))
    for edge in (np.s_[top:top + width, left:right], np.s_[bottom - width:bottom, left:right],
                 np.s_[top:bottom, left:left + width], np.s_[top:bottom, right - width:right]):
        drawn[edge] = _BOX
    drawn[ndimage.binary_dilation(outline(mask), iterations=width)] = _LINE
    return drawn


def evidence_volume(shown: Sequence[Shown], key: int) -> EvidenceVolume:
    """For the page: of each photograph what speaks for melanoma and for keratosis, and the outline."""
    planes = np.stack([_planes(one) for one in shown], axis=1)
    slices = tuple((one.photograph.sop_instance_uid, one.photograph.frame) for one in shown)
    values = as_bytes(planes)[[0, 0, 1, 2]]
    return EvidenceVolume((HISTOLOGY, MELANOMA, KERATOSIS, OUTLINE), values, slices, tuple(range(len(shown))), key,
                          HEAT, {OUTLINE: OUTLINE_NAME})


def _planes(one: Shown) -> Floats:
    """(3, _PLANE, _PLANE)."""
    heat = squeezed_areas(one.evidence.transpose(1, 2, 0), _PLANE).transpose(2, 0, 1)
    line = np.asarray(ndimage.binary_dilation(outline(one.lesion.mask)), np.float32)
    return np.concatenate([heat, np.ceil(squeezed_areas(line[..., None], _PLANE))[None, ..., 0]])
