"""What the two networks are shown, and where their answers lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

from gateway.pipeline import Array, Floats
from pipelines.chest_ct.grid import Working
from pipelines.chest_ct.lungs import Lungs

SIZE = 160
"""Pixels of 2.25 mm: 360 mm around the middle of the lungs."""
CELL = 4
"""Pixels of one cell of the classifier's evidence map."""
TOP = 6
"""Cells that make a slab's score."""
_NOTHING = -12.0
"""Logit of a cell outside the chest."""
_LEAST_OUTLINE = 12
"""Pixels of lung that have an outline."""
_BELOW = 2
"""Slabs shown below the lowest lung: fluid lies there."""


@dataclass(frozen=True, slots=True)
class View:
    """Which slabs are shown, and the corner (row, column) of the shown square on the working grid (may be outside)."""

    slabs: Array
    corner: tuple[int, int]

    @classmethod
    def of(cls, lungs: Lungs) -> View:
        first, last = int(lungs.slabs[0]), int(lungs.slabs[-1])
        rows, columns = np.flatnonzero(lungs.whole.any((0, 2))), np.flatnonzero(lungs.whole.any((0, 1)))
        corner = tuple((int(span[0]) + int(span[-1]) + 1 - SIZE) // 2 for span in (rows, columns))
        return cls(np.arange(max(0, first - _BELOW), last + 1), (corner[0], corner[1]))

    def cut(self, stack: Array, fill: float) -> Array:
        """The shown square of each slab of a stack on the working grid: (slabs shown, SIZE, SIZE)."""
        out = np.full((self.slabs.size, SIZE, SIZE), fill, stack.dtype)
        source, target = self._overlap(stack.shape[1:])
        out[:, target[0], target[1]] = stack[self.slabs][:, source[0], source[1]]
        return out

    def put(self, square: Array, shape: tuple[int, int]) -> Floats:
        """One shown square back on a picture of the working grid, zero elsewhere."""
        out = np.zeros(shape, np.float32)
        source, target = self._overlap(shape)
        out[source[0], source[1]] = square[target[0], target[1]]
        return out

    def _overlap(self, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        source, target = [], []
        for corner, size in zip(self.corner, shape, strict=True):
            low, high = max(corner, 0), min(corner + SIZE, size)
            source.append(slice(low, high))
            target.append(slice(low - corner, high - corner))
        return (source[0], source[1]), (target[0], target[1])


def classifier_input(working: Working, view: View) -> Floats:
    """float32 (slabs shown, 3, SIZE, SIZE) in [0, 1] for −1000..400 HU: the slab below, the slab, the slab above."""
    scaled = np.clip((working.hu + 1000) / 1400, 0, 1).astype(np.float32)
    shifted = [View(np.clip(view.slabs + step, 0, len(scaled) - 1), view.corner).cut(scaled, 0) for step in (-1, 0, 1)]
    return np.stack(shifted, axis=1)


def autoencoder_input(working: Working, lungs: Lungs, view: View) -> Floats:
    """float32 (slabs shown, 1, SIZE / 2, SIZE / 2) in [0, 1] for −1000..200 HU inside the lungs, 0 outside."""
    scaled = np.clip((working.hu + 1000) / 1200, 0, 1).astype(np.float32) * lungs.whole
    half = SIZE // 2
    return np.asarray(view.cut(scaled, 0).reshape(-1, 1, half, 2, half, 2).mean((3, 5)), np.float32)


def reconstruction_error(shown: Floats, rebuilt: Floats, inside: Array) -> Floats:
    """Smoothed absolute difference (slabs, SIZE, SIZE) inside the lungs, a rim of two pixels left out.

    `shown`, `rebuilt`: the autoencoder's input and output; `inside`: bool (slabs, SIZE, SIZE).
    """
    structure = ndimage.generate_binary_structure(2, 1)[None]
    core = ndimage.binary_erosion(inside, structure, iterations=2)
    difference = ndimage.gaussian_filter(np.abs(shown[:, 0] - rebuilt[:, 0]).astype(np.float32), (0, 0.75, 0.75))
    return np.asarray(difference.repeat(2, axis=1).repeat(2, axis=2) * core, np.float32)


def error_score(error: Floats, inside: Array) -> float:
    """Natural logarithm of the geometric mean of the mean error inside the lungs (large pale disease) and the mean of
    its largest five hundredth (small dense disease)."""
    values = error[inside]
    if not values.size:
        return -10.0
    most = max(1, values.size // 500)
    largest = float(np.partition(values, values.size - most)[-most:].mean())
    return float(np.log(np.sqrt(max(largest, 1e-6) * max(float(values.mean()), 1e-6))))


def cavity(inside: Array) -> Array:
    """Cells of the chest: bool (slabs, cells, cells), whose middle lies within the convex outline of both lungs.

    `inside`: bool (slabs, SIZE, SIZE), the lungs. What lies in the chest wall is evidence of nothing. Two slabs above
    and below are taken together, and slabs without lungs have the outline of the nearest that have some.
    """
    spread = ndimage.maximum_filter1d(inside.astype(np.uint8), 5, axis=0).astype(bool)
    shown = np.flatnonzero(spread.any((1, 2)))
    centres = np.stack(np.meshgrid(*[np.arange(SIZE // CELL) * CELL + (CELL - 1) / 2] * 2, indexing="ij"), axis=-1)
    out = np.ones((len(inside), SIZE // CELL, SIZE // CELL), bool)
    for slab in range(len(inside)):
        points = np.argwhere(spread[shown[np.abs(shown - slab).argmin()]]) if shown.size else np.zeros((0, 2))
        if len(points) > _LEAST_OUTLINE and np.ptp(points, axis=0).min() > 1:
            faces = ConvexHull(points).equations
            out[slab] = (centres @ faces[:, :2].T + faces[:, 2] <= 0).all(-1)
    return out


def within(evidence: Floats, inside: Array) -> tuple[Floats, Floats]:
    """Scores (slabs, labels) and maps (slabs, labels, cells, cells) of the chest alone: logits, as the network gives
    them; a score is the mean of the six highest cells."""
    maps = np.where(cavity(inside)[:, None], evidence, _NOTHING).astype(np.float32)
    highest = np.partition(maps.reshape(*maps.shape[:2], -1), -TOP, axis=-1)[..., -TOP:]
    return np.asarray(highest.mean(-1), np.float32), maps


def class_scores(scores: Floats) -> Floats:
    """(slabs, kinds) → for each kind the mean of its three highest slabs."""
    return np.asarray(np.sort(scores, axis=0)[-3:].mean(0), np.float32)


def smooth_evidence(evidence: Floats) -> Floats:
    """Cell logits (cells, cells) → probability on the shown square's pixels, interpolated."""
    probability = 1 / (1 + np.exp(-evidence.astype(np.float32)))
    return np.asarray(ndimage.zoom(probability, CELL, order=1, grid_mode=True, mode="nearest"), np.float32)
