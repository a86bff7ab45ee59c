"""What infarction leaves in a beat, measured lead by lead: Q, R, S, ST and T, and how R grows from V1 to V4. Pure.

Measured on the median beat from the level before the QRS, as `pipelines.ecg.delineation` does the intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from gateway.pipeline import Floats
from pipelines.ecg.beats import AFTER, BEFORE, RATE, Beats, Signal
from pipelines.ecg.delineation import qrs_of
from pipelines.ecg.leads import LEADS

NAMES: tuple[str, ...] = ("q_ms", "q_mv", "q_share", "r_mv", "r_ms", "s_mv", "at_20_ms", "at_40_ms", "qrs_area", "j_mv",
                          "st_60_mv", "t_highest", "t_lowest", "t_area")
"""Of each lead. Milliseconds, mV and mV·s; `q_share`: Q against Q and R together, 1 in a QS complex."""
FEATURES: tuple[str, ...] = tuple(f"{lead} {name}" for lead in LEADS for name in NAMES)
SHAPE_STEP = 5
"""A beat is given to the network at 100 Hz."""
SHAPE_BEFORE, SHAPE_AFTER = 25, 250
"""Samples at 500 Hz around the beginning of the QRS: 50 ms before, half a second after."""
SHAPE = (SHAPE_BEFORE + SHAPE_AFTER) // SHAPE_STEP
_ROUND = 0.03
"""mV: less is the line itself."""
_MS = 1000 / RATE


@dataclass(frozen=True, slots=True)
class Signs:
    """`each` (12, len(NAMES)), `shape` (12, SHAPE) mV: the median beat from 50 ms before the QRS, at 100 Hz."""

    each: NDArray[np.float64]
    shape: Floats

    def of(self, lead: str, name: str) -> float:
        return float(self.each[LEADS.index(lead), NAMES.index(name)])


def signs_of(beats: Beats) -> Signs:
    """Of the beat that stands for the recording, rows as `LEADS`."""
    begins, ends = qrs_of(beats.median)
    beat = beats.median - beats.median[:, max(begins - 8, 0):begins + 1].mean(axis=1, keepdims=True)
    each = np.array([_lead(row, begins, ends) for row in beat])
    return Signs(each, _shape(beat, begins))


def _lead(row: Signal, begins: int, ends: int) -> list[float]:
    qrs = row[begins:ends]
    q, wide = _q_wave(qrs)
    top = int(np.argmax(qrs))
    r, s = max(float(qrs[top]), 0.0), max(-float(qrs[top:].min()), 0.0)
    j, st = (float(row[at - 3:at + 4].mean()) for at in (ends + 3, _inside(ends + _samples(60))))
    t_wave = row[min(ends + _samples(80), len(row) - 50):min(begins + _samples(480), len(row))]
    return [wide * _MS, q, q / max(q + r, _ROUND), r, float((qrs > _ROUND).sum()) * _MS, s,
            float(row[begins + _samples(20)]), float(row[begins + _samples(40)]), float(qrs.sum() / RATE), j, st,
            float(t_wave.max()), float(t_wave.min()), float(t_wave.sum() / RATE)]


def _q_wave(qrs: Signal) -> tuple[float, int]:
    """Depth and samples of what goes down before anything goes up; a QS complex is all of it."""
    upward = np.flatnonzero(qrs > _ROUND)
    first = qrs[:upward[0]] if upward.size else qrs
    below = first < -_ROUND
    return (-float(first.min()), int(below.sum())) if below.any() else (0.0, 0)


def _shape(beat: Signal, begins: int) -> Floats:
    smooth = gaussian_filter1d(beat, 2, axis=-1)
    at = np.clip(begins - SHAPE_BEFORE + SHAPE_STEP * np.arange(SHAPE), 0, BEFORE + AFTER - 1)
    return np.asarray(smooth[:, at], np.float32)


def _samples(milliseconds: float) -> int:
    return round(milliseconds / _MS)


def _inside(at: int) -> int:
    return min(at, BEFORE + AFTER - 5)
