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
SHORTEST_SECONDS = 3
LONGEST_QRS = 240
"""ms: what goes on for longer is not one complex."""


@dataclass(frozen=True, slots=True)
class BeforeQrs:
    """The bump before the QRS that is most like a P wave.

    `begins`, `peak`: ms before the beginning of the QRS. `size`: mV over the leads. `steady`: correlation from beat to
    beat. `axis`: degrees (None of a single lead). `likely`: mV, its size weighed by how far direction and place are
    those of a P wave.
    """

    begins: float
    peak: float
    size: float
    steady: float
    axis: float | None
    likely: float

    @property
    def is_p(self) -> bool:
        return self.steady >= P_STEADY and self.size >= P_SIZE


@dataclass(frozen=True, slots=True)
class Delineation:
    """Intervals in ms, axes in degrees (frontal plane, -180 to 180), rate in beats a minute.

    `quality` in [0, 1]: the share of beats that look alike. `before`: what precedes the QRS, be it a P wave or not.
    `t_at`: ms from the beginning of the QRS to the top of the T wave.
    """

    heart_rate: float
    qrs: float | None
    qrs_axis: float | None
    pr: float | None
    p_axis: float | None
    qt: float | None
    t_axis: float | None
    quality: float
    before: BeforeQrs
    t_at: float | None = None

    @property
    def qtc_bazett(self) -> float | None:
        return None if self.qt is None else self.qt / float(np.sqrt(60 / self.heart_rate))

    @property
    def qtc_fridericia(self) -> float | None:
        return None if self.qt is None else self.qt / float(np.cbrt(60 / self.heart_rate))


def delineate(signal: Floats, rate: float) -> Delineation | None:
    """(12, samples) mV without NaN, rows as `LEADS`, or (1, samples) of a single lead, which has no axes.

    None where there are not enough whole beats to measure.
    """
    beats = find_beats(signal, rate) if signal.shape[1] >= SHORTEST_SECONDS * rate else None
    return None if beats is None else delineate_beats(beats)


def delineate_beats(beats: Beats) -> Delineation:
    """The same from beats that are there already."""
    begins, ends = qrs_of(beats.median)
    level = beats.median[:, max(begins - 8, 0):begins].mean(axis=1, keepdims=True)
    beat = beats.median - level
    rate = 60 / float(np.mean(beats.intervals))
    before = _before_qrs(beats, beat, begins)
    if (ends - begins) * _MS > LONGEST_QRS:
        return Delineation(rate, None, None, None, None, None, None, beats.alike, before)
    t_wave = _t_wave(beat, begins, ends, float(np.median(beats.intervals)))
    shown = before.is_p and len(beats.single) >= _FEWEST
    return Delineation(
        rate, (ends - begins) * _MS, _axis(beat[:, begins:ends]),
        before.begins if shown else None, before.axis if shown else None,
        None if t_wave is None else (t_wave[1] - begins) * _MS,
        None if t_wave is None else _axis(beat[:, ends + _ms(40):round(t_wave[1])]),
        beats.alike, before, None if t_wave is None else (t_wave[0] - begins) * _MS)


def _ms(milliseconds: float) -> int:
    return round(milliseconds / _MS)


def _axis(part: Signal) -> float | None:
    """From the areas in I and aVF, the latter's lead being shorter by 2/√3; None of a single lead."""
    if len(part) < len(LEADS):
        return None
    return float(np.degrees(np.arctan2(part[_AVF].sum() * 2 / np.sqrt(3), part[_I].sum())))


# ---------------------------------------------------------------- QRS


def qrs_of(median: Signal) -> tuple[int, int]:
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


def _before_qrs(beats: Beats, beat: Signal, begins: int) -> BeforeQrs:
    start, stop = _p_window(beats, begins), begins - _ms(12)
    part = beat[:, start:stop]
    bump = gaussian_filter1d(part - _line(part), 4, axis=-1)
    size = np.sqrt((bump**2).mean(axis=0))
    peak, likely = _p_peak(bump, size, begins - start)
    rise = bump[:, peak] / (np.linalg.norm(bump[:, peak]) + 1e-9) @ gaussian_filter1d(part, 4, axis=-1)
    onset = _p_onset(rise, peak)
    span = bump[:, max(0, round(onset)):peak + _ms(100)]
    return BeforeQrs((begins - start - onset) * _MS, (begins - start - peak) * _MS, float(size[peak]),
                     _steadiness(beats.single[:, :, start:stop], part), _axis(span), likely)


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


def _p_peak(bump: Signal, size: Signal, to_qrs: int) -> tuple[int, float]:
    """The bump most like a P wave, large, pointing down and left, not too far from the QRS; and how like."""
    found, _ = find_peaks(size, prominence=0.15 * float(size.max()))
    candidates: list[int] = [int(at) for at in found] or [int(np.argmax(size))]
    likeness = [float(size[at]) * _p_like(bump[:, at], (to_qrs - at) * _MS) for at in candidates]
    return candidates[likeness.index(max(likeness))], max(likeness)


def _p_like(vector: Signal, milliseconds: float) -> float:
    usual = len(vector) < len(LEADS) or -40 < np.degrees(np.arctan2(vector[_AVF] * 2 / np.sqrt(3), vector[_I])) < 110
    pointing = 1.0 if usual else 0.35
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


def _t_wave(beat: Signal, begins: int, ends: int, interval: float) -> tuple[float, float] | None:
    """Top and end of the T wave: where the tangent at its steepest fall meets the level after it."""
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
    end = min(float(fall - (size[fall] - size[-10:].min()) / slope[fall]), float(len(size)))
    return start + float(top), start + end
