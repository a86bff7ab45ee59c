"""What in a dermoscopic picture is no skin: the dark rim of the lens, coloured stickers and ink, glare."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.pipeline import Floats
from pipelines.dermoscopy.colour import Mask

_RIM_SHARE = 0.45
"""The rim is darker than this share of the usual brightness."""
_BLACK = 0.12
_INK_HUES = ((0.22, 0.66, 0.30), (0.66, 0.85, 0.22))
"""(hue from, to, least saturation): green to blue, violet. The veil of a lesion is mostly greyer than this."""
_INK_VALUE = 0.25
_STICKER_SATURATION, _STICKER_VALUE = 0.45, 0.65
_LEAST_AREA = 0.0004
"""Share of the picture below which a coloured spot is left alone."""
_MIDDLE = 0.22
"""Of the picture's side: a blue blob that lies mostly nearer to the middle is part of the lesion."""
_GLARE = 0.93


def rim_mask(value: Floats) -> Mask:
    """Dark area that reaches in from the corners. `value`: (rows, columns) brightness in [0, 1]."""
    smooth = ndimage.gaussian_filter(value, 2)
    lit = smooth[smooth > _BLACK]
    dark = smooth < max(_RIM_SHARE * float(np.median(lit)) if lit.size else 0.0, _BLACK)
    named, _ = ndimage.label(dark)
    corners = {int(named[row, column]) for row in (2, -3) for column in (2, -3)} - {0}
    rim = np.isin(named, list(corners))
    rows, columns = value.shape
    if not corners or rim[rows // 4:-(rows // 4), columns // 4:-(columns // 4)].mean() > 0.25:
        return np.zeros_like(dark)
    return ndimage.binary_dilation(rim, iterations=max(rows // 50, 1))


def foreign_mask(colours: Floats, rim: Mask) -> Mask:
    """Stickers and ink. `colours`: (rows, columns, 3) hue, saturation, value under white light."""
    hue, saturation, value = colours[..., 0], colours[..., 1], colours[..., 2]
    ink = np.zeros(hue.shape, dtype=bool)
    for start, end, least in _INK_HUES:
        ink |= (hue >= start) & (hue < end) & (saturation > least) & (value > _INK_VALUE)
    bright = (saturation > _STICKER_SATURATION) & (value > _STICKER_VALUE) & ~rim
    spots = _chosen(ink & ~rim, _off_centre)
    solid = ndimage.binary_opening(spots & (value > _STICKER_VALUE), iterations=5)
    stickers = _chosen(ndimage.binary_opening(bright, iterations=2), _at_edge)
    return ndimage.binary_dilation(spots | _filled(solid | stickers), iterations=2)


def _chosen(mask: Mask, takes: Callable[[NDArray[np.intp], tuple[int, ...]], bool]) -> Mask:
    named, count = ndimage.label(mask)
    kept = np.zeros(count + 1, dtype=bool)
    for number, place in enumerate(ndimage.find_objects(named), 1):
        where = np.argwhere(named[place] == number) + np.array([place[0].start, place[1].start])
        kept[number] = len(where) >= _LEAST_AREA * mask.size and takes(where, mask.shape)
    return np.asarray(kept[named])


def _off_centre(where: NDArray[np.intp], shape: tuple[int, ...]) -> bool:
    away = np.abs((where + 0.5) / np.array(shape) - 0.5).max(axis=1)
    return float((away < _MIDDLE).mean()) < 0.5


def _at_edge(where: NDArray[np.intp], shape: tuple[int, ...]) -> bool:
    """Cut off by the picture's edge, as a sticker beside the lesion is."""
    return bool((where.min() <= 1) or (where.max(axis=0) >= np.array(shape) - 2).any())


def _filled(blobs: Mask) -> Mask:
    """Each blob with what it encloses or cuts off against an edge."""
    named, count = ndimage.label(blobs)
    found = np.zeros_like(blobs)
    for number in range(1, count + 1):
        found |= _between(named == number) | _between((named == number).T).T
    return found


def _between(blob: Mask) -> Mask:
    """In each row all from the first to the last pixel."""
    return np.asarray(np.maximum.accumulate(blob, axis=1) & np.maximum.accumulate(blob[:, ::-1], axis=1)[:, ::-1])


def glare_mask(colours: Floats) -> Mask:
    """Where the lamp is mirrored: bright and without colour."""
    return np.asarray((colours[..., 2] > _GLARE) & (colours[..., 1] < 0.12))
