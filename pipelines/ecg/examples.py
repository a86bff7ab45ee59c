"""Records as a network learns from them: as recorded and as other devices would have recorded them. Training only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.pipeline import Floats
from pipelines.ecg.augment import augmented
from pipelines.ecg.devices import foreign
from pipelines.ecg.preprocess import WINDOW, fill_gaps, resample
from pipelines.ecg.ptbxl import Row
from pipelines.ecg.tables import Labelled
from pipelines.validation.progress import Progress, track

VARIANTS = 3
"""Of each record: as it is, and as two other devices would have it."""
_AS_IT_IS = 0.4
_NOISE, _FORGOTTEN = 0.15, 0.05
"""Of the measurements: in units of their spread, and the share that is left out."""

Measure = Callable[[Floats, float], Floats]
"""(leads, samples) mV without NaN at its rate → measurements."""
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Examples:
    """`waves` float16 (variants, records, leads, 1000), mV at 100 Hz before the band-pass; `features` float32
    (variants, records, features); `truth` float32 (records, outputs), NaN where nobody said; `fold` (records,)."""

    waves: NDArray[np.float16]
    features: Floats
    truth: Floats
    fold: Indices

    def of(self, chosen: Indices) -> Examples:
        return Examples(self.waves[:, chosen], self.features[:, chosen], self.truth[chosen], self.fold[chosen])

    @property
    def digest(self) -> str:
        """Tells these records from others."""
        told = hashlib.sha256(self.features.tobytes())
        told.update(self.truth.tobytes())
        return told.hexdigest()[:16]


def examples(held: Labelled, truth: Floats, take: Callable[[Floats, tuple[str, ...]], Floats], measure: Measure,
             progress: Progress, seed: int = 0) -> Examples:
    """Open every record; `take` makes of signal and leads what the network reads. About 80 ms each."""
    waves: list[NDArray[np.float16]] = []
    features: list[Floats] = []
    for row in track(progress, held.rows, len(held.rows), "reading records"):
        ecg = held.open(row)
        wave, measured = _variants(fill_gaps(take(ecg.signal, ecg.leads)), ecg.rate, measure, _seed(row, seed))
        waves.append(wave)
        features.append(measured)
    return Examples(np.stack(waves, axis=1), np.stack(features, axis=1), truth,
                    np.array([row.fold for row in held.rows], dtype=np.intp))


def _seed(row: Row, seed: int) -> tuple[int, int]:
    """A record's own, so that it is changed in the same way among whatever other records it stands."""
    return seed, int.from_bytes(hashlib.sha256(row.record.encode()).digest()[:4], "big")


def _variants(signal: Floats, rate: float, measure: Measure,
              seed: tuple[int, int]) -> tuple[NDArray[np.float16], Floats]:
    waves, features = [], []
    for variant in range(VARIANTS):
        changed, at = (signal, rate) if not variant else foreign(signal, rate, np.random.default_rng((*seed, variant)))
        features.append(measure(changed, at))
        waves.append(in_window(resample(changed, at)))
    return np.stack(waves), np.stack(features)


def in_window(signal: Floats) -> NDArray[np.float16]:
    """(leads, samples) at 100 Hz → (leads, 1000): in the middle, zeros around a shorter one."""
    placed = np.zeros((len(signal), WINDOW), np.float16)
    known = np.clip(signal[:, :WINDOW], -60_000, 60_000)
    before = (WINDOW - known.shape[1]) // 2
    placed[:, before:before + known.shape[1]] = known
    return placed


@dataclass(frozen=True, slots=True)
class Changes:
    """Shares of the records in a batch: `drop`, a lead or two gone flat; `invert`, upside down."""

    drop: float = 0.1
    invert: float = 0.0


def batch(held: Examples, chosen: Indices, changes: Changes,
          random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Signals (band-passed), measurements and truth of these records, changed at random."""
    variant = np.where(random.random(len(chosen)) < _AS_IT_IS, 0, random.integers(1, VARIANTS, len(chosen)))
    waves = augmented(held.waves[variant, chosen].astype(np.float32), random, drop=changes.drop,
                      invert=changes.invert)
    features = held.features[variant, chosen]
    spread = np.nanstd(held.features[0], axis=0)
    changed = features + _NOISE * spread * random.standard_normal(features.shape)
    changed[random.random(features.shape) < _FORGOTTEN] = np.nan
    return waves, changed.astype(np.float32), held.truth[chosen]
