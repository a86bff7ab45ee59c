"""The beat that stands for a recording: the median of those that look alike."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
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
_BAND = butter(2, (0.5, 45.0), "bandpass", fs=RATE, output="sos")
_NEAR = 40
_QRS = slice(BEFORE - 60, BEFORE + 80)
_SHIFTS = range(-16, 17, 2)
ALIKE = 0.8
"""Correlation of QRS complexes over all leads."""
Signal = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Beats:
    """`median`: mV (leads, BEFORE + AFTER) at 500 Hz. `single`: the beats it is made of (beats, leads, samples).

    `times`: seconds of all beats in turn, also those that look otherwise. `likeness`: correlation of each QRS with the
    median one, NaN where the beat does not lie whole in the recording. `alike`: share of beats in the median.
    """

    median: Signal
    single: Signal
    times: NDArray[np.float64]
    likeness: NDArray[np.float64]
    alike: float

    @property
    def intervals(self) -> NDArray[np.float64]:
        """Seconds between the beats."""
        return np.diff(self.times)


def find_beats(signal: Floats, rate: float) -> Beats | None:
    """(leads, samples) mV without NaN → its beats; None with fewer than three that lie whole in the recording."""
    ready = fine(signal, rate)
    peaks = _peaks(ready, signal, rate)
    whole = [peak for peak in peaks if peak >= BEFORE and peak + AFTER <= ready.shape[1]]
    if len(peaks) < 3 or len(whole) < 2:
        return None
    template = np.median(_cut(ready, whole), axis=0)
    for _ in range(2):
        placed, likeness = _aligned(ready, whole, template)
        chosen = _dominant(placed, likeness, ready.shape[1])
        template = np.median(_cut(ready, chosen), axis=0)
    told = np.full(len(peaks), np.nan)
    told[np.isin(peaks, whole)] = likeness
    return Beats(template, _cut(ready, chosen), peaks / RATE, told, len(chosen) / len(whole))


def fine(signal: Floats, rate: float) -> Signal:
    """0.5-45 Hz without phase shift, at 500 Hz."""
    at_rate = signal.astype(np.float64)
    if rate != RATE:
        ratio = Fraction(RATE / rate).limit_denominator(1000)
        at_rate = resample_poly(at_rate, ratio.numerator, ratio.denominator, axis=-1, padtype="line")
    return np.asarray(sosfiltfilt(_BAND, at_rate, axis=-1))


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
    energy = float((wanted**2).sum())
    placed, likeness = [], []
    for peak in peaks:
        start = peak - BEFORE + _QRS.start
        near = fine[:, start + _SHIFTS[0]:start + _SHIFTS[-1] + wanted.shape[1]]
        tried = sliding_window_view(near, wanted.shape[1], axis=1)[:, ::_SHIFTS.step]
        size = np.sqrt(np.einsum("lsw,lsw->s", tried, tried) * energy)
        alike = np.einsum("lsw,lw->s", tried, wanted) / np.maximum(size, 1e-9)
        best = int(np.argmax(alike))
        placed.append(peak + _SHIFTS[best])
        likeness.append(float(alike[best]))
    return placed, np.array(likeness)


def _dominant(placed: list[int], likeness: NDArray[np.float64], samples: int) -> list[int]:
    """The beats that look like the template; all of them where hardly any does."""
    inside = [peak >= BEFORE and peak + AFTER <= samples for peak in placed]
    enough = max(ALIKE, float(np.median(likeness)) - 0.1)
    alike = [peak for peak, like, whole in zip(placed, likeness, inside, strict=True) if whole and like >= enough]
    return alike if len(alike) >= 2 else [peak for peak, whole in zip(placed, inside, strict=True) if whole]
