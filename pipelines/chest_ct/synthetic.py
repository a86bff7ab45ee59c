"""Synthetic chest CT with known truth: what the demonstration models are trained and tested on, and the demo shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.chest_ct import anatomy, lesions, tubes
from pipelines.chest_ct.anatomy import Build, Field, Grid

LESIONS = lesions.LESIONS


@dataclass(frozen=True, slots=True)
class Case:
    """One synthetic chest. `hu` float32 (slices, rows, columns), foot to head; `spacing` mm.

    `lesions`: coverage in [0, 1] of each kind that is there; empty: normal.
    """

    hu: Field
    spacing: tuple[float, float, float]
    lesions: dict[str, Field]


@dataclass(frozen=True, slots=True)
class Sample:
    """A case for demonstrations. `hu` int16 (slices, rows, columns), foot to head; `positions` mm, ascending.

    `verdict`: what the reading is expected to say (`normal` or `pathology`).
    """

    name: str
    title: str
    verdict: str
    hu: NDArray[np.int16]
    spacing: tuple[float, float, float]
    positions: NDArray[np.float64]


def chest(seed: int, kinds: tuple[str, ...] = (), *, shape: tuple[int, int, int] = (60, 176, 176),
          spacing: tuple[float, float, float] = (5.0, 2.2, 2.2), severity: float | None = None,
          noise_seed: int | None = None) -> Case:
    """The same seed gives the same chest; `kinds` (of `LESIONS`, also more than once) are added to it.

    `severity` in [0, 1] sets the size of all lesions (None: random); `noise_seed` changes the noise alone.
    """
    rng = np.random.default_rng(seed)
    build = Build.draw(rng)
    extent = shape[0] * spacing[0]
    bottom = (build.top - 55) / 2 - extent / 2 + rng.uniform(-12, 12)
    grid = Grid.of(shape, spacing, bottom, (rng.uniform(-8, 8), rng.uniform(-8, 8)))
    hu, lung = _healthy(grid, build, rng)
    found: dict[str, Field] = {}
    for kind in kinds:
        size = float(rng.uniform()) if severity is None else severity
        added = lesions.add(kind, lesions.Scene(hu, grid, build, lung, rng), size)
        found[kind] = np.maximum(found.get(kind, 0), added)
    _add_noise(hu, build, spacing, np.random.default_rng([seed, 1] if noise_seed is None else noise_seed))
    return Case(hu, spacing, found)


def samples() -> tuple[Sample, ...]:
    """The demonstration's cases: one normal-like, one with a large opacity, one with a mass, one with an effusion."""
    wanted: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
        ("normal-like", "Synthetic chest CT without disease", 9001, ()),
        ("opacity", "Synthetic chest CT with opacities", 9041, ("opacity",)),
        ("mass", "Synthetic chest CT with a mass", 9029, ("nodule",)),
        ("effusion", "Synthetic chest CT with a pleural effusion", 9004, ("effusion",)),
    )
    return tuple(sample(name, title, seed, kinds) for name, title, seed, kinds in wanted)


def sample(name: str, title: str, seed: int, kinds: tuple[str, ...], noise_seed: int | None = None) -> Sample:
    """64 slices of 5 mm, 256 × 256 pixels of 1.5 mm."""
    case = chest(seed, kinds, shape=(64, 256, 256), spacing=(5.0, 1.5, 1.5), severity=0.75, noise_seed=noise_seed)
    hu = np.clip(np.rint(case.hu), -1024, 3071).astype(np.int16)
    positions = np.arange(hu.shape[0], dtype=np.float64) * 5.0 - 320.0
    return Sample(name, title, "pathology" if kinds else "normal", hu, case.spacing, positions)


