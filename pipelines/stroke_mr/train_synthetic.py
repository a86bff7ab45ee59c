"""Synthetic slices of any level: brains from the atlas or from real slices, lesions from real masks, everything else at
random (contrast, folds, coil, resolution, artefacts, old lesions, leftovers of skull). Training only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.pipeline import Array, Floats
from pipelines.stroke_mr.atlas import atlas
from pipelines.stroke_mr.intensity import standardised
from pipelines.stroke_mr.labels import SLICE
from pipelines.stroke_mr.train_atlas import lesion_masks

LEVELS = tuple(range(12, 128, 4))
_FOLDER = "stroke-lesions"
_REAL_SLOT = LEVELS.index(68)
_VENTRICLES = (31, 32)


@dataclass(frozen=True, slots=True)
class Lesions:
    """Packed lesion masks by level: `LEVELS[k]` → uint8 (n, bytes) of masks with 15 pixels or more."""

    by_level: Sequence[NDArray[np.uint8]]

    @classmethod
    def read(cls, folder: Path) -> Lesions:
        """From `stroke-lesions`. Raises Unusable where there are none."""
        held: list[list[NDArray[np.uint8]]] = [[] for _ in LEVELS]
        for mask in lesion_masks(folder):
            for slot, level in enumerate(LEVELS):
                if int(mask[level].sum()) >= 15:
                    held[slot].append(np.packbits(mask[level]))
        return cls([np.array(some, np.uint8) for some in held])

    @classmethod
    def near(cls, data: Path) -> Lesions | None:
        """Of the folder `stroke-lesions` in `data`, beside it or beside its folder; None where there is none."""
        for folder in (data, data.parent, data.parent.parent):
            if (folder / _FOLDER).is_dir():
                return cls.read(folder / _FOLDER)
        return None

    def draw(self, slot: int, random: np.random.Generator) -> NDArray[np.bool_]:
        """A mask of the level, left or right; empty where the level has none."""
        some = self.by_level[slot]
        if not len(some):
            return np.zeros(SLICE, np.bool_)
        mask = np.unpackbits(some[random.integers(len(some))])[:SLICE[0] * SLICE[1]].reshape(SLICE).astype(np.bool_)
        return mask[:, ::-1] if random.random() < 0.5 else mask


@dataclass(frozen=True, slots=True)
class Anatomy:
    """`tissue`: float32 `SLICE`, robust standard deviations as on FLAIR (fluid far below 0); `brain`: bool."""

    tissue: Floats
    brain: NDArray[np.bool_]
    level: int


def atlas_anatomy(slot: int, random: np.random.Generator) -> Anatomy:
    """A brain of the atlas's outline: folded cortex, white matter, ventricles of random size."""
    plane = atlas().territory[LEVELS[slot]]
    brain = ndimage.binary_fill_holes(ndimage.binary_dilation(plane > 0, iterations=3))
    brain = np.asarray(_bent(brain.astype(np.float32), random) > 0.5)
    depth = ndimage.distance_transform_edt(brain)
    folds = ndimage.gaussian_filter(random.standard_normal(SLICE), random.uniform(1.6, 3.0))
    folds /= folds.std()
    sulci = (depth < random.uniform(8, 22)) & (folds > random.uniform(1.1, 1.9) + depth / 25)
    ventricles = ndimage.gaussian_filter(np.isin(plane, _VENTRICLES).astype(np.float32), 2) > random.uniform(0.25, 0.75)
    fluid = (sulci | ventricles | (depth < random.uniform(0, 3))) & brain
    cortex = (ndimage.distance_transform_edt(~fluid) < random.uniform(2, 4.5)) & ~fluid & (depth < 25)
    nuclei = ndimage.gaussian_filter(random.standard_normal(SLICE), 6) > 0.09
    tissue = np.where(cortex | (nuclei & (depth > 35)), random.uniform(0.2, 1.2), random.uniform(-0.8, 0.0))
    tissue[fluid] = random.uniform(-5, -3)
    tissue += ndimage.gaussian_filter(random.standard_normal(SLICE), 1.2) * random.uniform(0.2, 1.0)
    return Anatomy(ndimage.gaussian_filter(tissue, random.uniform(0.5, 1.1)).astype(np.float32), brain, LEVELS[slot])


