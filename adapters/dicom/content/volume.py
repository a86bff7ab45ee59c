"""An axial CT series → one HU volume in patient order, whatever order, numbering or faults it came with."""

from __future__ import annotations

from adapters.dicom.content.volume_frames import Frame, read_frames
from adapters.dicom.content.volume_pixels import read_values
from adapters.dicom.content.volume_stack import dominant_stack, in_order, spacing_between, stack_problems
from gateway.errors import Unusable
from gateway.pipeline import Floats, Volume
from gateway.result import Problem
from gateway.study import Instance


def load_volume(instances: tuple[Instance, ...]) -> Volume:
    """Classic and enhanced CT objects (PS3.3 A.3, A.38) → `Volume`, foot to head by ImagePositionPatient on the normal.

    Per-frame rescale; padding becomes −1000 HU; of mixed stacks the dominant one is kept. Faults are named in
    `problems`: unreadable-slices, mixed-stacks, duplicates-dropped, gap, irregular-spacing, gantry-tilt,
    not-hounsfield.
    Raises Unusable where the instances are no axial stack, Transient where a file is out of reach.
    """
    frames, unread = _read_all(instances)
    if not frames:
        raise Unusable(unread[0] if unread else "the series holds no images")
    kept, problems = dominant_stack(frames)
    kept, dropped = in_order(kept)
    if len(kept) < 2:
        raise Unusable("the series is no stack: fewer than two slices at different positions")
    hu, kept, broken = _read_pixels(kept)
    problems = _unreadable(len(unread) + broken) + problems + dropped + stack_problems(kept)
    return _volume(hu, kept, tuple(problems))


def _volume(hu: Floats, frames: list[Frame],
            problems: tuple[Problem, ...]) -> Volume:
    positions, between = spacing_between(frames)
    return Volume(
        hu=hu, spacing=(between, *frames[0].spacing), positions=positions,
        slices=tuple((f.sop_instance_uid, f.number) for f in frames),
        orientation=tuple(float(c) for c in frames[0].orientation), problems=problems,
    )


def _read_all(instances: tuple[Instance, ...]) -> tuple[list[Frame], list[str]]:
    """Frames of every readable object, and the reasons of the others."""
    read = [_attempt(instance) for instance in instances]
    frames = [frame for found in read if isinstance(found, list) for frame in found]
    return frames, [found for found in read if isinstance(found, str)]


def _attempt(instance: Instance) -> list[Frame] | str:
    try:
        return read_frames(instance)
    except Unusable as error:
        return error.reason


def _read_pixels(frames: list[Frame]) -> tuple[Floats, list[Frame], int]:
    """The stack's HU; where slices prove unreadable, the stack without them and how many they were."""
    try:
        return read_values(frames), frames, 0
    except Unusable:
        good = [frame for frame in frames if _has_pixels(frame)]
        if len(good) < 2:
            raise
        return read_values(good), good, len(frames) - len(good)


def _has_pixels(frame: Frame) -> bool:
    try:
        read_values([frame])
    except Unusable:
        return False
    return True


def _unreadable(count: int) -> list[Problem]:
    if not count:
        return []
    return [Problem("unreadable-slices", f"{count} of the series' objects could not be read and are left out")]
