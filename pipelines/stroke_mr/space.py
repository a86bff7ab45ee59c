"""From a scanner's slices to standard space and back: an affine fit of the brain's outline to the atlas's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import minimize

from gateway.mr import MrVolume
from gateway.pipeline import Array, Floats
from pipelines.stroke_mr.atlas import SHAPE, atlas
from pipelines.stroke_mr.brain import Mask
from pipelines.stroke_mr.labels import SIZE, SLICE

Vector = NDArray[np.float64]
_STEP = 3
"""mm of the distance map."""
_POINTS = 1200
_FAR_MM = 20.0
_TOP, _LEFT = (SIZE - SLICE[0]) // 2, (SIZE - SLICE[1]) // 2


@dataclass(frozen=True, slots=True)
class Fit:
    """`matrix`: float64 (3, 4), voxel (slice, row, column) of the volume → voxel of the atlas (level, row, column).

    `misfit_mm`: mean distance between the outlines; `scales`: atlas mm for a mm of the patient, along the three axes.
    """

    matrix: Vector
    misfit_mm: float
    scales: tuple[float, float, float]

    def level(self, index: int, row: float, column: float) -> float:
        """The atlas level of a place on a slice."""
        return float(self.matrix[0] @ np.array([index, row, column, 1.0]))

    def in_plane(self, index: int) -> tuple[Vector, Vector]:
        """(2 × 2, 2): (row, column) of slice `index` → (row, column) of the atlas."""
        matrix = self.matrix[1:, 1:3]
        return matrix, self.matrix[1:, 0] * index + self.matrix[1:, 3]


def voxel_to_world(volume: MrVolume) -> Vector:
    """float64 (3, 4): (slice, row, column) → mm towards the patient's head, back and right: the atlas's axes."""
    row, column = np.array(volume.orientation[:3]), np.array(volume.orientation[3:])
    normal = np.cross(row, column)
    normal = normal if normal[2] > 0 else -normal
    columns = np.stack([normal * volume.spacing[0], column * volume.spacing[1], row * volume.spacing[2],
                        np.array(volume.origin)], axis=1)
    turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    return np.asarray(turn @ columns, np.float64)


def fit(volume: MrVolume, brain: Mask) -> Fit:
    """The affine transform (turning, scales, shift) that lays the brain's outline on the atlas's best."""
    world = voxel_to_world(volume)
    outline = _outline(brain)
    points = _applied(world, outline)
    inside = _applied(world, np.argwhere(brain)[::37].astype(np.float64))
    centre = inside.mean(0)
    start = _start(inside)
    best = minimize(_distance, start, args=(points - centre,), method="Powell",
                    options={"maxiter": 6, "xtol": 0.02, "ftol": 1e-4})
    linear, shift = _affine(best.x)
    whole = np.concatenate([linear @ world[:, :3], (linear @ (world[:, 3] - centre) + shift)[:, None]], axis=1)
    return Fit(whole, _mean_distance(best.x, points - centre), (float(best.x[3]), float(best.x[4]), float(best.x[5])))


def _applied(matrix: Vector, points: Vector) -> Vector:
    return np.asarray(points @ matrix[:, :3].T + matrix[:, 3], np.float64)


def _outline(brain: Mask) -> Vector:
    """Voxels on the edge within their slice: where the field of view cuts the brain is no edge."""
    edge = brain & ~np.stack([ndimage.binary_erosion(plane) for plane in brain])
    edge[:, [0, -1]] = edge[:, :, [0, -1]] = False
    places = np.argwhere(edge).astype(np.float64)
    chosen: Vector = places[np.linspace(0, len(places) - 1, min(_POINTS, len(places))).astype(int)]
    return chosen


def _start(inside: Vector) -> Vector:
    """Turns 0; the extents across and along as the atlas's; the vertices together."""
    low, high = _extent()
    own_low, own_high = np.percentile(inside, (1, 99), axis=0)
    scale = np.clip((high - low) / np.maximum(own_high - own_low, 1.0), 0.75, 1.4)
    scale[0] = np.clip((scale[1] + scale[2]) / 2, 0.8, 1.3)
    centre = inside.mean(0)
    shift = (low + high) / 2 - scale * ((own_low + own_high) / 2 - centre)
    shift[0] = high[0] - scale[0] * (own_high[0] - centre[0])
    return np.concatenate([np.zeros(3), scale, shift])