def _bent(plane: Floats, random: np.random.Generator) -> Floats:
    ratio = SLICE[0] / 6, SLICE[1] / 5
    shift = [ndimage.zoom(random.standard_normal((6, 5)) * 2.5, ratio, order=3) for _ in range(2)]
    grid = np.mgrid[:SLICE[0], :SLICE[1]].astype(np.float32)
    return np.asarray(ndimage.map_coordinates(plane, [grid[0] + shift[0], grid[1] + shift[1]], order=1), np.float32)


def real_anatomy(image: Array) -> Anatomy:
    """A real slice without lesion, at the level of the training slices."""
    brain = image > 0
    return Anatomy(standardised(image, brain), np.asarray(brain), LEVELS[_REAL_SLOT])


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A source of slices without end. `clear`: uint8 (n, *SLICE), real slices without lesion."""

    lesions: Lesions
    clear: NDArray[np.uint8]

    @classmethod
    def of(cls, lesions: Lesions | None, images: NDArray[np.uint8], masks: NDArray[np.bool_]) -> Synthetic | None:
        clear = images[~masks.any((1, 2))]
        return cls(lesions, clear) if lesions is not None and len(clear) else None

    def flair(self, random: np.random.Generator, *, of_atlas: bool) -> tuple[Floats, Floats, float]:
        """(slice (1, *SLICE), mask (1, *SLICE), level); four of ten without a lesion."""
        anatomy, lesion = self._drawn(random, of_atlas=of_atlas)
        return *flair_slice(anatomy, lesion, random), float(anatomy.level)

    def dwi(self, random: np.random.Generator, *, of_atlas: bool) -> tuple[Floats, Floats, float]:
        """As `flair`, with two channels: DWI and ADC."""
        anatomy, lesion = self._drawn(random, of_atlas=of_atlas)
        return *dwi_slice(anatomy, lesion, random), float(anatomy.level)

    def _drawn(self, random: np.random.Generator, *, of_atlas: bool) -> tuple[Anatomy, NDArray[np.bool_]]:
        slot = int(random.integers(len(LEVELS))) if of_atlas else _REAL_SLOT
        real = self.clear[random.integers(len(self.clear))]
        anatomy = atlas_anatomy(slot, random) if of_atlas else real_anatomy(real)
        lesion = self.lesions.draw(slot, random)
        return anatomy, lesion if random.random() < 0.6 else np.zeros_like(lesion)


def _soft(mask: NDArray[np.bool_], random: np.random.Generator) -> Floats:
    """Edges that blur and an inside that varies."""
    inside = ndimage.gaussian_filter(mask.astype(np.float32), random.uniform(0.5, 1.8))
    texture = ndimage.gaussian_filter(random.standard_normal(SLICE), random.uniform(1.5, 4))
    return np.asarray(inside * np.clip(1 + 0.3 * texture / texture.std(), 0.2, 2), np.float32)


def flair_slice(anatomy: Anatomy, lesion: NDArray[np.bool_], random: np.random.Generator) -> tuple[Floats, Floats]:
    """(slice (1, *SLICE), mask (1, *SLICE)): the lesion brighter than its surroundings, white matter disease and old
    lesions (holes with a bright rim) unmarked."""
    image = anatomy.tissue.copy()
    wet = np.clip((image + 3) / 2, 0, 1)
    image += random.uniform(0.8, 3.5) * _soft(lesion, random) * wet
    if random.random() < 0.5:
        image += _white_matter_disease(anatomy, random) * wet
    if random.random() < 0.2:
        image = _with_old_lesion(image, anatomy, random)
    mask = lesion & anatomy.brain & (anatomy.tissue > -2.5)
    return _finished([image], anatomy, random), mask.astype(np.float32)[None]


def dwi_slice(anatomy: Anatomy, lesion: NDArray[np.bool_], random: np.random.Generator) -> tuple[Floats, Floats]:
    """(slices (2, *SLICE): DWI and ADC, mask): acute lesions bright and of low ADC; shine-through bright and not low;
    bright rims and blobs where air meets brain. A quarter has no ADC (zeros)."""
    wet = np.clip((anatomy.tissue + 3) / 2, 0, 1)
    dwi = anatomy.tissue * random.uniform(0.5, 1.1) * np.where(anatomy.tissue < 0, 0.8, 1)
    adc = np.where(anatomy.tissue < -2, random.uniform(4, 9), 0) - 0.2 * anatomy.tissue * (anatomy.tissue > -2)
    soft = _soft(lesion, random)
    strength = random.uniform(1.0, 6.0)
    dwi = dwi + strength * soft * wet
    adc = adc - random.uniform(0.5, 0.9) * np.minimum(strength, 3) * soft * wet
    if random.random() < 0.35:
        shine = _white_matter_disease(anatomy, random) * wet
        dwi, adc = dwi + 0.5 * shine, adc + random.uniform(0.3, 1.5) * shine
    dwi = dwi + _artefacts(anatomy, random)
    grain = random.standard_normal(SLICE) * random.uniform(0, 0.8)
    adc = ndimage.gaussian_filter(adc, random.uniform(0.4, 1.5)) + grain
    mask = lesion & anatomy.brain & (anatomy.tissue > -2.5)
    told = _finished([ndimage.gaussian_filter(dwi, random.uniform(0.3, 1.3)), adc], anatomy, random)
    if random.random() < 0.25:
        told[1] = 0
    return told, mask.astype(np.float32)[None]


def _white_matter_disease(anatomy: Anatomy, random: np.random.Generator) -> Floats:
    """Bright caps and spots deep in the brain, alike on both sides."""
    depth = ndimage.distance_transform_edt(anatomy.brain)
    spots = ndimage.gaussian_filter(random.standard_normal(SLICE), random.uniform(1.5, 4))
    spots = spots / spots.std() + (spots[:, ::-1] / spots.std()) * random.uniform(0, 1)
    return np.asarray(np.clip(spots - random.uniform(1.2, 2.2), 0, 1.2) * 2 * (depth > 14), np.float32)


def _with_old_lesion(image: Floats, anatomy: Anatomy, random: np.random.Generator) -> Floats:
    rows, columns = np.nonzero(anatomy.brain)
    at = random.integers(len(rows))
    y, x = np.mgrid[:SLICE[0], :SLICE[1]]
    away = np.hypot((y - rows[at]) / random.uniform(0.6, 1.6), x - columns[at]) - random.uniform(3, 13)
    away = away + ndimage.gaussian_filter(random.standard_normal(SLICE), 3) * 8
    rim = image + 1.5 * np.exp(-np.clip(away, 0, 50) / 2)
    return np.where(away < 0, random.uniform(-5, -3), rim).astype(np.float32)


def _artefacts(anatomy: Anatomy, random: np.random.Generator) -> Floats:
    """Susceptibility: thin bright borders, stronger in front and at the sides low in the head."""
    depth = ndimage.distance_transform_edt(anatomy.brain)
    where = ndimage.gaussian_filter(random.standard_normal(SLICE), 9)
    where = np.clip(where / where.std() - random.uniform(0.6, 2.0), 0, 1.5)
    strength = random.uniform(0, 5 if anatomy.level < 50 else 2.5)
    return np.asarray(strength * where * np.exp(-depth / random.uniform(1.5, 5)), np.float32)


def _finished(channels: list[Array], anatomy: Anatomy, random: np.random.Generator) -> Floats:
    """Resolution, noise, an imperfect brain outline; each channel standardised."""
    outline = anatomy.brain
    step = int(random.integers(-2, 4))
    if step:
        change = ndimage.binary_dilation if step > 0 else ndimage.binary_erosion
        outline = change(outline, iterations=abs(step))
    noise = random.uniform(0, 0.6)
    factor = random.uniform(1, 2.4)
    leftover = random.uniform(-3, 4) if random.random() < 0.3 else random.uniform(-5, -3)
    made = []
    for channel in channels:
        whole = np.where(anatomy.brain, channel, leftover).astype(np.float32)
        small = ndimage.zoom(whole, 1 / factor, order=1, grid_mode=True, mode="nearest")
        small += random.standard_normal(small.shape).astype(np.float32) * noise
        large = ndimage.zoom(small, (SLICE[0] / small.shape[0], SLICE[1] / small.shape[1]), order=1, grid_mode=True,
                             mode="nearest")
        made.append(standardised(large[:SLICE[0], :SLICE[1]], outline))
    return np.stack(made)
