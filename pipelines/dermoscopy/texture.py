"""Texture inside a lesion: local binary patterns, co-occurrence of grey levels, energy by scale and direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.pipeline import Floats
from pipelines.dermoscopy.colour import Mask

Numbers = NDArray[np.float64]
_RING = tuple((float(np.sin(a)), float(np.cos(a))) for a in np.arange(8) * np.pi / 4)
_RADII = (1, 2, 4)
_OCTAVES = 4
_LEVELS = 12


def _uniform() -> NDArray[np.intp]:
    """Code of each of the 256 patterns: how many ones where they stand together, else 9 (Ojala's riu2)."""
    codes = []
    for pattern in range(256):
        bits = [pattern >> k & 1 for k in range(8)]
        changes = sum(bits[k] != bits[k - 1] for k in range(8))
        codes.append(sum(bits) if changes <= 2 else 9)
    return np.array(codes)


_CODES = _uniform()


def texture(lab: Floats, mask: Mask) -> Numbers:
    """Of L* and b* inside the mask; the outermost pixels are left out where enough remain."""
    inner = ndimage.binary_erosion(mask, iterations=3)
    inside = inner if inner.sum() > 150 else mask
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    cut = tuple(slice(max(side.start - 24, 0), side.stop + 24) for side in box)
    inside, planes = inside[cut], lab[cut]
    told = [part for channel in (0, 2) for part in (
        *(_patterns(planes[..., channel], inside, radius) for radius in _RADII),
        _energies(planes[..., channel], inside))]
    told += [_co_occurrence(planes[..., channel], inside, step) for channel in (0, 1, 2) for step in (1, 3, 7)]
    return np.concatenate(told)


def _patterns(plane: Floats, inside: Mask, radius: int) -> Numbers:
    """Histogram (10,) of rotation-invariant uniform local binary patterns."""
    smooth = ndimage.gaussian_filter(plane, radius / 2)
    code = np.zeros(plane.shape, dtype=np.intp)
    for bit, (down, right) in enumerate(_RING):
        step = (-round(down * radius), -round(right * radius))
        code |= (np.roll(smooth, step, axis=(0, 1)) > smooth + 0.15).astype(np.intp) << bit
    return np.asarray(np.bincount(_CODES[code[inside]], minlength=10) / max(int(inside.sum()), 1))


def _energies(plane: Floats, inside: Mask) -> Numbers:
    """Logarithms of band energies, and how much of each gradient lies in one direction, octave by octave."""
    told = []
    for _ in range(_OCTAVES):
        told.append(_octave(plane, inside if inside.any() else np.ones_like(inside)))
        plane, inside = _halved(plane), inside[:inside.shape[0] // 2 * 2:2, :inside.shape[1] // 2 * 2:2]
    return np.concatenate(told)


def _octave(plane: Floats, inside: Mask) -> Numbers:
    fine = ndimage.gaussian_filter(plane, 1.0)
    down, right = np.gradient(fine)
    values = (fine - ndimage.gaussian_filter(fine, 1.25))[inside]
    a, b, c = (ndimage.gaussian_filter(x, 2.0, truncate=2)[inside] for x in (down * down, down * right, right * right))
    coherence = np.sqrt((a - c) ** 2 + 4 * b * b) / (a + c + 1e-6)
    skew = float(np.mean(values**3)) / (float(values.std()) ** 3 + 1e-3)
    return np.array([np.log(values.std() + 1e-2), coherence.mean(), (values > 0.5).mean(), (values < -0.5).mean(),
                     np.log((a + c).mean() + 1e-3), skew], dtype=np.float64)


def _halved(plane: Floats) -> Floats:
    rows, columns = plane.shape[0] // 2 * 2, plane.shape[1] // 2 * 2
    return np.asarray(plane[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3)))


def _co_occurrence(plane: Floats, inside: Mask, step: int) -> Numbers:
    """Contrast, correlation, homogeneity, energy, entropy of level pairs at that distance, over four directions."""
    low, high = np.quantile(plane[inside], (0.01, 0.99))
    level = np.clip((plane - low) / max(high - low, 1e-3) * _LEVELS, 0, _LEVELS - 1).astype(np.intp)
    counts = np.zeros(_LEVELS * _LEVELS)
    for down, right in ((0, step), (step, 0), (step, step), (step, -step)):
        shifted = np.roll(inside, (-down, -right), axis=(0, 1)) & inside
        pair = level[shifted] * _LEVELS + np.roll(level, (-down, -right), axis=(0, 1))[shifted]
        counts += np.bincount(pair, minlength=_LEVELS * _LEVELS)
    share = (counts.reshape(_LEVELS, _LEVELS) + counts.reshape(_LEVELS, _LEVELS).T) / max(2 * counts.sum(), 1)
    i, j = np.indices(share.shape)
    mean = (i * share).sum()
    variance = ((i - mean) ** 2 * share).sum()
    return np.array([((i - j) ** 2 * share).sum(), ((i - mean) * (j - mean) * share).sum() / max(variance, 1e-6),
                     (share / (1 + (i - j) ** 2)).sum(), (share**2).sum(), -(share * np.log(share + 1e-9)).sum()])
