"""A study's images as stacks that can be scrolled: what belongs together, in which order, which way up. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.study import Instance


@dataclass(frozen=True, slots=True)
class Slice:
    """One frame of a stack. `position`: mm along the stack's normal, None where the object does not say."""

    instance: Instance
    frame: int
    position: float | None

    @property
    def key(self) -> tuple[str, int]:
        return self.instance.sop_instance_uid, self.frame


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames of one size and orientation, foot to head where they lie in space, else in the order of their numbers.

    `spacing`: mm between rows and between columns; `window`: (centre, width) that the object asks for; `inverted`:
    small values are bright (MONOCHROME1); `sides`: where the left, right, top and bottom edge lie in the patient (R, L,
    A, P, H, F), none without orientation; `read`: the shown result was made of it.
    """

    modality: str
    description: str
    rows: int
    columns: int
    slices: tuple[Slice, ...]
    spacing: tuple[float, float] | None
    window: tuple[float, float] | None
    sides: tuple[str, ...]
    inverted: bool
    colour: bool
    read: bool


def is_image(instance: Instance) -> bool:
    tags = instance.tags
    return bool(tags.get("Rows") and tags.get("Columns") and tags.get("PhotometricInterpretation"))


def stacks_of(instances: Sequence[Instance], read: frozenset[str]) -> tuple[Stack, ...]:
    """The stacks that can be scrolled: those that were read first, then by series number and size."""
    grouped: dict[tuple[Any, ...], list[Instance]] = {}
    for instance in filter(is_image, instances):
        grouped.setdefault(_belonging(instance), []).append(instance)
    stacks = [_stack(group, read) for group in grouped.values()]
    number = {id(stack): _number(stack.slices[0].instance.tags.get("SeriesNumber")) for stack in stacks}
    return tuple(sorted(stacks, key=lambda stack: (not stack.read, number[id(stack)], -len(stack.slices))))


def _belonging(instance: Instance) -> tuple[Any, ...]:
    """What slices of one stack have in common: the series, the size, and the orientation to about a degree."""
    tags = instance.tags
    orientation = tuple(round(cosine, 1) + 0.0 for cosine in _numbers(tags.get("ImageOrientationPatient"), 6) or ())
    return instance.series_instance_uid, tags["Rows"], tags["Columns"], orientation


def _stack(group: Sequence[Instance], read: frozenset[str]) -> Stack:
    tags = group[0].tags
    interpretation = str(tags.get("PhotometricInterpretation"))
    spacing = _numbers(tags.get("PixelSpacing") or tags.get("ImagerPixelSpacing"), 2)
    return Stack(
        modality=str(tags.get("Modality") or ""), description=str(tags.get("SeriesDescription") or ""),
        rows=int(tags["Rows"]), columns=int(tags["Columns"]), slices=tuple(sorted(_slices(group), key=_place)),
        spacing=(spacing[0], spacing[1]) if spacing and min(spacing) > 0 else None, window=_window(tags),
        sides=_sides(_numbers(tags.get("ImageOrientationPatient"), 6)),
        inverted=interpretation == "MONOCHROME1", colour=not interpretation.startswith("MONOCHROME"),
        read=any(i.sop_instance_uid in read for i in group))


def _slices(group: Sequence[Instance]) -> Iterator[Slice]:
    for instance in group:
        for frame in range(1, max(1, _number(instance.tags.get("NumberOfFrames"))) + 1):
            yield Slice(instance, frame, _position(instance))


def _place(one: Slice) -> tuple[Any, ...]:
    number = _number(one.instance.tags.get("InstanceNumber"))
    placed = one.position is not None
    return not placed, one.position if placed else number, number, one.instance.sop_instance_uid, one.frame


def _position(instance: Instance) -> float | None:
    """ImagePositionPatient on the normal of ImageOrientationPatient (PS3.3 C.7.6.2.1.1)."""
    where = _numbers(instance.tags.get("ImagePositionPatient"), 3)
    axes = _numbers(instance.tags.get("ImageOrientationPatient"), 6)
    if where is None or axes is None:
        return None
    return round(float(np.cross(axes[:3], axes[3:]) @ np.asarray(where)), 3)


def _sides(axes: Sequence[float] | None) -> tuple[str, ...]:
    """Left, right, top, bottom (PS3.3 C.7.6.1.1.1): x grows to the patient's left, y to the back, z to the head."""
    if axes is None:
        return ()
    right, bottom = _towards(axes[:3]), _towards(axes[3:])
    opposite = dict(zip("LRPAHF", "RLAPFH", strict=True))
    return opposite[right], right, opposite[bottom], bottom


def _towards(vector: Sequence[float]) -> str:
    axis = int(np.argmax(np.abs(vector)))
    return ("LPH" if vector[axis] > 0 else "RAF")[axis]


def _window(tags: Mapping[str, Any]) -> tuple[float, float] | None:
    """The first of WindowCenter and WindowWidth (PS3.3 C.11.2.1.2)."""
    first = [value[0] if isinstance(value, list) and value else value
             for value in (tags.get("WindowCenter"), tags.get("WindowWidth"))]
    told = _numbers(first, 2)
    return (told[0], told[1]) if told and told[1] > 0 else None


def _numbers(value: Any, count: int) -> list[float] | None:
    """None where these are not that many finite numbers."""
    try:
        told = [float(one) for one in value]
    except (TypeError, ValueError):
        return None
    return told if len(told) == count and all(map(np.isfinite, told)) else None


def _number(value: Any) -> int:
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0
