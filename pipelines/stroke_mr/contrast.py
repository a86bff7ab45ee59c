"""What an MR image is, by how it was acquired: inversion, repetition and echo times, b-value, image type, sequence
names. The free series description counts only beside parameters that fit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.mr import MrAcquisition
from gateway.study import Tags

LEAST_B = 800.0
"""s/mm²: from here on diffusion weighting shows acute ischaemia."""
MOST_B0 = 60.0


class Contrast(StrEnum):
    FLAIR = "FLAIR"
    DWI = "DWI"
    ADC = "ADC"
    B0 = "b0"
    T1 = "T1"
    T2 = "T2"
    T2_STAR = "T2*"
    OTHER = "other"
    UNTOLD = "untold"
    """Nothing is said that decides: only the objects' own frames may tell (enhanced objects)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Upper case texts; times in ms. `names`: sequence names; `description`: free text."""

    image_type: frozenset[str]
    names: str
    contrast: str
    description: str
    repetition_time: float | None
    echo_time: float | None
    inversion_time: float | None
    b_value: float | None


_B_IN_NAME = re.compile(r"\bEP_?B\s?#?(\d{1,4})|\bB(\d{3,4})T?\b")
_ADC = frozenset({"ADC", "ADC_UNSPECIFIED", "APPARENT_DIFFUSION_COEFFICIENT", "ADC_MAP"})
_MAPS = frozenset({"FA", "EXP", "EADC", "EXPONENTIAL", "FRACTIONAL_ANISOTROPY", "PERFUSION", "CBF", "CBV", "MTT", "TTP",
                   "SWI", "MINIP", "MIP", "PHASE", "P", "T2_MAP", "T1_MAP"})
_BY_CONTRAST = {"FLUID_ATTENUATED": Contrast.FLAIR, "T1": Contrast.T1, "T2": Contrast.T2, "T2_STAR": Contrast.T2_STAR,
                "PROTON_DENSITY": Contrast.T2, "STIR": Contrast.OTHER, "PERFUSION": Contrast.OTHER,
                "TIME_OF_FLIGHT": Contrast.OTHER, "PHASE_CONTRAST": Contrast.OTHER}


def of_tags(tags: Tags) -> Facts:
    """From the tags that are read of every received object."""
    return Facts(frozenset(_text(tags.get("ImageType")).split()),
                 " ".join(_text(tags.get(k)) for k in ("SequenceName", "ScanningSequence", "SequenceVariant")),
                 _text(tags.get("AcquisitionContrast")),
                 " ".join(_text(tags.get(k)) for k in ("SeriesDescription", "ProtocolName")),
                 *(_number(tags.get(k)) for k in ("RepetitionTime", "EchoTime", "InversionTime", "DiffusionBValue")))


def of_acquisition(how: MrAcquisition) -> Facts:
    """From a loaded volume."""
    return Facts(frozenset(how.image_type), how.names.upper(), how.contrast, how.description.upper(),
                 how.repetition_time, how.echo_time, how.inversion_time, how.b_value)


def contrast_of(facts: Facts) -> Contrast:
    """The one contrast that the facts speak for; the first that decides counts."""
    if _is_adc(facts):
        return Contrast.ADC
    if facts.image_type & _MAPS:
        return Contrast.OTHER
    b_value = facts.b_value if facts.b_value is not None else _named_b(facts)
    if b_value is not None and (b_value > MOST_B0 or _echo_planar(facts) or facts.contrast == "DIFFUSION"):
        return Contrast.B0 if b_value <= MOST_B0 else Contrast.DWI if b_value >= LEAST_B else Contrast.OTHER
    if facts.contrast in _BY_CONTRAST:
        return _BY_CONTRAST[facts.contrast]
    if facts.contrast == "DIFFUSION" or facts.image_type & {"DIFFUSION", "TRACEW", "DWI"}:
        return Contrast.UNTOLD
    return _by_times(facts)


def _is_adc(facts: Facts) -> bool:
    """GE tells by the description alone that a derived echo-planar image is the ADC."""
    if facts.image_type & _ADC:
        return not facts.image_type & {"EADC"}
    told = bool(re.search(r"\bE?ADC\b|APPARENT DIFF", facts.description))
    return told and "DERIVED" in facts.image_type and not re.search(r"\bEADC\b|EXP", facts.description)


def _named_b(facts: Facts) -> float | None:
    """Siemens writes it into the sequence name: *ep_b1000t."""
    found = _B_IN_NAME.search(facts.names)
    return float(found.group(1) or found.group(2)) if found else None


def _echo_planar(facts: Facts) -> bool:
    return bool(re.search(r"\bEP\b|\bEP_|EPI|DWI|DIFF", facts.names))


def _by_times(facts: Facts) -> Contrast:
    """Classic objects. An inversion time of 1.6-3.2 s with a long echo nulls fluid (1.5 and 3 tesla); where none is
    told the name counts beside a repetition time longer than that of a T2."""
    repetition, echo, inversion = facts.repetition_time, facts.echo_time, facts.inversion_time
    if echo is None or repetition is None:
        return Contrast.UNTOLD
    if inversion and 1600 <= inversion <= 3200 and repetition >= 4000 and echo >= 60:
        return Contrast.FLAIR
    if not inversion and "FLAIR" in f"{facts.description} {facts.names}" and repetition >= 6500 and echo >= 60:
        return Contrast.FLAIR
    if _echo_planar(facts):
        return Contrast.UNTOLD
    if re.search(r"\bGR\b", facts.names) and echo >= 12:
        return Contrast.T2_STAR
    if echo <= 35 and (repetition <= 3500 or (inversion or 0) > 200):
        return Contrast.T1
    return Contrast.OTHER if inversion else Contrast.T2 if echo >= 60 else Contrast.OTHER


def _text(value: Any) -> str:
    parts = value if isinstance(value, list | tuple) else [value]
    return " ".join(str(part) for part in parts if part is not None).replace("\\", " ").upper().strip()


def _number(value: Any) -> float | None:
    first = value[0] if isinstance(value, list | tuple) and value else value
    try:
        return float(first)
    except (TypeError, ValueError):
        return None
