"""Hairs and ruler ticks: thin dark lines, found by their black top-hat and painted over from what is beside them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from gateway.pipeline import Floats
from pipelines.dermoscopy.colour import Mask

_REACH = 6
"""Pixels each way along a line that a closing spans: wider dark things are no hair."""
_DARKER = 0.055
"""How much darker than what is beside it a hair is, of 1."""
_LONG = 18
"""Pixels: shorter dark streaks are the skin's own pattern."""
_THIN = 4.5
"""Mean width in pixels of what still is a hair or a tick."""
_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (2, 1), (1, -2), (2, -1))
_SMEARS = (2.0, 4.0, 9.0)
"""Pixels: how far paint is fetched, the nearest first."""


def _along(plane: Floats, step: tuple[int, int], extreme: Callable[[Floats, Floats], Floats]) -> Floats:
    """Extreme over `2 × _REACH` pixels along a line of that direction; edges repeat."""
    length = max(abs(step[0]), abs(step[1]))
    count = max(_REACH // length, 1)
    pad = _REACH + length
    padded = np.pad(plane, pad, mode="edge")
    rows, columns = plane.shape
    result = plane
    for number in range(-count, count + 1):
        top, left = pad + number * step[0], pad + number * step[1]
        result = extreme(result, padded[top:top + rows, left:left + columns])
    return result


def hair_mask(luminance: Floats) -> Mask:
    """(rows, columns) in [0, 1] → where thin dark lines run, with a rim of a pixel."""
    closed = luminance
    for step in _DIRECTIONS:
        wider = _along(_along(luminance, step, np.maximum), step, np.minimum)
        closed = np.maximum(closed, wider)
    return ndimage.binary_dilation(_lines(closed - luminance > _DARKER), iterations=1)


def _lines(dark: Mask) -> Mask:
    """Components that are long and thin."""
    named, count = ndimage.label(dark, np.ones((3, 3)))
    if not count:
        return dark
    area = np.bincount(named.ravel(), minlength=count + 1)
    kept = np.zeros(count + 1, dtype=bool)
    for number, place in enumerate(ndimage.find_objects(named), 1):
        length = float(np.hypot(place[0].stop - place[0].start, place[1].stop - place[1].start))
        kept[number] = length >= _LONG and area[number] / length <= _THIN * max(1.0, length / 60)
    return np.asarray(kept[named])


def painted_over(rgb: Floats, hidden: Mask) -> Floats:
    """(rows, columns, 3) with the hidden pixels filled from the nearest that are not."""
    if not hidden.any() or hidden.all():
        return rgb
    result, missing = rgb.copy(), hidden.copy()
    shown = (~hidden).astype(np.float32)
    for sigma in _SMEARS:
        weight = ndimage.gaussian_filter(shown, sigma, truncate=2.5)
        found = missing & (weight > 0.05)
        for channel in range(3):
            smeared = ndimage.gaussian_filter(rgb[..., channel] * shown, sigma, truncate=2.5)
            result[..., channel][found] = smeared[found] / weight[found]
        missing &= ~found
    return result
