"""The beat that stands for a recording: the median of those that look alike."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, resample_poly, sosfiltfilt

from gateway.pipeline import Floats
from pipelines.ecg.preprocess import RATE as COARSE_RATE
from pipelines.ecg.preprocess import band_pass, resample
from pipelines.ecg.rhythm import r_peaks

RATE = 500.0
"""Hz at which waves are measured."""
BEFORE, AFTER = 225, 325
"""Samples of a beat before and after its steepest moment: 450 and 650 ms."""
_NEAR = 40
_QRS = slice(BEFORE - 60, BEFORE + 80)
_SHIFTS = range(-16, 17, 2)
_ALIKE = 0.8
"""Correlation of QRS complexes over all leads."""
Signal = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Beats:
    """`median`: mV (leads, BEFORE + AFTER) at 500 Hz. `single`: the beats it is made of (beats, leads, samples).

    `intervals`: seconds between all beats in turn, also those that look otherwise. `alike`: share of beats that go
    into the median.
    """

    median: Signal
    single: Signal
    intervals: NDArray[np.float64]
    alike: float


def find_beats(signal: Floats, rate: float) -> Beats | None:
    """(leads, samples) mV without NaN → its beats; None with fewer than three that lie whole in the recording."""
    fine = _fine(signal, rate)
    peaks = _peaks(fine, signal, rate)
    whole = [peak for peak in peaks if peak >= BEFORE and peak + AFTER <= fine.shape[1]]
    if len(peaks) < 3 or len(whole) < 2:
        return None
    template = np.median(_cut(fine, whole), axis=0)
    for _ in range(2):
        placed, likeness = _aligned(fine, whole, template)
        chosen = _dominant(placed, likeness, fine.shape[1])
        template = np.median(_cut(fine, chosen), axis=0)
    return Beats(template, _cut(fine, chosen), np.diff(peaks) / RATE, len(chosen) / len(whole))


def _fine(signal: Floats, rate: float) -> Signal:
    """0.5-45 Hz without phase shift, at 500 Hz."""
    at_rate = signal.astype(np.float64)
    if rate != RATE:
        ratio = Fraction(RATE / rate).limit_denominator(1000)
        at_rate = resample_poly(at_rate, ratio.numerator, ratio.denominator, axis=-1, padtype="line")
    return np.asarray(sosfiltfilt(butter(2, (0.5, 45.0), "bandpass", fs=RATE, output="sos"), at_rate, axis=-1))


def velocity(signal: Signal) -> Signal:
    """How fast the heart vector moves: mV/s over all leads together."""
    steep = gaussian_filter1d(np.gradient(signal, axis=-1) * RATE, 2, axis=-1)
    return np.asarray(np.sqrt((steep**2).sum(axis=0)))


def _peaks(fine: Signal, signal: Floats, rate: float) -> NDArray[np.intp]:
    """The steepest moment of each QRS complex."""
    coarse = r_peaks(band_pass(resample(signal, rate))) * round(RATE / COARSE_RATE)
    speed = velocity(fine)
    found = [max(peak - _NEAR, 0) + int(np.argmax(speed[max(peak - _NEAR, 0):peak + _NEAR]))
             for peak in coarse if peak < len(speed)]
    return np.unique(np.array(found, dtype=np.intp))


def _cut(fine: Signal, at: list[int]) -> Signal:
    return np.stack([fine[:, peak - BEFORE:peak + AFTER] for peak in at])


def _aligned(fine: Signal, peaks: list[int], template: Signal) -> tuple[list[int], NDArray[np.float64]]:
    """Each beat moved to where its QRS fits the template best, and how well it does there."""
    wanted = template[:, _QRS]
    placed, likeness = [], []
    for peak in peaks:
        tried = [(_likeness(fine, peak + shift, wanted), peak + shift) for shift in _SHIFTS]
        best, where = max(tried)
        placed.append(where)
        likeness.append(best)
    return placed, np.array(likeness)


def _likeness(fine: Signal, peak: int, wanted: Signal) -> float:
    start = peak - BEFORE + _QRS.start
    part = fine[:, max(start, 0):start + wanted.shape[1]]
    if part.shape != wanted.shape:
        return -1.0
    size = float(np.sqrt((part**2).sum() * (wanted**2).sum()))
    return float((part * wanted).sum()) / max(size, 1e-9)


def _dominant(placed: list[int], likeness: NDArray[np.float64], samples: int) -> list[int]:
    """The beats that look like the template; all of them where hardly any does."""
    inside = [peak >= BEFORE and peak + AFTER <= samples for peak in placed]
    enough = max(_ALIKE, float(np.median(likeness)) - 0.1)
    alike = [peak for peak, like, whole in zip(placed, likeness, inside, strict=True) if whole and like >= enough]
    return alike if len(alike) >= 2 else [peak for peak, whole in zip(placed, inside, strict=True) if whole]
