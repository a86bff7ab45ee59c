"""A chest of our own making in Hounsfield units: body, skeleton, mediastinum, lungs with vessels and airways.

Axes: z foot to head, y front to back, x right to left of the patient, all in mm around the middle of the chest at the
level of the diaphragm's dome. Shapes are signed distances (mm, negative inside) painted with soft edges, so that a
coarse grid shows the partial volume that a scanner would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Grid:
    """Voxel centres in mm: `z` (n,1,1), `y` (1,h,1), `x` (1,1,w). `edge`: width of a soft edge in mm."""

    z: Field
    y: Field
    x: Field
    edge: float

    @classmethod
    def of(cls, shape: tuple[int, int, int], spacing: tuple[float, float, float], bottom: float,
           centre: tuple[float, float] = (0.0, 0.0)) -> Grid:
        """`bottom`: z of the first slice; `centre`: (y, x) of the middle of the picture."""
        z = bottom + spacing[0] * np.arange(shape[0])
        y = centre[0] + spacing[1] * (np.arange(shape[1]) - (shape[1] - 1) / 2)
        x = centre[1] + spacing[2] * (np.arange(shape[2]) - (shape[2] - 1) / 2)
        return cls(z.astype(np.float32)[:, None, None], y.astype(np.float32)[None, :, None],
                   x.astype(np.float32)[None, None, :], float(max(spacing[1], spacing[2])))

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.z.size, self.y.size, self.x.size


@dataclass(frozen=True, slots=True)
class Build:
    """What differs from one person, and one scan, to the next. Lengths in mm, values in HU."""

    width: float
    depth: float
    fat: float
    top: float
    dome: float
    dome_drop: float
    left_lower: float
    heart: float
    heart_shift: float
    lung: float
    gravity: float
    blood: float
    vessels: int
    bubble: float
    table: float
    noise: float
    noise_grain: float
    waviness: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Build:
        u = rng.uniform
        return cls(
            width=u(150, 195), depth=u(104, 142), fat=u(8, 30), top=u(185, 235), dome=u(-8, 22), dome_drop=u(45, 75),
            left_lower=u(5, 20), heart=u(0.85, 1.15), heart_shift=u(18, 34), lung=u(-890, -800), gravity=u(10, 60),
            blood=u(35, 60) if u() < 0.5 else u(100, 320), vessels=int(u(10, 15)), bubble=u(0, 28), table=u(4, 14),
            noise=u(6, 32), noise_grain=u(0.5, 1.4), waviness=u(1.0, 3.5),
        )


def smooth_noise(rng: np.random.Generator, grid: Grid, scale: float) -> Field:
    """Unit-variance noise that varies over about `scale` mm."""
    extent = [float(np.ptp(axis)) for axis in (grid.z, grid.y, grid.x)]
    nodes = [max(3, round(e / scale) + 2) for e in extent]
    coarse = rng.standard_normal(nodes).astype(np.float32)
    down, along, across = (_spread(n, size) for n, size in zip(nodes, grid.shape, strict=True))
    out = (along @ np.tensordot(down, coarse, 1)) @ across.T
    out /= out.std() + 1e-6
    return np.asarray(out, np.float32)


def _spread(nodes: int, size: int) -> Field:
    """(size, nodes) weights of smooth interpolation between nodes."""
    at = np.linspace(0.5, nodes - 1.5, size)[:, None] - np.arange(nodes)[None, :]
    weights = np.clip(1 - np.abs(at) / 1.5, 0, 1) ** 2
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def soft(distance: Field, edge: float) -> Field:
    """Coverage in [0, 1] of a shape given by its signed distance."""
    return np.asarray(np.clip(np.float32(0.5) - distance / np.float32(edge), 0, 1), np.float32)


def paint(hu: Field, coverage: Field, value: Field | float) -> None:
    """Lay `value` over `hu` where the shape covers it."""
    hu += coverage * (np.float32(value) - hu)


def oval(grid: Grid, half: tuple[Numbers | float, Numbers | float], centre: tuple[float, float] = (0, 0),
         power: float = 2.0) -> Field:
    """Signed distance (about) to an upright superelliptic column; `half`, `centre` are (y, x)."""
    radius = (np.abs((grid.y - centre[0]) / half[0]) ** power + np.abs((grid.x - centre[1]) / half[1]) ** power)
    return np.asarray((radius ** (1 / power) - 1) * np.minimum(half[0], half[1]), np.float32)


def ball(grid: Grid, centre: tuple[float, float, float], half: tuple[float, float, float]) -> Field:
    """Signed distance (about) to an ellipsoid; `centre`, `half` are (z, y, x)."""
    radius = np.sqrt(((grid.z - centre[0]) / half[0]) ** 2 + ((grid.y - centre[1]) / half[1]) ** 2
                     + ((grid.x - centre[2]) / half[2]) ** 2)
    return np.asarray((radius - 1) * min(half), np.float32)


def cage(grid: Grid, build: Build) -> Field:
    """Inner surface of the chest wall, closing towards the apex."""
    narrowing = np.clip((grid.z - 40) / (build.top - 40), 0, 1.0)
    scale = np.sqrt(np.clip(1 - narrowing ** 2.6, 0.0004, 1))
    half = (build.depth - 0.7 * build.fat - 16) * scale, (build.width - build.fat - 18) * scale ** 0.9
    tilt = 14 * narrowing
    radius = np.sqrt(((grid.y - tilt) / half[0]) ** 2 + (grid.x / half[1]) ** 2)
    return np.asarray((radius - 1) * np.minimum(half[0], half[1]), np.float32)


def lungs(grid: Grid, build: Build, rng: np.random.Generator) -> Field:
    """Signed distance of both lungs together: cage less mediastinum, heart, spine and what lies under the diaphragm."""
    middle = 13 + 20 * np.exp(-((grid.y - 15) / 42) ** 2) * np.exp(-((grid.z - 85) / 90) ** 2)
    mediastinum = middle - np.abs(grid.x - 4)
    wave = build.waviness * smooth_noise(rng, grid, 35)
    return largest(cage(grid, build) + wave + 2.5, mediastinum, -heart(grid, build), -spine(grid, build),
                   under(grid, build))


def largest(*distances: Numbers) -> Field:
    """What lies in all of the shapes, given by their signed distances."""
    found = distances[0]
    for other in distances[1:]:
        found = np.maximum(found, other)
    return np.asarray(found, np.float32)


def under(grid: Grid, build: Build) -> Field:
    """Signed distance above the diaphragm (negative above it): two domes, lower at the back and on the left."""
    half_depth, half_width = build.depth - 0.7 * build.fat - 16, build.width - build.fat - 18
    side = np.where(grid.x > 0, build.left_lower, 0)
    across = ((np.abs(grid.x) - half_width * 0.45) / (half_width * 0.6)) ** 2
    along = ((grid.y + 12) / half_depth) ** 2
    dome = build.dome - side - build.dome_drop * np.clip(0.55 * across + along, 0, 1.6)
    return np.asarray((dome - grid.z) * 0.75, np.float32)


def heart(grid: Grid, build: Build) -> Field:
    size = build.heart
    return ball(grid, (32, -28, build.heart_shift), (50 * size, 44 * size, 58 * size))


def spine(grid: Grid, build: Build) -> Field:
    """Vertebral bodies and arch: a column at the back of the chest."""
    back = build.depth - 0.7 * build.fat - 30
    body = oval(grid, (17, 20), (back, 0))
    return np.minimum(body, oval(grid, (14, 10), (back + 24, 0)))


def body(grid: Grid, build: Build) -> Field:
    """Skin: broader at the shoulders."""
    shoulders = 1 + 0.16 * np.clip((grid.z - 130) / 90, 0, 1)
    return oval(grid, (build.depth * (2 - shoulders) ** 0.5, build.width * shoulders), power=2.3)


def skeleton(grid: Grid, build: Build, wall: Field) -> Field:
    """Signed distance of ribs, sternum and shoulder blades."""
    front = (1 - grid.y / build.depth) / 2
    phase = (grid.z + 55 * front) / 27
    ribs = largest(np.abs(wall - 6) - 3.5, np.abs(phase - np.round(phase)) * 27 - 5.5)
    sternum = largest(ball(grid, (95, -build.depth + 0.7 * build.fat + 12, 0), (80, 6, 17)), -wall)
    blades = largest(np.abs(wall - 19) - 3, 95 - grid.z, 10 - grid.y, 55 - np.abs(grid.x))
    return np.minimum(np.minimum(ribs, sternum), blades)