def _healthy(grid: Grid, build: Build, rng: np.random.Generator) -> tuple[Field, Field]:
    """HU of a chest without disease, and the coverage of its lungs."""
    hu = np.full(grid.shape, -1000, np.float32)
    wall = anatomy.cage(grid, build)
    lung = anatomy.soft(anatomy.lungs(grid, build, rng), grid.edge)
    _paint_wall(hu, grid, build, wall, rng)
    _paint_inside(hu, grid, build, wall, rng)
    gradient = build.gravity * (grid.y / build.depth)
    texture = 14 * anatomy.smooth_noise(rng, grid, 25) + 10 * anatomy.smooth_noise(rng, grid, 8)
    anatomy.paint(hu, lung, np.asarray(build.lung + gradient + texture, np.float32))
    tree = tubes.lung_tree(rng, build)
    tubes.draw(hu, grid, tree, min(build.blood, 220), within=lung)
    pipes = tubes.airways(rng, build)
    tubes.draw(hu, grid, pipes, 30, within=anatomy.soft(wall - 60, 1), wider=1.6)
    tubes.draw(hu, grid, pipes, -985, within=anatomy.soft(wall - 60, 1))
    return hu, lung


def _paint_wall(hu: Field, grid: Grid, build: Build, wall: Field, rng: np.random.Generator) -> None:
    """Table, skin, fat, muscle and bones."""
    skin = anatomy.body(grid, build)
    bed = np.maximum(np.abs(grid.y - build.depth - build.table - 6 + 0.0006 * grid.x ** 2) - 2.5,
                     np.abs(grid.x) - 200)
    anatomy.paint(hu, anatomy.soft(np.asarray(bed, np.float32), grid.edge), rng.uniform(-600, -100))
    anatomy.paint(hu, anatomy.soft(skin, grid.edge), -100)
    anatomy.paint(hu, anatomy.soft(skin + build.fat, grid.edge), 50 + 12 * anatomy.smooth_noise(rng, grid, 12))
    bones = anatomy.skeleton(grid, build, wall)
    anatomy.paint(hu, anatomy.soft(bones, grid.edge), rng.uniform(250, 450))


def _paint_inside(hu: Field, grid: Grid, build: Build, wall: Field, rng: np.random.Generator) -> None:
    """Mediastinal fat, heart, great vessels, spine, and the organs under the diaphragm with a bubble in the stomach."""
    anatomy.paint(hu, anatomy.soft(wall, grid.edge), rng.uniform(-60, 30))
    organs = anatomy.soft(np.maximum(wall, -anatomy.under(grid, build)), grid.edge)
    anatomy.paint(hu, organs, 55 + 0.15 * build.blood + 6 * anatomy.smooth_noise(rng, grid, 30))
    if build.bubble > 8:
        size = build.bubble
        place = (build.dome - build.left_lower - build.dome_drop * 0.5 - size - 8, -20.0, 62.0)
        gas = anatomy.ball(grid, place, (0.7 * size, size, size))
        anatomy.paint(hu, anatomy.soft(gas, grid.edge) * organs, -960)
    anatomy.paint(hu, anatomy.soft(anatomy.heart(grid, build), grid.edge), 0.75 * build.blood + 10)
    tubes.draw(hu, grid, tubes.great_vessels(build), build.blood)
    column = anatomy.spine(grid, build)
    anatomy.paint(hu, anatomy.soft(column, grid.edge), rng.uniform(150, 300))


def _add_noise(hu: Field, build: Build, spacing: tuple[float, float, float], rng: np.random.Generator) -> None:
    """Quantum noise with the grain of a reconstruction kernel, in place."""
    noise = rng.standard_normal(hu.shape, np.float32)
    grain = build.noise_grain / spacing[1]
    if grain > 0.25:
        noise = ndimage.gaussian_filter(noise, (0, grain, grain))
        noise /= noise.std() + 1e-6
    thin = np.float32(build.noise * np.sqrt(5.0 / max(spacing[0], 1.0)))
    hu += thin * noise * np.float32(min(1.0, 1.5 / spacing[1]))
    np.clip(hu, -1024, 3071, out=hu)
