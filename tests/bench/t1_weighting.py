"""`python -m tests.bench.t1_weighting DATA`: whether a slice's pattern of brightness tells a T1 from a FLAIR. No gate
of `stroke_mr` rests on it: the card says why. Likeness to the mean FLAIR of other patients, and the share below each
threshold, of real FLAIR slices, of the same made T1 by physics, of the project's own heads; a line each on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from gateway.mr import MrAcquisition, MrVolume
from gateway.pipeline import Array, Floats
from pipelines.stroke_mr.brain import Mask, find_brain
from pipelines.stroke_mr.intensity import standardised
from pipelines.stroke_mr.labels import LEVEL
from pipelines.stroke_mr.slices import read_slices, unframed
from pipelines.stroke_mr.space import Fit, fit, to_standard
from pipelines.stroke_mr.synthetic import FLAIR, Grid, MrSeries, acquired, head, samples

CELL, COIL, FOLDS, EVERY = 4, 25.0, 5, 5
THRESHOLDS = (0.0, -0.05, -0.1)


@dataclass(frozen=True)
class T1:
    """Brightness of grey matter and fluid (white: 1), noise, unevenness of the coil (of the logarithm), blur in mm."""

    name: str
    grey: float
    fluid: float
    noise: float
    coil: float
    blur: float


WEIGHTINGS = (T1("strong", 0.55, 0.1, 0.02, 0.05, 0), T1("gradient echo", 0.7, 0.25, 0.03, 0.1, 0),
              T1("spin echo", 0.88, 0.5, 0.03, 0.1, 0), T1("spin echo, noise", 0.88, 0.5, 0.08, 0.15, 0.8),
              T1("uneven coil", 0.75, 0.3, 0.04, 0.3, 0), T1("coarse", 0.75, 0.3, 0.03, 0.1, 1.7))


def pattern_of(values: Array, brain: Mask) -> tuple[Floats, Mask]:
    """Brightness of tissue in cells of 4 mm against its surroundings (0: not told), without the coil's unevenness."""
    scaled = standardised(values, brain)
    scaled = standardised(values / np.maximum(around(values, tissue(scaled), COIL), 1e-3), brain)
    shown = tissue(scaled)
    scaled = np.clip(scaled, -2.5, 2.5)
    total, count = cells((scaled - around(scaled, shown, COIL)) * shown), cells(shown)
    told = count > CELL * CELL / 2
    return np.where(told, np.clip(total / np.maximum(count, 1), -1.5, 1.5), 0).astype(np.float32), told


def tissue(scaled: Floats) -> Mask:
    """Neither fluid, nor beside it, nor lesion."""
    fluid = ndimage.binary_opening(scaled < -1.5) | (scaled == 0)
    lesion = ndimage.binary_dilation(ndimage.binary_opening(scaled > 2.0), iterations=2)
    return np.asarray(~ndimage.binary_dilation(fluid) & ~lesion & (scaled > -1.5))


def around(values: Array, shown: Mask, mm: float) -> Floats:
    weight = ndimage.gaussian_filter(shown.astype(np.float32), mm, truncate=2.5)
    total = ndimage.gaussian_filter(np.where(shown, values, 0).astype(np.float32), mm, truncate=2.5)
    return np.asarray(total / np.maximum(weight, 1e-3), np.float32)


def cells(plane: Array) -> Floats:
    rows, columns = plane.shape[0] // CELL, plane.shape[1] // CELL
    cut = plane[:rows * CELL, :columns * CELL].astype(np.float32)
    return np.asarray(cut.reshape(rows, CELL, columns, CELL).sum((1, 3)))


def usual(patterns: list[tuple[Floats, Mask]]) -> Floats:
    """The mean and its mirror image; 0 where less than three of ten tell."""
    total = np.sum([one for one, _ in patterns], axis=0)
    count = np.sum([told for _, told in patterns], axis=0)
    total, count = total + total[:, ::-1], count + count[:, ::-1]
    return np.where(count > 0.6 * len(patterns), total / np.maximum(count, 1), 0).astype(np.float32)


