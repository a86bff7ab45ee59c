"""Random synthetic cases, read as the pipeline reads a study: for training, calibration and validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gateway.pipeline import Array, Floats, Volume
from pipelines.chest_ct import synthetic
from pipelines.chest_ct.grid import Working, working
from pipelines.chest_ct.lungs import Lungs, find_lungs
from pipelines.chest_ct.views import CELL, SIZE, View

HEALTHY_SHARE, CROWDED_HEALTHY_SHARE = 0.45, 0.25


@dataclass(frozen=True, slots=True)
class Prepared:
    """A case ready for the networks. `kinds`: what was put in. `truth`: float32 (slabs shown, kinds, cells, cells),
    the share of each cell that is lesion."""

    working: Working
    lungs: Lungs
    view: View
    kinds: tuple[str, ...]
    truth: Floats


def random_case(seed: int, *, crowded: bool = False) -> synthetic.Case:
    """A chest with or without disease, of varying slice thickness and field of view.

    `crowded`: more disease in each sick chest than life would have, so that little is learned from much.
    """
    rng = np.random.default_rng([seed, 77])
    kinds = _crowd(rng) if crowded else _few(rng)
    thickness = float(rng.choice([5.0, 5.0, 5.0, 3.0, 6.0]))
    pixel, field = float(rng.uniform(1.5, 2.4)), float(rng.uniform(360, 430))
    slices, size = round(float(rng.uniform(290, 330)) / thickness), round(field / pixel)
    return synthetic.chest(seed, kinds, shape=(slices, size, size), spacing=(thickness, pixel, pixel))


def _few(rng: np.random.Generator) -> tuple[str, ...]:
    """Nothing, one kind, or two."""
    if rng.uniform() < HEALTHY_SHARE:
        return ()
    wanted = rng.permutation(len(synthetic.LESIONS))[:1 + int(rng.uniform() < 0.25)]
    return tuple(synthetic.LESIONS[i] for i in wanted)


def _crowd(rng: np.random.Generator) -> tuple[str, ...]:
    """Nothing, or several kinds, nodules above all: they are small."""
    if rng.uniform() < CROWDED_HEALTHY_SHARE:
        return ()
    nodules = ("nodule",) * int(rng.integers(0, 5))
    others = tuple(kind for kind in synthetic.LESIONS if kind != "nodule" and rng.uniform() < 0.3)
    return (*others, *nodules) or ("nodule", "nodule")


def as_volume(hu: Array, spacing: tuple[float, float, float]) -> Volume:
    positions = np.arange(len(hu), dtype=np.float64) * spacing[0]
    return Volume(np.asarray(hu, np.float32), spacing, positions, tuple((f"2.25.{n + 1}", 1) for n in range(len(hu))))


def prepared(case: synthetic.Case) -> Prepared | None:
    """None where the pipeline would find no lungs."""
    small = working(as_volume(case.hu, case.spacing))
    lungs = find_lungs(small)
    if lungs is None:
        return None
    view = View.of(lungs)
    truth = np.zeros((view.slabs.size, len(synthetic.LESIONS), SIZE // CELL, SIZE // CELL), np.float32)
    for number, kind in enumerate(synthetic.LESIONS):
        if kind in case.lesions:
            truth[:, number] = _cells(view.cut(working(as_volume(case.lesions[kind], case.spacing)).hu, 0))
    return Prepared(small, lungs, view, tuple(case.lesions), truth)


def _cells(picture: Floats) -> Floats:
    count = SIZE // CELL
    return np.asarray(picture.reshape(-1, count, CELL, count, CELL).mean((2, 4)), np.float32)


def stream(first_seed: int, count: int, *, crowded: bool = False) -> Iterator[Prepared]:
    """`count` usable cases (`random_case`) from `first_seed` upwards."""
    seed = first_seed
    while count:
        case = prepared(random_case(seed, crowded=crowded))
        seed += 1
        if case is not None:
            count -= 1
            yield case
