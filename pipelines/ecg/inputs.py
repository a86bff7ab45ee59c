"""A recording as the networks read it: windows of ten seconds, and what is measured in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gateway.pipeline import Floats
from pipelines.ecg.preprocess import RATE, WINDOW, band_pass, resample, starts, windows

Measure = Callable[[Floats, float], Floats]
"""(leads, samples) mV without NaN at its rate → measurements (features,)."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """`waves` float32 (windows, leads, 1000), `features` float32 (windows, features); `starts`: the sample at 100 Hz
    where each window begins, before the recording where that is shorter; `samples`: how long it is at 100 Hz."""

    waves: Floats
    features: Floats
    starts: tuple[int, ...]
    samples: int


def inputs_of(signal: Floats, rate: float, measure: Measure, prepared: Floats | None = None,
              measured: Floats | None = None) -> Inputs:
    """(leads, samples) mV without NaN at `rate` Hz. `prepared`: the same at 100 Hz, band-passed, and `measured`: what
    `measure` says of the whole, where they are there."""
    ready = band_pass(resample(signal, rate)) if prepared is None else prepared
    begin = starts(ready.shape[1])
    if len(begin) == 1:
        features = [measure(signal, rate) if measured is None else measured]
    else:
        features = [measure(_part(signal, rate, start), rate) for start in begin]
    return Inputs(windows(ready), np.stack(features), tuple(begin), ready.shape[1])


def _part(signal: Floats, rate: float, start: int) -> Floats:
    return signal[:, round(start / RATE * rate):round((start + WINDOW) / RATE * rate)]
