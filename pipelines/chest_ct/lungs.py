"""Where the lungs are: body first, then the air in it, the windpipe taken out, dense disease closed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from gateway.pipeline import Array
from pipelines.chest_ct.grid import Working

Mask = NDArray[np.bool_]

AIR_BELOW = -400.0
"""HU: darker is air or aerated lung."""
BODY_ABOVE = -300.0
_GAS_BELOW = -965.0
"""HU, mean of a component: gas in the gut, not lung."""
_WINDPIPE_BELOW = -750.0
_WINDPIPE_MM2 = (40.0, 800.0)
_CLOSE_MM = 18.0
_LEAST_COMPONENT_ML = 80.0
_HULL_SHARE = 0.6
"""Slabs with less than this share of a lung's largest area are not rounded out: the liver lies beside them."""


@dataclass(frozen=True, slots=True)
class Lungs:
    """Masks on the working grid. `aerated`: air-filled lung without the windpipe; `whole`: with vessels and dense
    disease closed in; `left`: the half of the patient in which the left one lies. `volumes_ml`: of `whole`, patient's
    right and left."""

    body: Mask
    aerated: Mask
    whole: Mask
    left: Mask
    volumes_ml: tuple[float, float]

    @property
    def slabs(self) -> Array:
        """Slabs that hold lung."""
        return np.flatnonzero(self.whole.any((1, 2)))


def find_lungs(working: Working) -> Lungs | None:
    """None where there is no body or no lung in it."""
    voxel_ml = float(np.prod(working.spacing)) / 1000
    body = _body(working.hu)
    if body is None:
        return None
    air = (working.hu < AIR_BELOW) & _in_plane(ndimage.binary_erosion, body, 2)
    air &= ~_windpipe(working, body)
    aerated = _components(air, working.hu, voxel_ml)
    if not aerated.any():
        return None
    left = _left_side(aerated, body)
    reach = _CLOSE_MM / working.spacing[1]
    whole = body & (_with_disease(aerated, left, reach) | _with_disease(aerated, ~left, reach))
    whole &= ~_domes(whole, aerated, body)
    volumes = float((whole & ~left).sum()) * voxel_ml, float((whole & left).sum()) * voxel_ml
    return Lungs(body, aerated, whole, left, volumes)


def _body(hu: Array) -> Mask | None:
    """The largest piece of tissue, its holes filled slab by slab; thin things (table, blanket) fall away."""
    tissue = _in_plane(ndimage.binary_opening, hu > BODY_ABOVE, 1)
    labels, count = ndimage.label(tissue)
    if not count:
        return None
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    body = labels == int(sizes.argmax())
    for slab in body:
        slab[...] = ndimage.binary_fill_holes(slab)
    return _in_plane(ndimage.binary_opening, body, 3)


def _in_plane(operation: Callable[..., Array], mask: Mask, times: int) -> Mask:
    """A binary morphology of scipy.ndimage within each slab."""
    structure = ndimage.generate_binary_structure(2, 1)[None]
    return np.asarray(operation(mask, structure, iterations=times), bool)


def _windpipe(working: Working, body: Mask) -> Mask:
    """Trachea and main bronchi, followed from the topmost slab downwards as small round holes near the middle."""
    found = np.zeros(body.shape, bool)
    pixel = working.spacing[1] * working.spacing[2]
    before: Mask | None = None
    for slab in range(body.shape[0] - 1, -1, -1):
        holes, count = ndimage.label((working.hu[slab] < _WINDPIPE_BELOW) & body[slab])
        areas = np.bincount(holes.ravel(), minlength=count + 1)[1:] * pixel
        likely = 1 + np.flatnonzero((areas >= _WINDPIPE_MM2[0]) & (areas <= _WINDPIPE_MM2[1]))
        here = _continued(holes, likely, before) if before is not None else _begun(holes, likely, body[slab], working)
        if before is not None and not here.any():
            break
        if here.any():
            found[slab], before = here, ndimage.binary_dilation(here, iterations=2)
    return _in_plane(ndimage.binary_dilation, found, 1)


def _continued(holes: Array, likely: Array, before: Mask) -> Mask:
    return np.isin(holes, np.intersect1d(likely, holes[before]))


def _begun(holes: Array, likely: Array, body: Mask, working: Working) -> Mask:
    """The hole nearest to the body's middle column, if it lies within 30 mm of it."""
    if not likely.size:
        return np.zeros(body.shape, bool)
    middle = float(np.flatnonzero(body.any(0)).mean())
    off = [abs(float(np.nonzero(holes == hole)[1].mean()) - middle) * working.spacing[2] for hole in likely]
    return np.asarray((holes == likely[int(np.argmin(off))]) & (min(off) < 30), bool)


