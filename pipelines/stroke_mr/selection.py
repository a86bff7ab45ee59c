"""Which series of a study are read: axial FLAIR, diffusion and ADC of the head, by what they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.pipeline import Selection
from gateway.result import Problem
from gateway.study import Instance, Series, Study, Tags
from pipelines.stroke_mr.contrast import Contrast, contrast_of, of_tags

SOP_CLASSES = frozenset({
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.4.4",
})
"""MR, Enhanced MR and Legacy Converted Enhanced MR Image Storage."""
LEAST_SLICES = 8
WANTED = frozenset({Contrast.FLAIR, Contrast.DWI, Contrast.ADC, Contrast.B0, Contrast.UNTOLD})
NO_MR = Problem("no-mr", "The study holds no MR images.")
_REASONS = {
    "wrong-contrast": "Neither FLAIR nor diffusion images, only other contrasts (T1, T2 and the like).",
    "too-few-slices": f"No FLAIR or diffusion series has {LEAST_SLICES} slices or more.",
    "not-axial": "No FLAIR or diffusion series is axial.",
    "wrong-body-part": "No series is of the head (BodyPartExamined).",
    "localizer-only": "Only localizers, no diagnostic series.",
}
"""Why nothing is read; the reason named first came closest."""
_LOCALIZER = re.compile(r"LOCALI[SZ]ER|SCOUT|SURVEY", re.IGNORECASE)
_HEAD = re.compile(r"BRAIN|HEAD|SKULL|NEURO|CEREB|CRAN|WHOLE.?BODY", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Candidate:
    series: Series
    contrast: Contrast
    instances: tuple[Instance, ...]
    places: int


def select(study: Study) -> Selection:
    """The FLAIR series with most slices, and all that may be diffusion or ADC; problems where there is none of either.
    Never raises."""
    found = [_judge(series) for series in study.series]
    candidates = [item for item in found if isinstance(item, _Candidate)]
    if not any(c.contrast is not Contrast.ADC for c in candidates):
        return _nothing(study, ["wrong-contrast" if isinstance(item, _Candidate) else item for item in found])
    flair = sorted((c for c in candidates if c.contrast is Contrast.FLAIR), key=_rank)[:1]
    others = [c for c in candidates if c.contrast is not Contrast.FLAIR]
    chosen = [*flair, *others]
    note = ", ".join(f"{c.contrast.value}: {c.places} places" for c in chosen)
    return Selection(tuple(i for c in chosen for i in c.instances), (), note,
                     {c.series.series_instance_uid: c.contrast.value for c in chosen})


def _rank(candidate: _Candidate) -> tuple[bool, int, str]:
    """Between 15 and 80 slices before more (thin 3-D), then more before fewer."""
    usual = 15 <= candidate.places <= 80
    return not usual, -candidate.places, candidate.series.series_instance_uid


def _nothing(study: Study, reasons: list[str]) -> Selection:
    told = [reason for reason in _REASONS if reason in reasons]
    if not told:
        return Selection((), (NO_MR,), "no MR images")
    largest = max((_mr_images(series) for series in study.series), key=len)
    return Selection(largest, tuple(Problem(reason, _REASONS[reason]) for reason in told[:1]),
                     f"no series fits: {', '.join(told)}")


def _judge(series: Series) -> _Candidate | str:
    """A candidate, or the reason why not (empty: no MR images at all)."""
    images = _mr_images(series)
    if not images:
        return ""
    images = tuple(i for i in images if not _LOCALIZER.search(_words(i.tags, "ImageType", "SeriesDescription")))
    if not images:
        return "localizer-only"
    if not any(_of_head(image.tags) for image in images):
        return "wrong-body-part"
    contrasts = [contrast_of(of_tags(image.tags)) for image in images]
    leading = _leading(contrasts)
    wanted = tuple(i for i, contrast in zip(images, contrasts, strict=True)
                   if contrast in WANTED or leading is Contrast.DWI)
    if not wanted:
        return "wrong-contrast"
    axial = tuple(image for image in wanted if _axial(image.tags))
    if not axial:
        return "not-axial"
    places = _places(axial)
    if places < LEAST_SLICES:
        return "too-few-slices"
    return _Candidate(series, leading, axial, places)


def _leading(contrasts: list[Contrast]) -> Contrast:
    """What the series is there for: a diffusion series holds b = 0 as well."""
    for contrast in (Contrast.FLAIR, Contrast.DWI, Contrast.ADC, Contrast.B0):
        if contrast in contrasts:
            return contrast
    return Contrast.UNTOLD


def _mr_images(series: Series) -> tuple[Instance, ...]:
    return tuple(i for i in series.instances if i.sop_class_uid in SOP_CLASSES)


def _of_head(tags: Tags) -> bool:
    part = _words(tags, "BodyPartExamined")
    return not part or bool(_HEAD.search(part))


def _axial(tags: Tags) -> bool:
    """Also where the orientation is not told at the top level (enhanced objects): the volume is looked at later."""
    axes = _numbers(tags.get("ImageOrientationPatient"))
    return len(axes) != 6 or abs(float(np.cross(axes[:3], axes[3:])[2])) > 0.7


def _places(images: tuple[Instance, ...]) -> int:
    """Different slice positions; frames where objects hold several."""
    frames = sum(int((_numbers(i.tags.get("NumberOfFrames")) or [1])[0]) for i in images)
    if frames > len(images):
        return frames
    told = {tuple(np.round(_numbers(i.tags.get("ImagePositionPatient")), 1)) for i in images}
    return len(told)


def _words(tags: Tags, *keywords: str) -> str:
    parts: list[str] = []
    for keyword in keywords:
        value = tags.get(keyword)
        parts += [str(part) for part in (value if isinstance(value, list | tuple) else [value]) if part is not None]
    return " ".join(parts)


def _numbers(value: Any) -> list[float]:
    """Finite numbers of a multi-valued tag; none where it cannot be read."""
    parts = value if isinstance(value, list | tuple) else [] if value is None else str(value).split("\\")
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        return []
    return numbers if np.isfinite(numbers).all() else []
