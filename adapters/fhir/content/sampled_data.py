"""SampledData (R4 2.24.0.9) → samples in millivolt."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.refusals import InvalidValue, MissingElement

_MILLIVOLTS = {"mV": 1.0, "uV": 1e-3, "µV": 1e-3, "μV": 1e-3, "V": 1e3, "nV": 1e-6}
_SAMPLES = re.compile(r"[0-9+\-.eEUL ]+")
_LARGEST = 1000.0
"""mV; electrodes give a few, their offset some hundred: more is a wrong unit or factor."""


def millivolts(sampled: Json, path: str) -> NDArray[np.float64]:
    """`data` × `factor` + `origin`, one row; NaN for `E` (error); `L` and `U` stand at the detection limits.

    Raises Unusable: another dimension than one, no voltage unit, no data, a sample that is no number, a limit missing.
    """
    if sampled.get("dimensions") != 1:
        raise InvalidValue(f"{path}.dimensions is not 1: each lead is a component of its own.",
                           element=f"{path}.dimensions")
    scale = _scale(sampled["origin"], f"{path}.origin")
    codes = _samples(sampled, f"{path}.data")
    factor, origin = _number(sampled, "factor", 1.0, path), _number(sampled["origin"], "value", 0.0, f"{path}.origin")
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below as out of any ECG's range
        values = _limited(codes * factor + origin, sampled, path) * scale
    finite = np.abs(values[~np.isnan(values)])
    if finite.size and not finite.max() <= _LARGEST:
        raise InvalidValue(f"{path} reaches more than {_LARGEST:.0f} mV: its unit or factor is wrong.", element=path)
    return values


def period_ms(sampled: Json, path: str) -> float:
    """Milliseconds between samples. Raises Unusable unless it is above zero."""
    period = _number(sampled, "period", 0.0, path)
    if not period > 0:
        raise InvalidValue(f"{path}.period is not above zero (milliseconds between samples).",
                           element=f"{path}.period")
    return period


def _number(element: Json, name: str, default: float, path: str) -> float:
    try:
        value = float(element.get(name, default))
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise InvalidValue(f"{path}.{name} is no number.", element=f"{path}.{name}")
    return value


def _scale(origin: Json, path: str) -> float:
    unit = str(origin.get("code") or origin.get("unit") or "")
    if not unit:
        raise MissingElement(f"{path}.unit is required: the samples have no unit.", element=f"{path}.unit")
    if unit not in _MILLIVOLTS:
        raise InvalidValue(f"{path}.unit is no voltage (mV, uV, V, nV).", element=f"{path}.unit")
    return _MILLIVOLTS[unit]


_MARKS = {"E": "nan", "U": "inf", "L": "-inf"}


def _samples(sampled: Json, path: str) -> NDArray[np.float64]:
    """Raw samples; NaN for E, ∓infinity for L and U."""
    text = str(sampled.get("data", "")).strip()
    if not text:
        raise MissingElement(f"{path} is required: the lead has no samples.", element=path)
    points: list[Any] = text.split()
    try:
        if not _SAMPLES.fullmatch(" ".join(points)):
            raise ValueError
        values = np.array([_MARKS.get(point, point) for point in points], dtype=str).astype(np.float64)
    except ValueError:
        raise InvalidValue(f"{path} holds something else than decimals, E, L and U.", element=path) from None
    marked = sum(point in ("U", "L") for point in points)
    if int(np.isinf(values).sum()) != marked:
        raise InvalidValue(f"{path} holds a number out of range.", element=path)
    return values


def _limited(values: NDArray[np.float64], sampled: Json, path: str) -> NDArray[np.float64]:
    """L and U replaced by `lowerLimit` and `upperLimit`, which are values of the measured points (factor applied)."""
    for infinite, name in ((np.isneginf(values), "lowerLimit"), (np.isposinf(values), "upperLimit")):
        if infinite.any():
            if name not in sampled:
                raise MissingElement(f"{path}.{name} is required where samples are below or above it.",
                                     element=f"{path}.{name}")
            values = np.where(infinite, _number(sampled, name, 0.0, path), values)
    return values
