"""Labelled disease for the synthetic chest: opacities, nodules and masses, effusions, emphysema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipelines.chest_ct.anatomy import Build, Field, Grid, ball, cage, paint, smooth_noise, soft

LESIONS = ("opacity", "nodule", "effusion", "emphysema")
"""Kinds of lesion, in the order of the classifier's outputs."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a lesion is painted into. `lung`: coverage in [0, 1] of the healthy lungs."""

    hu: Field
    grid: Grid
    build: Build
    lung: Field
    rng: np.random.Generator


def add(kind: str, scene: Scene, severity: float = 0.5) -> Field:
    """Paint one lesion of a kind (`LESIONS`); returns its coverage in [0, 1]. `severity` in [0, 1] sets its size."""
    return _PAINTERS[kind](scene, severity)


def _place(scene: Scene, margin: float = 0.99) -> tuple[float, float, float]:
    """A random point (z, y, x) inside the lungs."""
    inside = np.flatnonzero(scene.lung > margin)
    z, y, x = np.unravel_index(inside[int(scene.rng.integers(inside.size))], scene.lung.shape)
    grid = scene.grid
    return float(grid.z[z, 0, 0]), float(grid.y[0, y, 0]), float(grid.x[0, 0, x])


def _opacity(scene: Scene, severity: float) -> Field:
    """Consolidation or ground glass: one to three irregular clouds, with air left in some bronchi."""
    rng, grid = scene.rng, scene.grid
    rough = smooth_noise(rng, grid, rng.uniform(10, 18))
    total = np.zeros(grid.shape, np.float32)
    glass = rng.uniform() < 0.4
    for _ in range(int(rng.integers(1, 4))):
        size = rng.uniform(14, 22) + 34 * severity * rng.uniform(0.6, 1)
        half = tuple(float(size * s) for s in rng.uniform(0.7, 1.3, 3))
        shape = ball(grid, _place(scene), (half[0], half[1], half[2])) + 0.28 * size * rough
        total = np.maximum(total, soft(shape, 12 if glass else 6))
    total *= scene.lung
    value = rng.uniform(-620, -420) if glass else rng.uniform(-120, 50)
    mottle = 60 * smooth_noise(rng, grid, 9) + np.where(smooth_noise(rng, grid, 11) > 1.5, -350, 0)
    _thicken(scene.hu, total, np.asarray(value + mottle, np.float32))
    return total


def _thicken(hu: Field, coverage: Field, value: Field) -> None:
    """Disease replaces air, never makes vessels darker."""
    paint(hu, coverage, np.maximum(hu, value))


def _nodule(scene: Scene, severity: float) -> Field:
    """One to three solid round lesions of 8 to 60 mm, some with rough borders."""
    rng, grid = scene.rng, scene.grid
    total = np.zeros(grid.shape, np.float32)
    rough = smooth_noise(rng, grid, 9) * rng.uniform(0, 0.22)
    for _ in range(int(rng.integers(1, 4)) if severity < 0.7 else 1):
        radius = (4.5 + 24 * severity ** 1.5) * rng.uniform(0.85, 1.15)
        half = tuple(float(radius * s) for s in rng.uniform(0.85, 1.15, 3))
        total = np.maximum(total, soft(ball(grid, _place(scene), (half[0], half[1], half[2])) + radius * rough,
                                       max(grid.edge, 1.5)))
    total *= np.clip(scene.lung * 2, 0, 1)
    _thicken(scene.hu, total, np.full(1, rng.uniform(-10, 90), np.float32))
    return total


def _effusion(scene: Scene, severity: float) -> Field:
    """Fluid along the back of one or both sides, its surface nearly level in the lying patient."""
    rng, grid, build = scene.rng, scene.grid, scene.build
    back = build.depth - 0.7 * build.fat - 16
    depth = 18 + 60 * severity * rng.uniform(0.8, 1.1)
    surface = back - depth + 0.05 * (grid.z - 20) * (1 + severity) + 3 * smooth_noise(rng, grid, 30)
    creeping = 0.35 * np.clip(-cage(grid, build) - 12, -12, 40)
    level = surface + creeping - grid.y
    sides = [grid.x < 0, grid.x > 0, np.ones_like(grid.x, bool)]
    side = sides[int(rng.integers(3))]
    total = soft(np.asarray(level, np.float32), grid.edge) * np.where(side, scene.lung, 0)
    total = np.asarray(total, np.float32)
    paint(scene.hu, total, rng.uniform(0, 25) + 4 * smooth_noise(rng, grid, 20))
    return total


def _emphysema(scene: Scene, severity: float) -> Field:
    """Holes of air through the parenchyma, worst in the upper lobes or everywhere."""
    rng, grid, build = scene.rng, scene.grid, scene.build
    holes = smooth_noise(rng, grid, rng.uniform(7, 14)) + 0.5 * smooth_noise(rng, grid, 40)
    upper = (grid.z - build.top / 2) / (build.top / 2) if rng.uniform() < 0.6 else 0 * grid.z
    depth = holes + 0.8 * upper + 1.3 * severity - 0.45
    total = np.asarray(np.clip(depth * 2.5, 0, 1) * scene.lung, np.float32)
    air = np.minimum(scene.hu, np.float32(rng.uniform(-1000, -965)) + np.clip(scene.hu + 700, 0, 1e4))
    scene.hu[...] += total * (air - scene.hu)
    return total


_PAINTERS: dict[str, Callable[[Scene, float], Field]] = {
    "opacity": _opacity, "nodule": _nodule, "effusion": _effusion, "emphysema": _emphysema,
}