@lru_cache(maxsize=1)
def _extent() -> tuple[Vector, Vector]:
    """Between which voxels nearly all of the atlas's brain lies."""
    low, high = np.percentile(np.argwhere(atlas().territory > 0), (1, 99), axis=0)
    return low, high


def _affine(numbers: Vector) -> tuple[Vector, Vector]:
    """Turns (rad), scales, shift (mm) → matrix and shift."""
    linear = np.eye(3)
    for axis, angle in enumerate(numbers[:3]):
        one, other = [a for a in range(3) if a != axis]
        turn = np.eye(3)
        turn[one, one] = turn[other, other] = np.cos(angle)
        turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
        linear = turn @ linear
    return np.asarray(linear @ np.diag(numbers[3:6]), np.float64), numbers[6:9]


@lru_cache(maxsize=1)
def _distances() -> Floats:
    """mm from the atlas's outline, on every third voxel."""
    brain = ndimage.binary_closing(atlas().territory > 0, iterations=3)[::_STEP, ::_STEP, ::_STEP]
    away = ndimage.distance_transform_edt(~brain) + ndimage.distance_transform_edt(brain)
    return np.asarray((away - 1) * _STEP, np.float32)


def _mean_distance(numbers: Vector, points: Vector) -> float:
    linear, shift = _affine(numbers)
    places = (points @ linear.T + shift) / _STEP
    field = _distances()
    away = ndimage.map_coordinates(field, places.T, order=1, mode="nearest")
    outside = np.maximum(0, np.maximum(-places, places - (np.array(field.shape) - 1))).sum(1) * _STEP
    return float(np.minimum(away + outside, _FAR_MM).mean())


def _distance(numbers: Vector, points: Vector) -> float:
    """What is minimised: the misfit, and how unlike a head the transform is."""
    turned = float((numbers[:3] ** 2).sum()) * 6
    scales = np.log(np.maximum(numbers[3:6], 0.3))
    unlike = float((scales**2).sum()) * 3 + float(((scales - scales.mean()) ** 2).sum()) * 10
    return _mean_distance(numbers, points) + turned + unlike


def to_standard(plane: Array, index: int, found: Fit) -> Floats:
    """One slice of the volume on SIZE × SIZE of standard space, 1 mm; finer pixels are averaged."""
    matrix, shift = found.in_plane(index)
    coarser = 1 / max(float(np.sqrt(abs(np.linalg.det(matrix)))), 1e-3)
    source: Any = plane.astype(np.float32)
    if coarser > 1.2:
        source = ndimage.gaussian_filter(source, 0.4 * coarser)
    back = np.linalg.inv(matrix)
    return np.asarray(ndimage.affine_transform(source, back, offset=back @ (-shift - np.array([_TOP, _LEFT])),
                                               output_shape=(SIZE, SIZE), order=1, mode="constant"), np.float32)


def from_standard(plane: Floats, index: int, found: Fit, shape: tuple[int, ...]) -> Floats:
    """A plane of SIZE × SIZE back on the slice's own pixels."""
    matrix, shift = found.in_plane(index)
    source: Any = plane
    return np.asarray(ndimage.affine_transform(source, matrix, offset=shift + np.array([_TOP, _LEFT]),
                                               output_shape=shape, order=1, mode="constant"), np.float32)


def territories(index: int, found: Fit, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The atlas's number of each pixel of a slice, 0 outside."""
    rows, columns = np.mgrid[:shape[0], :shape[1]].reshape(2, -1).astype(np.float64)
    places = found.matrix @ np.stack([np.full(rows.size, float(index)), rows, columns, np.ones(rows.size)])
    nearest: Any = np.rint(places).astype(int)
    inside = ((nearest >= 0) & (nearest < np.array(SHAPE)[:, None])).all(0)
    told = np.zeros(rows.size, np.uint8)
    told[inside] = atlas().territory[tuple(nearest[:, inside])]
    return told.reshape(shape[0], shape[1])
