"""The first two steps: a photograph as the networks see it, and what of it is skin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csr_array

from gateway.pipeline import Array, Floats
from pipelines.dermoscopy.colour import Mask, hsv, lab, lamp
from pipelines.dermoscopy.hair import hair_mask, painted_over
from pipelines.dermoscopy.surroundings import foreign_mask, glare_mask, rim_mask

SIDE = 256
"""Pixels: every photograph is squeezed to a square, as those are from which the model learned."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One photograph, SIDE × SIDE.

    `raw`: as it came, sRGB in [0, 1]. `rgb`: hairs painted over, under white light. `lab`: of `rgb`.
    `hair`: lines that were painted over. `outside`: rim, stickers, ink: nothing there is measured.
    `lamp`: colour of the light that was taken out.
    """

    raw: Floats
    rgb: Floats
    lab: Floats
    hair: Mask
    outside: Mask
    lamp: Floats


def grey16(prepared: Prepared) -> Floats:
    """(16, 16): grey values of the whole picture as it came, by which near duplicates are known."""
    step = SIDE // 16
    return np.asarray(prepared.raw.mean(axis=-1).reshape(16, step, 16, step).mean(axis=(1, 3)))


def squeezed(pixels: NDArray[np.uint8], side: int = SIDE) -> Floats:
    """uint8 (rows, columns, 3) → float32 (side, side, 3) in [0, 1], each pixel the mean over its area."""
    rows, columns, _ = pixels.shape
    factor = max(min(rows, columns) // (3 * side), 1)
    return squeezed_areas(shrunk(pixels[:, :, :3], factor) / np.float32(255), side)


def shrunk(pixels: NDArray[np.uint8], factor: int) -> Floats:
    """Means over squares of `factor` (at most 257) pixels, 0 to 255; what is left over at the edge is dropped."""
    rows, columns = (length // factor * factor for length in pixels.shape[:2])
    if factor == 1:
        return pixels.astype(np.float32)
    lines = np.zeros((rows // factor, columns, pixels.shape[2]), np.uint16)
    for number in range(factor):
        lines += pixels[number:rows:factor, :columns]
    whole = np.zeros((rows // factor, columns // factor, pixels.shape[2]), np.uint32)
    for number in range(factor):
        whole += lines[:, number::factor]
    return np.asarray(whole / np.float32(factor * factor), np.float32)


def squeezed_areas(fine: Floats, side: int) -> Floats:
    """(rows, columns, channels) → (side, side, channels), each pixel the mean over its area."""
    rows, columns, channels = fine.shape
    narrow = _areas(rows, side) @ fine.reshape(rows, -1)
    turned = narrow.reshape(side, columns, channels).transpose(1, 0, 2).reshape(columns, -1)
    square = (_areas(columns, side) @ turned).reshape(side, side, channels).transpose(1, 0, 2)
    return np.ascontiguousarray(square, np.float32)


def _areas(source: int, target: int) -> Any:
    """Rows of weights, each summing to 1: how much of each source pixel lies in a target pixel."""
    if source < target:
        place = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
        left = np.minimum(place.astype(int), max(source - 2, 0))
        share = (place - left).astype(np.float32)
        each = np.repeat(np.arange(target), 2)
        where = np.stack([left, np.minimum(left + 1, source - 1)], axis=1).ravel()
        weight = np.stack([1 - share, share], axis=1).ravel()
        return _sparse(weight, each, where, (target, source))
    edges = np.arange(target + 1) * source / target
    cuts = np.unique(np.concatenate([edges, np.arange(source + 1)]))
    middles, weight = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts) * target / source
    inside = np.minimum((middles * target / source).astype(int), target - 1)
    return _sparse(weight, inside, middles.astype(int), (target, source))


def _sparse(weight: Array, rows: Array, columns: Array, shape: tuple[int, int]) -> Any:
    make: Any = csr_array
    return make((weight.astype(np.float32), (rows, columns)), shape=shape)


def prepare(raw: Floats) -> Prepared:
    """Hairs and ruler ticks painted over, the rim, ink and stickers left out, the light made white."""
    hair = hair_mask(ndimage.gaussian_filter(raw @ np.array([0.3, 0.5, 0.2], np.float32), 0.6))
    bare = painted_over(raw, hair)
    colours = hsv(bare)
    rim = rim_mask(colours[..., 2])
    light = lamp(bare, ~rim & ~glare_mask(colours))
    outside = rim | foreign_mask(hsv(np.clip(bare / light, 0, 1)), rim)
    light = lamp(bare, ~outside & ~glare_mask(colours))
    rgb = np.clip(bare / light, 0, 1).astype(np.float32)
    return Prepared(raw, rgb, lab(rgb), hair, outside, light)
