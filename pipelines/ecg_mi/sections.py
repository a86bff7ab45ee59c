"""A recording as both networks read it: ten seconds at a time at 500 Hz, the beat that stands for them, and its signs.

Recordings of other lengths are read in as many sections as they need; in a short one only windows that lie in what was
recorded count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.pipeline import Floats
from pipelines.ecg.beats import Beats, find_beats, fine
from pipelines.ecg.delineation import delineate_beats
from pipelines.ecg.features import TWELVE_LEAD, rhythm_features, wave_features
from pipelines.ecg.leads import LEADS
from pipelines.ecg.preprocess import RATE as COARSE_RATE
from pipelines.ecg.preprocess import starts
from pipelines.ecg_mi.signs import FEATURES as SIGNS
from pipelines.ecg_mi.signs import SHAPE, signs_of

RATE = 500
"""Hz."""
SECTION = 10 * RATE
"""Samples of one section."""
FEATURES: tuple[str, ...] = (*TWELVE_LEAD, *SIGNS)
_FINER = round(RATE / COARSE_RATE)


@dataclass(frozen=True, slots=True)
class Windows:
    """How a network cuts a section: windows of `length` samples, one every `step`."""

    length: int
    step: int

    @property
    def count(self) -> int:
        return (SECTION - self.length) // self.step + 1

    def weights(self, first: int, stop: int) -> Floats:
        """float32 (count,), 1 together: of those windows that lie between these samples of the section; of the one in
        the middle where none does."""
        begin = self.step * np.arange(self.count)
        inside = (begin >= first) & (begin + self.length <= stop)
        if not inside.any():
            inside[np.argmin(np.abs(begin + self.length / 2 - (first + stop) / 2))] = True
        return np.asarray(inside / inside.sum(), np.float32)


INFARCTION = Windows(800, 100)
SITE = Windows(700, 50)


@dataclass(frozen=True, slots=True)
class Sections:
    """`ecg` float32 (sections, 12, 5000) mV, 0.5-45 Hz; `beat` (sections, 12, SHAPE) mV; `features` (sections,
    len(FEATURES)), NaN where nothing could be told. `spans`: what of each was recorded, first sample and the one after
    the last. `starts`, `samples`: as in `pipelines.ecg.inputs.Inputs`, at 100 Hz.
    """

    ecg: Floats
    beat: Floats
    features: Floats
    spans: tuple[tuple[int, int], ...]
    starts: tuple[int, ...]
    samples: int

    def given(self, windows: Windows) -> dict[str, Floats]:
        """What a network with these windows takes."""
        weights = np.stack([windows.weights(*span) for span in self.spans])
        return {"ecg": self.ecg, "beat": self.beat, "features": self.features, "weights": weights}


def sections_of(signal: Floats, rate: float, beats: Beats | None = None) -> Sections:
    """(12, samples) mV without NaN at `rate` Hz, rows as `LEADS`. `beats`: of the whole recording, where they are
    there."""
    ready = fine(signal, rate).astype(np.float32)
    samples = int(np.ceil(ready.shape[1] / _FINER))
    begin = starts(samples)
    cut = [_section(ready, start * _FINER) for start in begin]
    if len(begin) == 1:
        measured = [measured_in(find_beats(signal, rate) if beats is None else beats)]
    else:
        measured = [measured_in(find_beats(_part(signal, rate, start), rate)) for start in begin]
    return Sections(np.stack([wave for wave, _ in cut]), np.stack([shape for shape, _ in measured]),
                    np.stack([features for _, features in measured]), tuple(span for _, span in cut), tuple(begin),
                    samples)


def measured_in(beats: Beats | None) -> tuple[Floats, Floats]:
    """The beat (12, SHAPE), and features; zeros and NaN without one."""
    if beats is None:
        return np.zeros((len(LEADS), SHAPE), np.float32), np.full(len(FEATURES), np.nan, np.float32)
    signs = signs_of(beats)
    waves = np.array(wave_features(delineate_beats(beats)))
    told = np.concatenate([rhythm_features(beats), waves, signs.each.ravel()])
    return signs.shape, told.astype(np.float32)


def _section(ready: Floats, start: int) -> tuple[Floats, tuple[int, int]]:
    """Ten seconds from sample `start`, which may lie before the recording, and what of them was recorded."""
    placed = np.zeros((len(ready), SECTION), np.float32)
    first = max(-start, 0)
    known = ready[:, max(start, 0):start + SECTION]
    placed[:, first:first + known.shape[1]] = known
    return placed, (first, first + known.shape[1])


def _part(signal: Floats, rate: float, start: int) -> Floats:
    first = start / COARSE_RATE
    return signal[:, round(first * rate):round((first + SECTION / RATE) * rate)]
