"""Frames → one ordered stack: the dominant geometry, duplicates, order along the normal, gaps and tilt."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from adapters.dicom.content.volume_frames import Frame, Vector
from gateway.errors import Unusable
from gateway.result import Problem

_SAME_PLACE = 0.01
"""mm: closer slices are the same place."""
_SAME_DIRECTION = 0.9995
"""Cosine: about 1.8 degrees."""
_AXIAL = 0.7
"""Least z component of an axial normal (oblique stacks up to 45 degrees)."""
_TILT_DEGREES = 1.0


def normal_of(orientation: Vector) -> Vector:
    """Unit normal of the slices, pointing to the head. Raises Unusable where the slices are not axial."""
    normal = np.cross(orientation[:3], orientation[3:])
    if abs(normal[2]) < _AXIAL:
        raise Unusable("the slices are not axial")
    return normal if normal[2] > 0 else -normal


def dominant_stack(frames: Sequence[Frame]) -> tuple[list[Frame], list[Problem]]:
    """The largest set of frames of equal size, pixel spacing, thickness and orientation; the rest is named."""
    stacks: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    directions: list[Vector] = []
    for frame in sorted(frames, key=_identity):
        stacks[(_direction(frame.orientation, directions), frame.pixels.rows, frame.pixels.columns,
                *(round(s, 3) for s in frame.spacing), round(frame.thickness, 2))].append(frame)
    ranked = sorted(stacks.values(), key=lambda stack: (-_places(stack), _identity(stack[0])))
    others = sum(len(stack) for stack in ranked[1:])
    if not others:
        return ranked[0], []
    text = f"{others} images differ in orientation, size, spacing or thickness and are left out"
    return ranked[0], [Problem("mixed-stacks", text)]


def _identity(frame: Frame) -> tuple[str, int]:
    return frame.sop_instance_uid, frame.number


def _direction(orientation: Vector, known: list[Vector]) -> int:
    for index, other in enumerate(known):
        row, column = float(orientation[:3] @ other[:3]), float(orientation[3:] @ other[3:])
        if min(row, column) > _SAME_DIRECTION:
            return index
    known.append(orientation)
    return len(known) - 1


def _places(stack: Sequence[Frame]) -> int:
    return len({tuple(np.round(frame.position, 2)) for frame in stack})


def in_order(frames: Sequence[Frame]) -> tuple[list[Frame], list[Problem]]:
    """Foot to head, one frame a place. Of several, the one whose acquisition holds most of the stack is kept."""
    normal = normal_of(frames[0].orientation)
    sizes = Counter(frame.acquisition for frame in frames)
    ranked = sorted(frames, key=lambda f: (float(f.position @ normal), _identity(f)))
    kept = _one_a_place(ranked, normal, sizes)
    dropped = len(frames) - len(kept)
    if not dropped:
        return kept, []
    return kept, [Problem("duplicates-dropped", f"{dropped} images repeat a slice position and are left out")]


def _one_a_place(ranked: list[Frame], normal: Vector, sizes: Counter[tuple[str, str]]) -> list[Frame]:
    """The preferred frame of each run of frames at one place."""
    runs: list[list[Frame]] = []
    for frame in ranked:
        if runs and float((frame.position - runs[-1][0].position) @ normal) < _SAME_PLACE:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return [min(run, key=lambda f: (-sizes[f.acquisition], f.acquisition, _identity(f))) for run in runs]


def spacing_between(frames: Sequence[Frame]) -> tuple[Vector, float]:
    """Positions along the normal (mm, ascending) and the median distance between slices."""
    normal = normal_of(frames[0].orientation)
    positions = np.array([float(frame.position @ normal) for frame in frames])
    return positions, float(np.median(np.diff(positions)))


def stack_problems(frames: Sequence[Frame]) -> list[Problem]:
    """Gaps, uneven spacing, gantry tilt and values that are no Hounsfield units."""
    return geometry_problems(frames) + _tilt(frames) + _hounsfield(frames)


def geometry_problems(frames: Sequence[Frame]) -> list[Problem]:
    """Gaps and uneven spacing, as an ordered stack of any modality may have them."""
    positions, between = spacing_between(frames)
    return _spacing_problems(np.diff(positions), between)


def _spacing_problems(steps: Vector, between: float) -> list[Problem]:
    gaps = steps[steps > 1.5 * between]
    if gaps.size:
        missing = int(np.round(gaps / between - 1).sum())
        return [Problem("gap", f"about {missing} slices are missing in {gaps.size} places (up to {gaps.max():.1f} mm)")]
    uneven = float(np.abs(steps - between).max())
    if uneven > 0.1 * between:
        return [Problem("irregular-spacing", f"the distance between slices varies by up to {uneven:.1f} mm")]
    return []


def _tilt(frames: Sequence[Frame]) -> list[Problem]:
    """First voxels that drift sideways along the stack: a tilted gantry (PS3.3 C.8.2.1, GantryDetectorTilt)."""
    normal = normal_of(frames[0].orientation)
    way = frames[-1].position - frames[0].position
    along = float(way @ normal)
    degrees = float(np.degrees(np.arctan2(np.linalg.norm(way - along * normal), along)))
    if degrees < _TILT_DEGREES:
        return []
    return [Problem("gantry-tilt", f"the stack is sheared by {degrees:.1f} degrees (tilted gantry), not corrected")]


def _hounsfield(frames: Sequence[Frame]) -> list[Problem]:
    if all(frame.hounsfield for frame in frames):
        return []
    return [Problem("not-hounsfield", "some slices have no rescale to Hounsfield units")]
