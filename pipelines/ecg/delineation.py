"""Where the waves of a beat begin and end, and what follows from it: intervals, axes. Pure.

Measured on the median of the beats that look alike, over all leads together: the global intervals of IEC 60601-2-51,
from the first beginning to the last end in any lead. What cannot be told is None, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from gateway.pipeline import Floats
from pipelines.ecg.beats import AFTER, BEFORE, RATE, Beats, Signal, find_beats, velocity
from pipelines.ecg.leads import LEADS

_I, _AVF = LEADS.index("I"), LEADS.index("aVF")
_MS = 1000 / RATE
_STEEP, _PAUSE = 0.06, 6
"""A QRS ends where the velocity stays under this share of its peak for so many samples."""
_SEVERAL_PEAKS, _REACH = 0.15, 14
P_STEADY, P_SIZE = 0.6, 0.02
"""A P wave is told when it recurs from beat to beat (correlation) and is so large (mV over the leads)."""
_FEWEST = 3
_SHORTEST_SECONDS = 3
_LONGEST_QRS = 240
"""ms: what goes on for longer is not one complex."""


@dataclass(frozen=True, slots=True)
class Delineation:
    """Intervals in ms, axes in degrees (frontal plane, -180 to 180), rate in beats a minute.

    `quality` in [0, 1]: the share of beats that look alike. `p_steady`, `p_size`, `p_at`: correlation from beat to
    beat, size (mV) and distance to the QRS (ms) of what comes before it, be it a P wave or not.
    """

    heart_rate: float
    qrs: float | None
    qrs_axis: float | None
    pr: float | None
    p_axis: float | None
    qt: float | None
    t_axis: float | None
    quality: float
    p_steady: float
    p_size: float
    p_at: float

    @property
    def qtc_bazett(self) -> float | None:
        return None if self.qt is None else self.qt / float(np.sqrt(60 / self.heart_rate))

    @property
    def qtc_fridericia(self) -> float | None:
        return None if self.qt is None else self.qt / float(np.cbrt(60 / self.heart_rate))


def delineate(signal: Floats, rate: float) -> Delineation | None:
    """(12, samples) mV without NaN, rows as `LEADS`. None where there are not enough whole beats to measure."""
    beats = find_beats(signal, rate) if signal.shape[1] >= _SHORTEST_SECONDS * rate else None
    if beats is None:
        return None
    begins, ends = _qrs(beats.median)
    level = beats.median[:, max(begins - 8, 0):begins].mean(axis=1, keepdims=True)
    beat = beats.median - level
    mean_interval = float(np.mean(beats.intervals))
    before = _before_qrs(beats, beat, begins)
    t_end = _t_end(beat, begins, ends, float(np.median(beats.intervals)))
    shown = before.steady >= P_STEADY and before.size >= P_SIZE and len(beats.single) >= _FEWEST
    if (ends - begins) * _MS > _LONGEST_QRS:
        return Delineation(60 / mean_interval, None, None, None, None, None, None, beats.alike, before.steady,
                           before.size, before.peak_before * _MS)
    return Delineation(
        60 / mean_interval, (ends - begins) * _MS, _axis(beat[:, begins:ends]),
        before.begins_before * _MS if shown else None, before.axis if shown else None,
        None if t_end is None else (t_end - begins) * _MS,
        None if t_end is None else _axis(beat[:, ends + _ms(40):round(t_end)]),
        beats.alike, before.steady, before.size, before.peak_before * _MS)


def _ms(milliseconds: float) -> int:
    return round(milliseconds / _MS)


def _axis(part: Signal) -> float:
    """From the areas in I and aVF, the latter's lead being shorter by 2/√3."""
    return float(np.degrees(np.arctan2(part[_AVF].sum() * 2 / np.sqrt(3), part[_I].sum())))


# ---------------------------------------------------------------- QRS


def _qrs(median: Signal) -> tuple[int, int]:
    """First and last sample of the QRS complex."""
    speed = gaussian_filter1d(velocity(median), 1.5)
    near = slice(BEFORE - 50, BEFORE + 60)
    top = near.start + int(np.argmax(speed[near]))
    rest = float(np.percentile(speed, 15))
    low, high = (rest + share * (speed[top] - rest) for share in (_STEEP, _SEVERAL_PEAKS))
    begins = _edge(speed, top, -1, low, _ms(130))
    ends = _edge(speed, top, 1, low, _ms(160))
    for _ in range(3):  # a notched complex pauses, and goes on
        earlier, later = speed[max(begins - _REACH, 0):begins], speed[ends:ends + _REACH]
        if len(earlier) and earlier.max() > high:
            begins = _edge(speed, begins - len(earlier) + int(np.argmax(earlier)), -1, low, _ms(60))
        if len(later) and later.max() > high:
            ends = _edge(speed, ends + int(np.argmax(later)), 1, low, _ms(60))
    return begins, ends


