"""Which series of a study is read: the thinnest axial reconstruction of the chest, and why not the others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.pipeline import Selection
from gateway.result import Problem
from gateway.study import Instance, Series, Study, Tags

LEAST_SLICES = 16
SOP_CLASSES = frozenset({
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",
})
"""CT, Enhanced CT and Legacy Converted Enhanced CT Image Storage."""

NO_CT = Problem("no-ct", "The study holds no CT images.")
_REASONS = {
    "too-few-slices": f"No axial series has {LEAST_SLICES} slices or more.",
    "not-axial": "No series is axial.",
    "wrong-body-part": "No series is of the chest (BodyPartExamined).",
    "derived-only": "Only derived or secondary images (reformats, projections, captures), no original axial series.",
    "localizer-only": "Only localizers or scouts, no axial series.",
}
"""Why a series is not read; the reason named first came closest."""
_LOCALIZER = re.compile(r"LOCALI[SZ]ER|SCOUT|TOPOGRAM|SURVIEW|SCANOGRAM", re.IGNORECASE)
_DERIVED = re.compile(r"DERIVED|SECONDARY|\bM(IN)?IP\b|PROJECTION|MAXIMUM|MINIMUM|\bMPR\b|REFORMATTED|SCREEN.?SAVE",
                      re.IGNORECASE)
_PROJECTED = re.compile(r"\bM(IN)?IP\b|\bVRT\b|\bMPR\b", re.IGNORECASE)
"""In SeriesDescription."""
_CHEST = re.compile(r"CHEST|THORA|LUNG|PULM|TRUNK|TORSO|WHOLE.?BODY|\bCAP\b", re.IGNORECASE)
_SHARP_NAME = re.compile(r"LUNG|BONE|EDGE|SHARP|DETAIL|^(L|D|E|YC|YD)$|^FC(3\d|5\d|8\d)", re.IGNORECASE)
_SHARP_NUMBER = re.compile(r"^[BIHUQJ][A-Za-z]?(\d\d)")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An axial chest series. `thickness`: mm, the larger of slice thickness and distance between slices."""

    series: Series
    instances: tuple[Instance, ...]
    slices: int
    thickness: float
    kernel: str

    @property
    def coverage(self) -> float:
        return self.slices * self.thickness

    @property
    def rank(self) -> tuple[float, bool, int, str]:
        """Thin before thick, smooth before sharp, long before short; the UID so that the choice is always the same."""
        return round(self.thickness, 2), sharp(self.kernel), -self.slices, self.series.series_instance_uid


def select(study: Study) -> Selection:
    """The thinnest axial original series; with `problems` and the largest CT series where none fits. Never raises."""
    found = [_judge(series) for series in study.series]
    candidates = [item for item in found if isinstance(item, Candidate)]
    if not candidates:
        return _nothing(study, [item for item in found if isinstance(item, str)])
    longest = max(candidate.coverage for candidate in candidates)
    best = min((c for c in candidates if c.coverage >= 0.7 * longest), key=lambda candidate: candidate.rank)
    kernel = f", kernel {best.kernel}" if best.kernel else ""
    note = f"thinnest axial of {len(candidates)}: {best.thickness:g} mm, {best.slices} slices{kernel}"
    return Selection(best.instances, (), note, {"series_instance_uid": best.series.series_instance_uid,
                                                "thickness": best.thickness, "slices": best.slices})


def _nothing(study: Study, reasons: list[str]) -> Selection:
    told = [reason for reason in _REASONS if reason in reasons]
    if not told:
        return Selection((), (NO_CT,), "no CT images")
    largest = max((_ct_images(series) for series in study.series), key=len)
    problems = tuple(Problem(reason, _REASONS[reason]) for reason in told)
    return Selection(largest, problems, f"no series fits: {', '.join(told)}")


def _judge(series: Series) -> Candidate | str:
    """A candidate, or the reason why not (empty: no CT images at all)."""
    images = _ct_images(series)
    if not images:
        return ""
    originals, reason = _originals(images)
    if not originals:
        return reason
    if not any(_of_chest(image.tags) for image in originals):
        return "wrong-body-part"
    axial = tuple(image for image in originals if _axial(image.tags))
    if not axial:
        return "not-axial"
    slices = sum(_frames(image.tags) for image in axial)
    if slices < LEAST_SLICES:
        return "too-few-slices"
    return Candidate(series, axial, slices, _thickness(axial), _text(axial[0].tags, "ConvolutionKernel"))


def _ct_images(series: Series) -> tuple[Instance, ...]:
    return tuple(i for i in series.instances if i.sop_class_uid in SOP_CLASSES)


def _originals(images: tuple[Instance, ...]) -> tuple[list[Instance], str]:
    """Images that are no localizers and not derived from others; and why there are none."""
    no_scouts = [i for i in images if not _LOCALIZER.search(_text(i.tags, "ImageType", "SeriesDescription"))]
    if not no_scouts:
        return [], "localizer-only"
    return [i for i in no_scouts if not _DERIVED.search(_text(i.tags, "ImageType"))
            and not _PROJECTED.search(_text(i.tags, "SeriesDescription"))], "derived-only"


def _text(tags: Tags, *keywords: str) -> str:
    """The values of some keywords as one text; lists joined by spaces."""
    values: list[str] = []
    for keyword in keywords:
        value = tags.get(keyword)
        parts = value if isinstance(value, list | tuple) else [value]
        values += [str(part) for part in parts if part is not None]
    return " ".join(values).replace("\\", " ").strip()


def _numbers(tags: Tags, keyword: str, count: int) -> list[float] | None:
    """That many finite numbers, None where the tag does not hold them."""
    value: Any = tags.get(keyword)
    parts: Iterable[Any] = value if isinstance(value, list | tuple) else str(value).split("\\")
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and bool(np.isfinite(numbers).all()) else None


def _frames(tags: Tags) -> int:
    found = _numbers(tags, "NumberOfFrames", 1)
    return max(1, int(found[0])) if found else 1


def _of_chest(tags: Tags) -> bool:
    part = _text(tags, "BodyPartExamined")
    return not part or bool(_CHEST.search(part))


def _axial(tags: Tags) -> bool:
    """Also where the orientation is not told at the top level (enhanced CT): the volume is looked at later."""
    axes = _numbers(tags, "ImageOrientationPatient", 6)
    if axes is None:
        return True
    return abs(float(np.cross(axes[:3], axes[3:])[2])) > 0.9


def _thickness(images: tuple[Instance, ...]) -> float:
    """mm; infinite where nothing tells."""
    told = [_numbers(images[0].tags, keyword, 1) for keyword in ("SliceThickness", "SpacingBetweenSlices")]
    places = [_numbers(image.tags, "ImagePositionPatient", 3) for image in images]
    heights = np.unique(np.round([place[2] for place in places if place], 2))
    step = float(np.median(np.diff(heights))) if heights.size > 1 else 0.0
    thickness = max([abs(number[0]) for number in told[:1] if number] + [step])
    if not thickness and told[1]:
        thickness = abs(told[1][0])
    return thickness or 1e3


def sharp(kernel: str) -> bool:
    """True for reconstruction kernels meant for bone or lung detail (vendor names and numbers)."""
    number = _SHARP_NUMBER.match(kernel)
    return bool(_SHARP_NAME.search(kernel)) or (number is not None and int(number.group(1)) >= 50)
