"""The second step: where the lesion is, found as what differs from the skin around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.pipeline import Floats
from pipelines.dermoscopy.colour import Mask
from pipelines.dermoscopy.prepare import SIDE, Prepared

_SMOOTH = 2.0
"""Pixels: pigment networks and pores are smaller, lesions larger."""
_LEAST_AREA = 0.004
"""Share of the picture: what is smaller is a speck."""
_SKIN_QUANTILE = 0.6
_DARK_WEIGHT = np.array([1.0, 0.8, 0.6], np.float32)
_PULL = 0.55
"""Half-width of the pull to the middle, as a share of the picture: photographers aim."""


@dataclass(frozen=True, slots=True)
class Lesion:
    """`mask`: (SIDE, SIDE). `box`: top, left, bottom, right in pixels (half open). `skin`: L*, a*, b* around it.

    `contrast`: mean CIE76 difference between the lesion and the skin; `certainty`: share of the difference's spread
    in the picture that the two-class split explains (Otsu's eta), in [0, 1].
    """

    mask: Mask
    box: tuple[int, int, int, int]
    skin: Floats
    contrast: float
    certainty: float


def find_lesion(prepared: Prepared) -> Lesion | None:
    """None where nothing differs from its surroundings."""
    usable = ~prepared.outside
    if usable.mean() < 0.2:
        return None
    smooth = np.stack([_blurred(prepared.lab[..., c], usable, _SMOOTH) for c in range(3)], axis=-1)
    skin = _skin(smooth, usable)
    difference = _difference(smooth, skin)
    mask, certainty = _split(difference, usable)
    for _ in range(2):
        if mask is None:
            return None
        around = usable & ~ndimage.binary_dilation(mask, iterations=6)
        if around.mean() > 0.05:
            skin = _tilted(smooth, around)
            difference = _difference(smooth, skin)
        mask, certainty = _split(difference, usable)
    return None if mask is None else _lesion(mask, prepared, usable, certainty)


def _blurred(plane: Floats, usable: Mask, sigma: float) -> Floats:
    """Gaussian mean over the usable pixels only."""
    weight = ndimage.gaussian_filter(usable.astype(np.float32), sigma)
    mean = ndimage.gaussian_filter(np.where(usable, plane, 0).astype(np.float32), sigma)
    return np.asarray(mean / np.maximum(weight, 1e-3), np.float32)


def _skin(smooth: Floats, usable: Mask) -> Floats:
    """Colour of the skin (3,): of the brighter part of the ring around the middle."""
    rows, columns = np.indices(usable.shape)
    away = np.maximum(abs(rows / (SIDE - 1) - 0.5), abs(columns / (SIDE - 1) - 0.5))
    ring = usable & (away > 0.3)
    pixels = smooth[ring] if ring.sum() > 500 else smooth[usable]
    bright = pixels[pixels[:, 0] >= np.quantile(pixels[:, 0], 1 - _SKIN_QUANTILE)]
    return np.asarray(np.median(bright, axis=0), np.float32)


def _tilted(smooth: Floats, around: Mask) -> Floats:
    """Colour of the skin at every pixel (rows, columns, 3): a plane in each channel, as far as light falls off."""
    rows, columns = np.indices(around.shape, dtype=np.float32)
    basis = np.stack([np.ones_like(rows), rows / SIDE - 0.5, columns / SIDE - 0.5], axis=-1)
    chosen = np.flatnonzero(around.ravel())[::7]
    design = basis.reshape(-1, 3)[chosen]
    ridge = np.diag([0, 0.02 * len(chosen), 0.02 * len(chosen)]).astype(np.float32)
    weights = np.linalg.solve(design.T @ design + ridge, design.T @ smooth.reshape(-1, 3)[chosen])
    return np.asarray(basis @ weights, np.float32)


def _difference(smooth: Floats, skin: Floats) -> Floats:
    """How far from the skin's colour; darker and redder counts, brighter counts half."""
    apart = smooth - skin
    apart[..., 0] = np.where(apart[..., 0] > 0, apart[..., 0] * 0.5, apart[..., 0])
    return np.asarray(np.sqrt((apart**2 * _DARK_WEIGHT).sum(axis=-1)), np.float32)


def _split(difference: Floats, usable: Mask) -> tuple[Mask | None, float]:
    """What is above Otsu's threshold, cleaned to the one best placed component and what belongs to it."""
    level, certainty = _otsu(difference[usable])
    grown = ndimage.binary_opening((difference > level) & usable, iterations=2)
    named, count = ndimage.label(ndimage.binary_closing(grown, iterations=3) & usable)
    if not count:
        return None, certainty
    rows, columns = np.indices(usable.shape)
    near = np.exp(-(((rows / SIDE - 0.5) ** 2 + (columns / SIDE - 0.5) ** 2) / _PULL**2) * 4).astype(np.float32)
    weight = ndimage.sum_labels(near * difference, named, np.arange(1, count + 1))
    best = int(np.argmax(weight)) + 1
    mask = _with_neighbours(named, best, weight)
    mask = ndimage.binary_fill_holes(ndimage.gaussian_filter(mask.astype(np.float32), 2.0) > 0.5)
    return (mask & usable if mask.mean() >= _LEAST_AREA else None), certainty


def _with_neighbours(named: NDArray[np.signedinteger], best: int, weight: NDArray[np.float64]) -> Mask:
    """The best component, and others of a fifth of its weight that lie close: lesions fall apart where they fade."""
    close = ndimage.binary_dilation(named == best, iterations=SIDE // 20)
    touching = set(np.unique(named[close])) - {0}
    kept = [number for number in touching if number == best or weight[number - 1] > 0.1 * weight[best - 1]]
    return np.isin(named, kept)


def _otsu(values: Floats) -> tuple[float, float]:
    """Threshold between two classes, and the share of the variance that it explains."""
    top = float(np.quantile(values, 0.998))
    counts, edges = np.histogram(np.minimum(values, top), bins=128)
    middles = (edges[1:] + edges[:-1]) / 2
    share = np.cumsum(counts) / counts.sum()
    mean = np.cumsum(counts * middles) / counts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mean[-1] * share - mean) ** 2 / (share * (1 - share))
    between = np.nan_to_num(between)
    best = int(np.argmax(between))
    spread = float(np.sum(counts * (middles - mean[-1]) ** 2) / counts.sum())
    return float(edges[best + 1]), float(between[best] / max(spread, 1e-9))


def whole_picture(prepared: Prepared) -> Lesion:
    """The middle of the picture, where no lesion was found and one is wanted all the same."""
    rows, columns = np.indices((SIDE, SIDE)) - SIDE / 2
    usable = ~prepared.outside
    disc = (rows**2 + columns**2 < (SIDE * 0.28) ** 2) & usable
    return _lesion(disc if disc.sum() > 400 else np.ones_like(usable), prepared, usable, 0.0)


def _lesion(mask: Mask, prepared: Prepared, usable: Mask, certainty: float) -> Lesion:
    where = np.argwhere(mask)
    top, left = where.min(axis=0)
    bottom, right = where.max(axis=0) + 1
    around = ndimage.binary_dilation(mask, iterations=20) & ~ndimage.binary_dilation(mask, iterations=5) & usable
    if around.sum() < 200:
        around = usable & ~mask if (usable & ~mask).sum() > 50 else ~mask
    skin = np.median(prepared.lab[around], axis=0) if around.any() else np.array([70, 15, 15], np.float32)
    contrast = float(np.linalg.norm(prepared.lab[mask].mean(axis=0) - skin))
    return Lesion(mask, (int(top), int(left), int(bottom), int(right)), np.asarray(skin, np.float32), contrast,
                  certainty)
