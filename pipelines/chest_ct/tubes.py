"""Tubes for the synthetic chest: branching lung vessels, airways and the great vessels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.chest_ct.anatomy import Build, Field, Grid, paint

Point = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tube:
    """A straight piece from `start` to `end` (z, y, x in mm) with its radius at both ends."""

    start: Point
    end: Point
    radius: tuple[float, float]


def point(z: float, y: float, x: float) -> Point:
    return np.array([z, y, x], np.float64)


def lung_tree(rng: np.random.Generator, build: Build) -> list[Tube]:
    """Vessels of both lungs, from the hila outwards, halving in size about every third branching."""
    tubes: list[Tube] = []
    for side in (-1, 1):
        hilum = point(80, 12, side * 30)
        for _ in range(build.vessels):
            away = rng.standard_normal(3) * point(1.0, 0.8, 0.7) + point(0, 0, side * 0.7)
            tubes += _branches(rng, hilum, away / np.linalg.norm(away), rng.uniform(3.2, 5.2))
    return tubes


def _branches(rng: np.random.Generator, start: Point, way: Point, radius: float) -> Iterator[Tube]:
    """A tube and, while it is thick enough to see, its two branches."""
    end = start + way * rng.uniform(20, 34) * min(1.0, 0.55 + radius / 8)
    thinner = radius * rng.uniform(0.74, 0.84)
    yield Tube(start, end, (radius, thinner))
    if thinner < 0.55:
        return
    for share in (thinner, thinner * rng.uniform(0.7, 0.95)):
        turn = way + 0.55 * rng.standard_normal(3)
        yield from _branches(rng, end, turn / np.linalg.norm(turn), share)


def airways(rng: np.random.Generator, build: Build) -> list[Tube]:
    """Windpipe, main bronchi and the first branches; radii are those of the air inside."""
    wide = rng.uniform(7, 9.5)
    split = point(rng.uniform(98, 112), 14, 2)
    tubes = [Tube(point(build.top + 60, rng.uniform(-8, 4), 0), split, (wide, wide))]
    for side in (-1, 1):
        hilum = point(80, 14, side * 34)
        tubes.append(Tube(split, hilum, (wide * 0.72, wide * 0.6)))
        for _ in range(5):
            away = rng.standard_normal(3) + point(-0.2, 0, side)
            tubes.append(Tube(hilum, hilum + away / np.linalg.norm(away) * rng.uniform(22, 38), (3.4, 1.8)))
    return tubes


def great_vessels(build: Build) -> list[Tube]:
    """Aorta (ascending, arch, descending), superior vena cava and pulmonary trunk."""
    back = build.depth - 0.7 * build.fat - 52
    return [
        Tube(point(55, -18, -6), point(125, -14, -10), (16, 15)),
        Tube(point(125, -14, -10), point(135, back, 18), (14, 13)),
        Tube(point(135, back, 20), point(-120, back, 18), (12, 11)),
        Tube(point(60, -8, -24), point(170, -12, -26), (9, 9)),
        Tube(point(70, -26, 14), point(92, 4, 8), (13, 12)),
        Tube(point(90, 6, 8), point(84, 12, -30), (10, 7)), Tube(point(92, 4, 8), point(88, 14, 34), (10, 7)),
    ]


def draw(hu: Field, grid: Grid, tubes: list[Tube], value: float, *, within: Field | None = None,
         wider: float = 0.0) -> None:
    """Paint tubes with soft edges, only where `within` (coverage) allows; `wider` mm is added to each radius.

    Tubes thinner than a voxel are painted fainter, as partial volume would show them.
    """
    for tube in tubes:
        box = _box(grid, tube, max(tube.radius) + wider + grid.edge)
        if box is None:
            continue
        distance, radius = _distance(grid, tube, box)
        radius = radius + wider
        coverage = np.clip((radius - distance) / grid.edge + 0.5, 0, 1) * np.minimum(1, 2 * radius / grid.edge)
        if within is not None:
            coverage = coverage * within[box]
        paint(hu[box], coverage.astype(np.float32), value)


def _box(grid: Grid, tube: Tube, margin: float) -> tuple[slice, slice, slice] | None:
    """The slices of the grid that the tube can touch; None where it lies outside."""
    box = []
    for axis, coordinates in enumerate((grid.z, grid.y, grid.x)):
        low = min(tube.start[axis], tube.end[axis]) - margin
        high = max(tube.start[axis], tube.end[axis]) + margin
        first, last = np.searchsorted(coordinates.ravel(), [low, high])
        if first >= last:
            return None
        box.append(slice(int(first), int(last)))
    return box[0], box[1], box[2]


def _distance(grid: Grid, tube: Tube, box: tuple[slice, slice, slice]) -> tuple[Field, Field]:
    """Distance to the tube's axis and the tube's radius there, over the box."""
    way = tube.end - tube.start
    dz = grid.z[box[0]] - np.float32(tube.start[0])
    dy = grid.y[:, box[1]] - np.float32(tube.start[1])
    dx = grid.x[:, :, box[2]] - np.float32(tube.start[2])
    along = np.clip((dz * way[0] + dy * way[1] + dx * way[2]) / float(way @ way), 0, 1).astype(np.float32)
    distance = np.sqrt((dz - along * way[0]) ** 2 + (dy - along * way[1]) ** 2 + (dx - along * way[2]) ** 2)
    radius = tube.radius[0] + (tube.radius[1] - tube.radius[0]) * along
    return distance.astype(np.float32), radius.astype(np.float32)
