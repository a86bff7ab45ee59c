"""What must hold before a series is read, and before its reading may be called normal."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from gateway.pipeline import Floats, Volume
from gateway.result import Problem
from pipelines.chest_ct.grid import Working
from pipelines.chest_ct.lungs import BODY_ABOVE, Lungs
from pipelines.chest_ct.selection import LEAST_SLICES

LEAST_LUNG_ML = 500.0
LEAST_LUNG_MM = 100.0
LEAST_SIDE_SHARE = 0.15
MOST_SPACING_MM = 12.5
CUT_SHARE = 0.55
"""Lung area in the outermost slab, against the largest slab: from here on the lungs are cut off."""
TISSUE_HU = (-150.0, 200.0)
INCOMPLETE = frozenset({"gap", "unreadable-slices"})
"""Problems of the volume with which nothing is called normal."""
FAULTY = INCOMPLETE | {"motion", "blank-slices"}
"""Doubts about the stack itself: no verdict is given whatever the networks say."""
MOST_ZIGZAG_MM = 2.5
"""The real series has 0.6 mm, every second slice of it 1.2."""
BLANK_SHARE = 0.1
"""Tissue of a slice against the middle one of all: less is none."""
_COARSE = 4


def problems_of_volume(volume: Volume) -> tuple[Problem, ...]:
    """Why the volume cannot be read at all; empty when it can."""
    found = [problem for problem in volume.problems if problem.code == "not-hounsfield"]
    if len(volume.hu) < LEAST_SLICES:
        found.append(Problem("too-few-slices", f"Only {len(volume.hu)} slices; at least {LEAST_SLICES} are needed."))
    if volume.spacing[0] > MOST_SPACING_MM:
        found.append(Problem("slices-too-far-apart", f"Slices are {volume.spacing[0]:.1f} mm apart."))
    return tuple(found)


def problems_of_lungs(working: Working, lungs: Lungs | None) -> tuple[Problem, ...]:
    """Why this is no chest that could be read; empty when it is one."""
    if lungs is None or sum(lungs.volumes_ml) < LEAST_LUNG_ML:
        return (Problem("no-lungs", "No lungs were found: another body part, or only air in the picture."),)
    tissue = float(np.median(working.hu[lungs.body & ~lungs.whole]))
    if not TISSUE_HU[0] < tissue < TISSUE_HU[1]:
        return (Problem("not-hounsfield", f"Soft tissue measures {tissue:.0f} HU: these are no Hounsfield units."),)
    return ()


def doubts(volume: Volume, working: Working, lungs: Lungs) -> tuple[Problem, ...]:
    """Why a reading without findings would still not be called normal; empty when it would."""
    found = [problem for problem in volume.problems if problem.code in INCOMPLETE]
    found += _faults(volume)
    extent = lungs.slabs.size * working.spacing[0]
    if extent < LEAST_LUNG_MM:
        found.append(Problem("coverage-too-small", f"The lungs are shown over {extent:.0f} mm only."))
    areas = lungs.whole.sum((1, 2))
    ends = [name for name, area in (("bases", areas[0]), ("apices", areas[-1])) if area > CUT_SHARE * areas.max()]
    if ends:
        found.append(Problem("lungs-cut-off", f"The lung {' and '.join(ends)} are not in the pictures."))
    if min(lungs.volumes_ml) < LEAST_SIDE_SHARE * sum(lungs.volumes_ml):
        side = "right" if lungs.volumes_ml[0] < lungs.volumes_ml[1] else "left"
        found.append(Problem("one-lung", f"Hardly any air was found in the {side} lung."))
    return tuple(found)


def _faults(volume: Volume) -> list[Problem]:
    """Slices that lie beside each other as no body does, and slices without a body between those that show it."""
    shown = [plane[::_COARSE, ::_COARSE] > BODY_ABOVE for plane in volume.hu]
    areas = np.array([int(plane.sum()) for plane in shown])
    full = np.flatnonzero(areas > BLANK_SHARE * np.median(areas[areas > 0]))
    found: list[Problem] = []
    if blank := int(full[-1] - full[0] + 1 - full.size):
        found.append(Problem("blank-slices", f"{blank} slices between the others show nothing."))
    centres = np.array([ndimage.center_of_mass(shown[i]) for i in full]) * _COARSE * np.array(volume.spacing[1:])
    away = _zigzag(centres)
    if away > MOST_ZIGZAG_MM:
        found.append(Problem("motion", f"Motion: slices are shifted against each other by {away:.1f} mm."))
    return found


def _zigzag(centres: Floats) -> float:
    """mm: how far slices lie beside the middle of their neighbours, upper quartile; 0 without enough slices."""
    if len(centres) < LEAST_SLICES:
        return 0.0
    bend = centres[1:-1] - (centres[:-2] + centres[2:]) / 2
    return float(np.percentile(np.hypot(bend[:, 0], bend[:, 1]), 75))
