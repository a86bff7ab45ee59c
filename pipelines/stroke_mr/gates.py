"""What must hold before a series is read, and before its reading may be called normal."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from gateway.mr import MrVolume
from gateway.pipeline import Array, Floats
from gateway.result import Problem
from pipelines.stroke_mr.brain import LIKELY_ML, Mask
from pipelines.stroke_mr.labels import VENTRICLES
from pipelines.stroke_mr.selection import LEAST_SLICES
from pipelines.stroke_mr.space import Fit, territories

MOST_SPACING_MM = 12.0
LEAST_EXTENT_MM = 55.0
LEAST_PIXELS = 48
"""Rows and columns."""
MOST_MISFIT_MM = 6.0
MOST_ZIGZAG_MM = 2.5
MOST_GHOST = 0.1
BLANK_SHARE = 0.1
"""Of the contrast that a slice usually has."""
_SCALP_MM = 24.0
"""From the brain to the air, at most."""
BRIGHT_FLUID = 1.7
"""Robust standard deviations of the brain above its median: fluid this bright is not nulled (of the 1,049 training
slices none is)."""
_NO_NUMBERS = Problem("invalid-pixels", "Pixels of the series hold no usable numbers.")


def problems_of_volume(volume: MrVolume) -> tuple[Problem, ...]:
    """Why the volume cannot be read at all; empty when it can."""
    if not np.isfinite(volume.values).all() or float(np.ptp(volume.values)) <= 0:
        return (_NO_NUMBERS,)
    rows, columns = volume.values.shape[1:]
    if min(rows, columns) < LEAST_PIXELS:
        return (Problem("too-coarse", f"Slices of {rows} by {columns} pixels show too little."),)
    if len(volume.values) < LEAST_SLICES:
        return (Problem("too-few-slices", f"Only {len(volume.values)} slices; at least {LEAST_SLICES} are needed."),)
    if volume.spacing[0] > MOST_SPACING_MM:
        return (Problem("slices-too-far-apart", f"Slices are {volume.spacing[0]:.1f} mm apart."),)
    return ()


def problems_of_brain(volume: MrVolume, brain: Mask) -> tuple[Problem, ...]:
    """Why this is no brain that could be read."""
    millilitres = float(brain.sum()) * float(np.prod(volume.spacing)) / 1000
    if not LIKELY_ML[0] * 0.6 <= millilitres <= LIKELY_ML[1] * 1.15:
        return (Problem("no-brain", "No brain was found: another body part, or too little of the head is shown."),)
    return ()


def problems_of_fit(fit: Fit) -> tuple[Problem, ...]:
    if fit.misfit_mm > MOST_MISFIT_MM:
        return (Problem("no-brain", f"What was found has not the shape of a brain (off by {fit.misfit_mm:.1f} mm)."),)
    return ()


def doubts(volume: MrVolume, brain: Mask, fit: Fit, what: str) -> tuple[Problem, ...]:
    """Why no verdict is given whatever the network says: gaps, blank slices, motion, too little of the brain, another
    contrast."""
    found = [p for p in volume.problems if p.code in ("gap", "unreadable-slices", "irregular-spacing")]
    if blank := blank_slices(volume.values):
        found.append(Problem("blank-slices", f"{blank} slices between the others show nothing."))
    shown = np.flatnonzero(brain.any((1, 2)))
    extent = shown.size * volume.spacing[0]
    if extent < LEAST_EXTENT_MM:
        found.append(Problem("coverage-too-small", f"{what} shows the brain over {extent:.0f} mm only."))
    away = zigzag(brain, volume.spacing)
    if away > MOST_ZIGZAG_MM:
        found.append(Problem("motion", f"Motion: slices of {what} are shifted against each other by {away:.1f} mm."))
    elif ghosting(volume.values, brain, volume.spacing) > MOST_GHOST:
        found.append(Problem("motion", f"Motion: ghosts of the head lie beside it on {what}."))
    fluid = fluid_level(volume.values, brain, fit)
    if fluid is not None and fluid > BRIGHT_FLUID:
        found.append(Problem("wrong-contrast", f"Fluid is bright on what is named {what}: another contrast (T2)."))
    return tuple(found)


def blank_slices(values: Floats) -> int:
    """How many slices between the first and the last that show something show nothing."""
    low, high = np.percentile(values, (1, 99), axis=(1, 2))
    shown = np.flatnonzero(high - low > BLANK_SHARE * np.median(high - low))
    return int(shown[-1] - shown[0] + 1 - shown.size) if shown.size else 0


def zigzag(brain: Mask, spacing: tuple[float, float, float]) -> float:
    """mm: how far slices lie beside the middle of their neighbours, upper quartile; 0 without enough slices."""
    areas = brain.sum((1, 2))
    index = np.flatnonzero(areas > 0.5 * areas.max())
    if index.size < 6:
        return 0.0
    centres = np.array([ndimage.center_of_mass(brain[i]) for i in index]) * np.array(spacing[1:])
    bend = centres[1:-1] - (centres[:-2] + centres[2:]) / 2
    return float(np.percentile(np.hypot(bend[:, 0], bend[:, 1]), 75))


def ghosting(values: Floats, brain: Mask, spacing: tuple[float, float, float]) -> float:
    """Signal of the air beside the head along one axis, above that in the corners, as a share of the brain's."""
    middle = slice(len(values) // 3, max(len(values) // 3 + 1, 2 * len(values) // 3))
    told = [_ghost(plane, inside, spacing) for plane, inside in zip(values[middle], brain[middle], strict=True)
            if inside.any()]
    return float(np.median(told)) if told else 0.0


def _ghost(plane: Array, inside: Mask, spacing: tuple[float, float, float]) -> float:
    head = ndimage.distance_transform_edt(~inside, sampling=spacing[1:]) <= _SCALP_MM
    rows, columns = head.any(1), head.any(0)
    corners = plane[np.ix_(~rows, ~columns)]
    beside = [plane[np.ix_(~rows, columns)], plane[np.ix_(rows, ~columns)]]
    if corners.size < 20 or not corners.any():
        return 0.0
    level = max((float(part.mean()) for part in beside if part.size > 20), default=0.0)
    return max(0.0, level - float(corners.mean())) / max(float(np.median(plane[inside])), 1e-6)


def fluid_level(values: Floats, brain: Mask, fit: Fit) -> float | None:
    """Upper quartile of the ventricles in robust standard deviations of the brain; None where hardly any is shown."""
    fluid: list[Array] = []
    for index in range(len(values)):
        if brain[index].any():
            numbers = territories(index, fit, brain.shape[1:])
            core = ndimage.binary_erosion(np.isin(numbers, VENTRICLES)) & brain[index]
            fluid.append(values[index][core])
    inside = values[brain]
    together = np.concatenate(fluid) if fluid else np.zeros(0)
    if together.size < 30:
        return None
    low, middle, high = np.percentile(inside, (25, 50, 75))
    return float((np.percentile(together, 75) - middle) / max(float(high - low) / 1.35, 1e-6))