def likeness(pattern: Floats, known: Floats) -> float:
    """Cosine, of the half of the brain that is more alike: a large infarct reverses its own half alone."""
    half = known.shape[1] // 2 + 1
    sides = ((pattern[:, :half], known[:, :half]), (pattern[:, -half:], known[:, -half:]))
    return max(float((one * other).sum()) / max(float(np.linalg.norm(one * (other != 0)) * np.linalg.norm(
        other * (one != 0))), 1e-6) for one, other in sides)


def made_t1(image: Array, how: T1, random: np.random.Generator) -> Floats:
    """From a FLAIR slice: its share of fluid and of grey matter (or lesion) in each pixel, weighted as T1 does."""
    brain = image > 0
    scaled = standardised(image, brain)
    smooth = ndimage.gaussian_filter(scaled, 0.6)
    fluid = 1 / (1 + np.exp((smooth + 2.0) * 3))
    grey = np.clip((smooth - around(np.clip(scaled, -2.5, 2.5), tissue(scaled), 20.0) + 0.5) / 1.3, 0, 1)
    signal = (1 - fluid) * (1 + (how.grey - 1) * grey) + fluid * how.fluid
    coarse = ndimage.zoom(random.standard_normal((4, 4)), (image.shape[0] / 4, image.shape[1] / 4), order=3)
    signal = ndimage.gaussian_filter(signal * np.exp(how.coil * coarse), how.blur)
    noise = how.noise * random.standard_normal((2, *signal.shape))
    return np.asarray(np.hypot(signal + noise[0], noise[1]) * brain, np.float32)


def of_head(series: MrSeries, known: Floats) -> float:
    """Of a whole series with skull, through the reader's own brain and fit: the median of the slices near the level."""
    count = len(series.values)
    volume = MrVolume(series.values.astype(np.float32), series.spacing,
                      np.arange(count, dtype=np.float64) * series.spacing[0],
                      tuple((str(n), 1) for n in range(count)), series.origin, (1, 0, 0, 0, 1, 0),
                      MrAcquisition("1.2", "1.9", ("ORIGINAL",), ""))
    brain = find_brain(volume.values, volume.spacing)
    found = fit(volume, brain)
    return float(np.median([likeness(pattern_of(plane(volume.values[n], n, found),
                                                plane(brain[n].astype(np.float32), n, found) > 0.5)[0], known)
                            for n in range(count) if brain[n].any() and near(n, brain[n], found)]))


def near(index: int, inside: Mask, found: Fit) -> bool:
    row, column = (float(places.mean()) for places in np.nonzero(inside))
    return abs(found.level(index, row, column) - LEVEL) <= 4.0


def plane(values: Array, index: int, found: Fit) -> Array:
    return unframed(to_standard(values, index, found))


def say(name: str, told: Iterable[float]) -> None:
    values = np.array(list(told))
    low, middle, high = np.percentile(values, (0.5, 50, 99.5))
    below = ", ".join(f"{100 * (values < t).mean():.1f} % below {t:g}" for t in THRESHOLDS)
    print(f"{name} ({len(values)}): {low:.3f}, median {middle:.3f}, {high:.3f}; {below}", flush=True)


def main(data: str) -> None:
    found = read_slices(Path(data))
    patterns = [pattern_of(image, image > 0) for image in found.images]
    known = [usual([one for n, one in enumerate(patterns) if n % FOLDS != fold]) for fold in range(FOLDS)]
    flair = [likeness(one, known[n % FOLDS]) for n, (one, _) in enumerate(patterns)]
    say("real FLAIR", flair)
    for n in np.argsort(flair)[:6]:
        print(f"  subject {found.subjects[n]}: {flair[n]:.3f}", flush=True)
    random = np.random.default_rng(0)
    for how in WEIGHTINGS:
        chosen = range(0, len(flair), EVERY)
        made = (made_t1(found.images[n], how, random) for n in chosen)
        say(f"T1, {how.name}", [likeness(pattern_of(image, image > 0)[0], known[n % FOLDS])
                                for n, image in zip(chosen, made, strict=True)])
    for sample in samples():
        print(f"{sample.name}, FLAIR: {of_head(sample.series[0], known[0]):.3f}", flush=True)
    for seed in range(2, 5):
        random = np.random.default_rng(seed)
        told = of_head(acquired(head(random), "FLAIR", Grid(160, 1.4), random, FLAIR), known[0])
        print(f"head {seed}, FLAIR: {told:.3f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
