"""Where the brain is in a head: for FLAIR with skull and scalp, diffusion images, and images already stripped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.pipeline import Floats

Mask = NDArray[np.bool_]
_WORKING_MM = 2.0
_ERODE_MM = (2.0, 3.5, 5.0, 7.0, 9.0)
"""How far the head is worn down until the brain comes loose from the scalp."""
_CLOSE_MM = 8.0
_TISSUE = 0.55
"""Of the median in the middle of the head, which is brain in every contrast: bone and air are darker."""
LIKELY_ML = (500.0, 2100.0)


def find_brain(values: Floats, spacing: tuple[float, float, float]) -> Mask:
    """bool of the shape of `values` (slices, rows, columns); all False where no brain can be told.

    `spacing`: mm between slices, rows, columns. Sulci and ventricles count as brain. What was stripped already (nothing
    but zeros around) is taken as it is.
    """
    if _stripped(values):
        return np.asarray(_filled(values > 0))
    factor = (1.0, max(1.0, _WORKING_MM / spacing[1]), max(1.0, _WORKING_MM / spacing[2]))
    small = ndimage.zoom(ndimage.gaussian_filter(values, (0, factor[1] / 2.5, factor[2] / 2.5)),
                         [1 / f for f in factor], order=1, grid_mode=True, mode="nearest")
    found = _in_small(small, (spacing[0], spacing[1] * factor[1], spacing[2] * factor[2]))
    scale = [large / little for large, little in zip(values.shape, small.shape, strict=True)]
    large = ndimage.zoom(found.astype(np.float32), scale, order=1, grid_mode=True, mode="nearest")
    return np.asarray(large[:values.shape[0], :values.shape[1], :values.shape[2]] > 0.5)


def _stripped(values: Floats) -> bool:
    """Exactly zero all along the border and over a quarter of the picture."""
    border = np.concatenate([values[:, [0, -1]].ravel(), values[:, :, [0, -1]].ravel()])
    return bool((border == 0).mean() > 0.98 and (values == 0).mean() > 0.25
                and not _ring(values > 0))


def _ring(inside: Mask) -> bool:
    """Whether the middle slice has dark bone within a bright outline: then it was not stripped."""
    plane = inside[len(inside) // 2]
    hull = ndimage.binary_fill_holes(plane)
    if not hull.any():
        return False
    depth = ndimage.distance_transform_edt(hull)
    edge = (depth > 0) & (depth < 0.25 * depth.max())
    return float(plane[edge].mean()) < 0.75


def _in_small(values: Floats, spacing: tuple[float, float, float]) -> Mask:
    middle = values[tuple(slice(size // 4, max(size // 4 + 1, size - size // 4)) for size in values.shape)]
    head = middle[middle > 0.05 * np.percentile(values, 99)]
    if head.size < 300:
        return np.zeros(values.shape, np.bool_)
    tissue = values > _TISSUE * float(np.median(head))
    best, best_score = np.zeros(values.shape, np.bool_), -1.0
    for millimetres in _ERODE_MM:
        found = _core(tissue, spacing, millimetres)
        score = _likelihood(found, spacing)
        if score > best_score + 0.05:
            best, best_score = found, score
    return best


def _core(tissue: Mask, spacing: tuple[float, float, float], millimetres: float) -> Mask:
    """The largest piece that is left after wearing down by so much, grown back within the tissue, closed."""
    worn = np.stack([ndimage.distance_transform_edt(plane, sampling=spacing[1:]) > millimetres for plane in tissue])
    pieces, count = ndimage.label(worn)
    if not count:
        return np.zeros(tissue.shape, np.bool_)
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    reach = np.stack([ndimage.distance_transform_edt(~plane, sampling=spacing[1:]) <= millimetres + spacing[1]
                      if plane.any() else plane for plane in largest])
    return np.asarray(_closed(reach & tissue | largest, spacing))


def _closed(mask: Mask, spacing: tuple[float, float, float]) -> Mask:
    """Sulci shut, holes filled, slice by slice."""
    edge = int(np.ceil(_CLOSE_MM / min(spacing[1:]))) + 1
    wide = np.pad(mask, ((0, 0), (edge, edge), (edge, edge)))
    planes = []
    for plane in wide:
        if plane.any():
            grown = ndimage.distance_transform_edt(~plane, sampling=spacing[1:]) <= _CLOSE_MM
            plane = ndimage.distance_transform_edt(grown, sampling=spacing[1:]) > _CLOSE_MM
        planes.append(plane)
    return _filled(np.stack(planes)[:, edge:-edge, edge:-edge] | mask)


def _filled(mask: Mask) -> Mask:
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])


def _likelihood(mask: Mask, spacing: tuple[float, float, float]) -> float:
    """How much like a brain: volume within limits, compact slices (a scalp ring is not)."""
    millilitres = float(mask.sum()) * float(np.prod(spacing)) / 1000
    areas = mask.sum((1, 2))
    if not areas.any():
        return 0.0
    plane = mask[int(np.argmax(areas))]
    rows, columns = np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0))
    high, wide = rows.size * spacing[1], columns.size * spacing[2]
    fill = float(plane.sum()) * spacing[1] * spacing[2] / (high * wide * np.pi / 4)
    size = min(1.0, millilitres / 300) if millilitres < LIKELY_ML[1] else LIKELY_ML[1] / millilitres
    proportion = 1.0 if 110 <= high <= 215 and 95 <= wide <= 175 else 0.4
    return size * proportion * min(1.0, fill)