def _components(air: Mask, hu: Array, voxel_ml: float) -> Mask:
    """Pieces of air large enough for a lung and not as empty as gas."""
    labels, count = ndimage.label(air)
    if not count:
        return air
    index = np.arange(1, count + 1)
    volumes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * voxel_ml
    means = ndimage.mean(hu, labels, index)
    return np.isin(labels, index[(volumes >= _LEAST_COMPONENT_ML) & (np.asarray(means) > _GAS_BELOW)])


def _left_side(aerated: Mask, body: Mask) -> Mask:
    """True on the patient's left: beyond the column of the body's middle third that holds the least lung."""
    columns = np.flatnonzero(body.any((0, 1)))
    width = columns.size
    first, last = int(columns[0] + 0.35 * width), int(columns[0] + 0.65 * width) + 1
    counts = ndimage.uniform_filter1d(aerated.sum(1).astype(float), 5, axis=0, mode="nearest")[:, first:last]
    off_middle = np.abs(np.arange(first, last) - (first + last) / 2)
    divide = first + np.argmin(counts + 0.01 * off_middle, axis=1)
    return np.broadcast_to(np.arange(aerated.shape[2]) > divide[:, None, None], aerated.shape)


def _with_disease(aerated: Mask, side: Mask, reach: float) -> Mask:
    """One lung with what lies in it closed in, and dense tissue that stands between it and the chest wall.

    Heart, hilum and spine have lung outside them in their rows, or none inside them: they stay out.
    """
    closed = _closed(aerated & side, reach) & side
    areas = closed.sum((1, 2))
    for slab in np.flatnonzero(areas > _HULL_SHARE * max(1, int(areas.max()))):
        left = bool(side[slab, 0, -1])
        inwards = _shadow(closed[slab], rightwards=left)
        outwards = _shadow(closed[slab], rightwards=not left)
        closed[slab] |= _hull(closed[slab]) & side[slab] & inwards & ~outwards
    return closed


def _hull(mask: Mask) -> Mask:
    """Convex hull of the pixels that are set."""
    edges = ConvexHull(np.argwhere(mask)).equations
    rows, columns = np.indices(mask.shape)
    inside = np.ones(mask.shape, bool)
    for down, across, offset in np.unique(edges.round(9), axis=0):
        inside &= down * rows + across * columns + offset <= 1e-6
    return inside


def _shadow(lung: Mask, *, rightwards: bool) -> Mask:
    """Pixels with lung somewhere to their left in the same row (`rightwards`), or somewhere to their right."""
    if rightwards:
        return np.logical_or.accumulate(lung, axis=1)
    return np.logical_or.accumulate(lung[:, ::-1], axis=1)[:, ::-1]


def _domes(whole: Mask, aerated: Mask, body: Mask) -> Mask:
    """Tops of the diaphragm that were closed in: dense pieces in the lower lungs that stand on tissue below them."""
    domes = np.zeros(whole.shape, bool)
    slabs = np.flatnonzero(whole.any((1, 2)))
    for slab in slabs[1:1 + int(0.6 * slabs.size)]:
        below = body[slab - 1] & (~whole[slab - 1] | domes[slab - 1])
        dense = ndimage.binary_opening(whole[slab] & ~aerated[slab], iterations=2)
        pieces, count = ndimage.label(dense)
        standing = [n + 1 for n in range(count) if below[pieces == n + 1].mean() > 0.5]
        if standing:
            found = ndimage.binary_dilation(np.isin(pieces, standing), iterations=3)
            domes[slab] = found & whole[slab] & ~aerated[slab]
    return domes


def _closed(mask: Mask, reach: float) -> Mask:
    """Closing by a disk of `reach` pixels in each slab, then holes filled: vessels and dense disease come inside."""
    closed = np.zeros(mask.shape, bool)
    margin = int(reach) + 2
    for slab in np.flatnonzero(mask.any((1, 2))):
        rows, columns = (np.flatnonzero(mask[slab].any(axis)) for axis in (1, 0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        padded = np.pad(mask[slab][box], margin)
        grown = ndimage.distance_transform_edt(~padded) <= reach
        shrunk = ndimage.distance_transform_edt(grown) > reach
        closed[slab][box] = ndimage.binary_fill_holes(shrunk)[margin:-margin, margin:-margin] | mask[slab][box]
    return closed
