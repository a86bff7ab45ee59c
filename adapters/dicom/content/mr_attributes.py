"""How an MR frame was acquired: standard attributes first, then the vendors' own for what older objects lack."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from adapters.dicom.content.volume_frames import value_of

_Vector = tuple[float, float, float]
_WEIGHTED = 50.0
"""s/mm²: below, the gradient is too weak for its direction to matter, and some scanners write one all the same."""
_SIEMENS_B, _SIEMENS_DIRECTION, _SIEMENS_DIRECTIONALITY = 0x0019100C, 0x0019100E, 0x0019100D
_GE_B, _GE_X = 0x00431039, (0x001910BB, 0x001910BC, 0x001910BD)
_PHILIPS_B, _PHILIPS_DIRECTION, _PHILIPS_XYZ = 0x20011003, 0x20011004, (0x200510B0, 0x200510B1, 0x200510B2)
_CREATORS = {_SIEMENS_B: "SIEMENS MR HEADER", _GE_B: "GEMS_PARM_01", _PHILIPS_B: "Philips Imaging DD 001"}
_GE_OFFSET = 1_000_000_000
"""GE adds multiples of this to b-values."""
_PRIVATE = (_SIEMENS_B, _SIEMENS_DIRECTION, _SIEMENS_DIRECTIONALITY, _GE_B, *_GE_X, _PHILIPS_B, _PHILIPS_DIRECTION,
            *_PHILIPS_XYZ, 0x00190010, 0x00430010, 0x20010010, 0x20050010)
TAGS: tuple[str | int, ...] = (
    "SeriesInstanceUID", "SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName", "ScanningSequence",
    "SequenceVariant", "BodyPartExamined", "Manufacturer", "RepetitionTime", "EchoTime", "InversionTime",
    "EchoNumbers", "DiffusionBValue", "DiffusionGradientOrientation", "AcquisitionContrast", "ComplexImageComponent",
    "FrameOfReferenceUID", "TemporalPositionIdentifier", "Units", *_PRIVATE)
"""What is read of the header besides geometry."""


@dataclass(frozen=True, slots=True)
class Acquired:
    """One frame's acquisition, see `gateway.mr.MrAcquisition`."""

    image_type: tuple[str, ...]
    names: str
    contrast: str
    repetition_time: float | None
    echo_time: float | None
    inversion_time: float | None
    b_value: float | None
    direction: _Vector | None
    timepoint: int


def acquired(header: Dataset, frame: int) -> Acquired:
    """`frame`: 1-based. What cannot be read counts as not told."""
    groups = _groups(header, frame)
    diffusion = _items(groups, "MRDiffusionSequence")
    b_value = _first(_b_values(header, diffusion))
    kind = _text(_of(groups, "MRImageFrameTypeSequence", "FrameType") or header.get("ImageType"))
    names = _text(*(header.get(k) for k in ("SequenceName", "PulseSequenceName", "ScanningSequence",
                                            "SequenceVariant")))
    return Acquired(
        image_type=tuple(kind.upper().split()), names=names,
        contrast=_text(_of(groups, "MRImageFrameTypeSequence", "AcquisitionContrast")
                       or header.get("AcquisitionContrast")).upper(),
        repetition_time=_number(value_of(header, groups, "MRTimingAndRelatedParametersSequence", "RepetitionTime")),
        echo_time=_number(_of(groups, "MREchoSequence", "EffectiveEchoTime") or header.get("EchoTime")),
        inversion_time=_number(_inversion(header, groups)), b_value=b_value,
        direction=_direction(header, diffusion) if (b_value or 0) >= _WEIGHTED else None,
        timepoint=int(_number(_of(groups, "FrameContentSequence", "TemporalPositionIndex")
                              or header.get("TemporalPositionIdentifier")) or 1))


def _groups(header: Dataset, frame: int) -> list[Dataset]:
    """The frame's own functional groups before the shared ones."""
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    return [*per_frame[frame - 1:frame], *list(header.get("SharedFunctionalGroupsSequence") or [])[:1]]


