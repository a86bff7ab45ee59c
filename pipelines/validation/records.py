"""What a reader hands over: each record with what is true of it, what was said of it, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.result import ModelRelease

Numbers = NDArray[np.float64]
AGE_BANDS = (18, 40, 65, 80)
"""Years at which a new age group begins."""


@dataclass(frozen=True, slots=True)
class Record:
    """One scored record.

    `group`: the patient or subject; resampled together. `truth`: label → 1.0 or 0.0; what nobody said is absent.
    `probability`: label → [0, 1]; absent where the pipeline refused to score it. `verdict`: normal, pathology or
    undetermined, `reasons` the codes of the problems where it is undetermined. `attributes`: what it is grouped by,
    already in groups (see `attributes`). `measures`: other figures of it by name (`dice`, `volume_ml`...).
    """

    name: str
    group: str
    truth: Mapping[str, float]
    probability: Mapping[str, float]
    verdict: str = ""
    reasons: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scored:
    """All records of a validation. `labels`: in the order of the report; `thresholds`: label → from where on present.

    `apart`: labels that are no finding of their own and stay out of the macro figures, by the key of the report under
    which they stand (`{"normal": "NORM"}`); a label named in both keeps its row among the labels too. `further`: what
    else the report tells (top-level keys of the JSON). `models`: what ran.
    """

    pipeline: str
    labels: tuple[str, ...]
    records: Sequence[Record]
    thresholds: Mapping[str, float]
    models: tuple[ModelRelease, ...] = ()
    apart: Mapping[str, str] = field(default_factory=dict)
    further: Mapping[str, Any] = field(default_factory=dict)

    def column(self, label: str) -> tuple[Numbers, Numbers]:
        """Truth and probability (records,) of a label; NaN where there is none."""
        nothing = float("nan")
        truth = np.array([record.truth.get(label, nothing) for record in self.records], np.float64)
        given = np.array([record.probability.get(label, nothing) for record in self.records], np.float64)
        return truth, given


def attributes(*, age: float | None = None, sex: str = "", device: str = "", site: str = "",
               **further: str) -> dict[str, str]:
    """Groups of a record: age in bands, the rest as told; what is not known is left out."""
    told = {"age": "" if age is None or np.isnan(age) else age_band(age), "sex": sex.strip().upper()[:1],
            "device": device.strip(), "site": site.strip(), **further}
    return {name: value for name, value in told.items() if value}


def age_band(years: float) -> str:
    """`under 18`, `18-39` ... `80 and over`."""
    lower = [band for band in AGE_BANDS if years >= band]
    upper = [band for band in AGE_BANDS if years < band]
    if not lower:
        return f"under {AGE_BANDS[0]}"
    return f"{lower[-1]}-{upper[0] - 1}" if upper else f"{lower[-1]} and over"