def _edge(speed: Signal, start: int, step: int, low: float, farthest: int) -> int:
    """Where it first stays slow, going from `start` by `step`."""
    slow = 0
    at = start
    while 0 < at < len(speed) - 1 and abs(at - start) < farthest:
        slow = slow + 1 if speed[at] < low else 0
        if slow >= _PAUSE:
            return at - step * (_PAUSE - 1)
        at += step
    return at


# ---------------------------------------------------------------- P


@dataclass(frozen=True, slots=True)
class _Before:
    """What comes before the QRS: `begins_before` and `peak_before` in samples to its beginning."""

    begins_before: float
    peak_before: float
    size: float
    steady: float
    axis: float


def _before_qrs(beats: Beats, beat: Signal, begins: int) -> _Before:
    start, stop = _p_window(beats, begins), begins - _ms(12)
    part = beat[:, start:stop]
    bump = gaussian_filter1d(part - _line(part), 4, axis=-1)
    size = np.sqrt((bump**2).mean(axis=0))
    peak = _p_peak(bump, size, begins - start)
    rise = bump[:, peak] / (np.linalg.norm(bump[:, peak]) + 1e-9) @ gaussian_filter1d(part, 4, axis=-1)
    onset = _p_onset(rise, peak)
    span = bump[:, max(0, round(onset)):peak + _ms(100)]
    return _Before(begins - start - onset, begins - start - peak, float(size[peak]),
                   _steadiness(beats.single[:, :, start:stop], part), _axis(span))


def _p_window(beats: Beats, begins: int) -> int:
    """Where to begin to look: not in the T wave of the beat before, as far as the rate allows to tell."""
    interval = float(np.median(beats.intervals))
    t_wave = min(0.40 * float(np.sqrt(interval)), 0.6 * interval)
    return max(0, begins - round(min(0.36, max(interval - t_wave, 0.16)) * RATE))


def _line(part: Signal) -> Signal:
    """The straight line between both ends."""
    along = np.linspace(0, 1, part.shape[1])
    return np.asarray(part[:, :6].mean(axis=1, keepdims=True) * (1 - along)
                      + part[:, -6:].mean(axis=1, keepdims=True) * along)


def _p_peak(bump: Signal, size: Signal, to_qrs: int) -> int:
    """The bump most like a P wave: large, pointing down and left, not too far from the QRS."""
    found, _ = find_peaks(size, prominence=0.15 * float(size.max()))
    candidates: list[int] = [int(at) for at in found] or [int(np.argmax(size))]
    likeness = [float(size[at]) * _p_like(bump[:, at], (to_qrs - at) * _MS) for at in candidates]
    return candidates[likeness.index(max(likeness))]


def _p_like(vector: Signal, milliseconds: float) -> float:
    angle = np.degrees(np.arctan2(vector[_AVF] * 2 / np.sqrt(3), vector[_I]))
    pointing = 1.0 if -40 < angle < 110 else 0.35
    near = 0.5 if milliseconds < 40 else float(np.exp(-max(0.0, milliseconds - 150) ** 2 / (2 * 110.0**2)))
    return pointing * near


def _p_onset(rise: Signal, peak: int) -> float:
    """Where the tangent at the steepest rise before the peak meets the level before."""
    earliest = max(0, peak - _ms(110))
    if peak - earliest <= 4:
        return float(earliest)
    slope = np.gradient(rise)
    steepest = earliest + int(np.argmax(slope[earliest:peak]))
    if slope[steepest] <= 1e-6:
        return float(earliest)
    foot = float(np.median(rise[max(0, earliest - 10):earliest + 10]))
    return max(float(steepest - (rise[steepest] - foot) / slope[steepest]), earliest - 10.0, 0.0)


def _steadiness(single: Signal, part: Signal) -> float:
    """How alike it is from beat to beat: the median of the correlations over all leads."""
    wanted = part - part.mean(axis=1, keepdims=True)
    each = single - single.mean(axis=2, keepdims=True)
    size = np.sqrt((each**2).sum(axis=(1, 2)) * (wanted**2).sum())
    return float(np.median((each * wanted).sum(axis=(1, 2)) / np.maximum(size, 1e-9)))


# ---------------------------------------------------------------- T


def _t_end(beat: Signal, begins: int, ends: int, interval: float) -> float | None:
    """Where the tangent at the steepest fall after the top of the T wave meets the level after it."""
    start = ends + _ms(40)
    stop = min(BEFORE + AFTER, begins + round(min(0.62, 0.8 * interval) * RATE))
    if stop - start <= _ms(80):
        return None
    wave = gaussian_filter1d(beat[:, start:stop], 6, axis=-1)
    size = np.sqrt(((wave - wave[:, -10:].mean(axis=1, keepdims=True)) ** 2).mean(axis=0))
    top = int(np.argmax(size))
    if top >= len(size) - 10:
        return None
    slope = np.gradient(gaussian_filter1d(size, 4))
    fall = top + int(np.argmin(slope[top:]))
    if slope[fall] > -1e-7:
        return None
    return start + min(float(fall - (size[fall] - size[-10:].min()) / slope[fall]), float(len(size)))