def _items(groups: Sequence[Dataset], sequence: str) -> Dataset | None:
    for group in groups:
        if found := group.get(sequence):
            item: Dataset = found[0]
            return item
    return None


def _of(groups: Sequence[Dataset], sequence: str, keyword: str) -> Any:
    found = _items(groups, sequence)
    return found.get(keyword) if found is not None else None


def _inversion(header: Dataset, groups: Sequence[Dataset]) -> Any:
    """InversionTimes holds several; the first counts."""
    times = _of(groups, "MRModifierSequence", "InversionTimes")
    return _first_value(times) if times is not None else header.get("InversionTime")


def _b_values(header: Dataset, diffusion: Dataset | None) -> Iterator[float | None]:
    """From the standard's own attribute to what each vendor writes."""
    if diffusion is not None:
        yield _number(diffusion.get("DiffusionBValue"))
    yield _number(header.get("DiffusionBValue"))
    yield _private(header, _SIEMENS_B)
    ge = _private(header, _GE_B)
    yield None if ge is None else ge % _GE_OFFSET
    yield _private(header, _PHILIPS_B)


def _private(header: Dataset, tag: int) -> float | None:
    """The first value of a private element, only where its block is the vendor's (or says nothing)."""
    creator = str(header[tag >> 16 << 16 | 0x10].value) if (tag >> 16 << 16 | 0x10) in header else ""
    if tag not in header or (creator and _CREATORS[tag].casefold() not in creator.casefold()):
        return None
    return _number(_first_value(_decoded(header[tag].value)))


def _decoded(value: Any) -> Any:
    """Implicit transfer syntaxes leave private values as bytes."""
    if isinstance(value, bytes):
        return value.decode("ascii", "replace").strip("\0 ").split("\\")
    return value


def _direction(header: Dataset, diffusion: Dataset | None) -> _Vector | None:
    """None for images that hold no single direction (trace, isotropic) or do not tell."""
    if diffusion is not None:
        if str(diffusion.get("DiffusionDirectionality") or "").upper() in ("ISOTROPIC", "NONE"):
            return None
        inner = diffusion.get("DiffusionGradientDirectionSequence")
        return _vector(inner[0].get("DiffusionGradientOrientation") if inner else None)
    if _said(header, _PHILIPS_DIRECTION) == "I" or _said(header, _SIEMENS_DIRECTIONALITY) in ("ISOTROPIC", "TRACEW"):
        return None
    candidates: tuple[Callable[[], Any], ...] = (
        lambda: header.get("DiffusionGradientOrientation"),
        lambda: header[_SIEMENS_DIRECTION].value if _SIEMENS_DIRECTION in header else None,
        lambda: [header[t].value for t in _PHILIPS_XYZ] if all(t in header for t in _PHILIPS_XYZ) else None,
        lambda: [_first_value(header[t].value) for t in _GE_X] if all(t in header for t in _GE_X) else None)
    return next((found for found in map(_vector, (candidate() for candidate in candidates)) if found), None)


def _said(header: Dataset, tag: int) -> str:
    return _text(_decoded(header[tag].value)).upper() if tag in header else ""


def _vector(value: Any) -> _Vector | None:
    """A direction other than zero, rounded so that equal ones compare equal."""
    try:
        x, y, z = (float(part) for part in value)
    except (TypeError, ValueError):
        return None
    if not all(map(math.isfinite, (x, y, z))) or math.hypot(x, y, z) < 0.1:
        return None
    return round(x, 3), round(y, 3), round(z, 3)


def _first(found: Iterator[Any]) -> Any:
    return next((value for value in found if value is not None), None)


def _first_value(value: Any) -> Any:
    if isinstance(value, str | bytes | int | float) or value is None:
        return value
    parts = list(value)
    return parts[0] if parts else None


def _number(value: Any) -> float | None:
    try:
        number = float(_first_value(value))
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _text(*values: Any) -> str:
    """Values, lists among them, as one text; whatever else separates words is a space."""
    parts: list[str] = []
    for value in values:
        several = value if not isinstance(value, str) and hasattr(value, "__iter__") else [value]
        parts += [str(part) for part in several if part not in (None, "")]
    return " ".join(parts).replace("\\", " ").strip()
