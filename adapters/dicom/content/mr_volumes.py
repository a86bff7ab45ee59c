"""MR objects → volumes in patient order: one for each series, b-value, direction, echo and time point."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from adapters.dicom.content.mr_attributes import TAGS, Acquired, acquired
from adapters.dicom.content.volume_frames import Frame, frames_of, read_header
from adapters.dicom.content.volume_pixels import read_values
from adapters.dicom.content.volume_stack import dominant_stack, geometry_problems, in_order, normal_of, spacing_between
from gateway.errors import Unusable
from gateway.mr import MrAcquisition, MrVolume
from gateway.result import Problem
from gateway.study import Instance

_SAME_PLACE = 0.01
"""mm along the normal."""
_Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Source:
    """One frame and what its object says of it."""

    frame: Frame
    acquired: Acquired
    header: Dataset


def load_mr(instances: tuple[Instance, ...]) -> tuple[MrVolume, ...]:
    """Classic, enhanced and legacy converted MR objects (PS3.3 A.4, A.36, A.70) → every axial volume among them.

    Instance numbers do not count: frames are told apart by series, orientation, size, echo time, b-value, gradient
    direction, image type and time point, then ordered by position; of several at one place the n-th goes to the n-th
    repeat. Objects that cannot be read are named in `problems` (unreadable-slices) of every volume of their series.
    Raises Unusable where nothing is a stack, Transient where a file is out of reach.
    """
    sources, unread = _read_all(instances)
    grouped: dict[_Key, list[_Source]] = defaultdict(list)
    for source in sources:
        grouped[_belonging(source)].append(source)
    found = [volume for group in grouped.values() for volume in _volumes(group, unread)]
    if not found:
        raise Unusable("no images of the series form an axial stack")
    return tuple(sorted(found, key=_order))


def _read_all(instances: tuple[Instance, ...]) -> tuple[list[_Source], dict[str, int]]:
    """Frames of every readable object, and for each series how many objects could not be read."""
    sources: list[_Source] = []
    unread: dict[str, int] = defaultdict(int)
    for instance in instances:
        try:
            header = read_header(instance, TAGS)
            sources += [_Source(f, acquired(header, f.number), header) for f in frames_of(instance, header)]
        except Unusable:
            unread[instance.series_instance_uid] += 1
    return sources, unread


def _belonging(source: _Source) -> _Key:
    frame, how = source.frame, source.acquired
    direction = tuple(np.round(frame.orientation, 2) + 0.0)
    return (str(source.header.get("SeriesInstanceUID") or ""), direction, frame.pixels.rows, frame.pixels.columns,
            how.image_type, None if how.echo_time is None else round(how.echo_time, 1),
            None if how.b_value is None else round(how.b_value, 4), how.direction, how.timepoint)


def _volumes(group: list[_Source], unread: dict[str, int]) -> list[MrVolume]:
    """One volume for each repeat of the places; none where there is no stack."""
    made = []
    for number, repeat in enumerate(_repeats(group), start=1):
        volume = _volume(repeat, number, unread)
        if volume is not None:
            made.append(volume)
    return made


def _repeats(group: list[_Source]) -> list[list[_Source]]:
    """Frames at one place belong to different repeats, in the order of their acquisition numbers and UIDs."""
    try:
        normal = normal_of(group[0].frame.orientation)
    except Unusable:
        return []
    places: dict[int, list[_Source]] = defaultdict(list)
    for source in group:
        places[round(float(source.frame.position @ normal) / _SAME_PLACE)].append(source)
    repeats: dict[int, list[_Source]] = defaultdict(list)
    for there in places.values():
        ranked = sorted(there, key=lambda s: (s.frame.acquisition, s.frame.sop_instance_uid, s.frame.number))
        for number, source in enumerate(ranked):
            repeats[number].append(source)
    return [repeats[number] for number in sorted(repeats)]


def _volume(sources: Sequence[_Source], repeat: int, unread: dict[str, int]) -> MrVolume | None:
    kept, problems = dominant_stack([source.frame for source in sources])
    kept, _ = in_order(kept)
    if len(kept) < 2:
        return None
    try:
        values = read_values(kept, padding=0.0)
    except Unusable:
        return None
    positions, between = spacing_between(kept)
    first = next(s for s in sources if s.frame is kept[0])
    how = _acquisition(first, repeat)
    lost = unread.get(how.series_instance_uid, 0)
    if lost:
        text = f"{lost} of the series' objects could not be read and are left out"
        problems = [Problem("unreadable-slices", text), *problems]
    return MrVolume(
        values=values, spacing=(between, *kept[0].spacing), positions=positions,
        slices=tuple((f.sop_instance_uid, f.number) for f in kept),
        origin=(float(kept[0].position[0]), float(kept[0].position[1]), float(kept[0].position[2])),
        orientation=tuple(float(c) for c in kept[0].orientation), acquisition=how,
        problems=(*problems, *geometry_problems(kept)))


def _acquisition(source: _Source, repeat: int) -> MrAcquisition:
    how, header = source.acquired, source.header
    said = {keyword: str(header.get(keyword) or "") for keyword in (
        "SeriesInstanceUID", "FrameOfReferenceUID", "SeriesDescription", "ProtocolName", "BodyPartExamined",
        "Manufacturer")}
    return MrAcquisition(
        series_instance_uid=said["SeriesInstanceUID"], frame_of_reference_uid=said["FrameOfReferenceUID"],
        image_type=how.image_type, names=how.names, contrast=how.contrast,
        description=f"{said['SeriesDescription']} {said['ProtocolName']}".strip(), body_part=said["BodyPartExamined"],
        manufacturer=said["Manufacturer"], repetition_time=how.repetition_time, echo_time=how.echo_time,
        inversion_time=how.inversion_time, b_value=how.b_value, direction=how.direction,
        timepoint=max(how.timepoint, repeat))


def _order(volume: MrVolume) -> _Key:
    how = volume.acquisition
    return (how.series_instance_uid, how.b_value or 0.0, how.direction or (), how.echo_time or 0.0, how.timepoint,
            volume.slices[0])
