"""Records as both networks learn from them: as recorded and as other devices would have them. Training only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.pipeline import Floats
from pipelines.ecg.devices import foreign
from pipelines.ecg.examples import Indices
from pipelines.ecg.preprocess import fill_gaps, in_order
from pipelines.ecg.ptbxl import Row
from pipelines.ecg.tables import Labelled
from pipelines.ecg_mi.sections import RATE, SECTION, sections_of
from pipelines.validation.progress import Progress, track

VARIANTS = 3
"""Of each record: as it is, and as two other devices would have it."""
_AS_IT_IS = 0.4
_NOISE, _FORGOTTEN, _UNMEASURED = 0.2, 0.05, 0.03
"""Of the measurements: in units of their spread; the share that is left out; the share of records without any, as short
ones are."""
_DROP = 0.05


@dataclass(frozen=True, slots=True)
class Examples:
    """`waves` float16 (variants, records, 12, 5000), mV at 500 Hz, 0.5-45 Hz, zeros where nothing was recorded; `spans`
    (variants, records, 2): first sample recorded and the one after the last; `beats` float32 (variants, records, 12,
    SHAPE); `features` float32 (variants, records, features); `fold` (records,)."""

    waves: NDArray[np.float16]
    spans: Indices
    beats: Floats
    features: Floats
    fold: Indices

    def of(self, chosen: Indices) -> Examples:
        return Examples(self.waves[:, chosen], self.spans[:, chosen], self.beats[:, chosen], self.features[:, chosen],
                        self.fold[chosen])

    @property
    def digest(self) -> str:
        """Tells these records from others."""
        told = hashlib.sha256(self.features.tobytes())
        told.update(self.fold.tobytes())
        return told.hexdigest()[:16]


def examples(held: Labelled, progress: Progress, seed: int = 0) -> Examples:
    """Open every record, its first ten seconds. About 70 ms each."""
    count = len(held.rows)
    waves = np.zeros((VARIANTS, count, 12, SECTION), np.float16)
    spans = np.zeros((VARIANTS, count, 2), np.intp)
    beats, features = list[Floats](), list[Floats]()
    for number, row in enumerate(track(progress, held.rows, count, "reading records")):
        ecg = held.open(row)
        whole = fill_gaps(in_order(ecg.signal, ecg.leads)[0])[:, :round(10 * ecg.rate)]
        made = [sections_of(*_variant(whole, ecg.rate, row, variant, seed)) for variant in range(VARIANTS)]
        for variant, one in enumerate(made):
            waves[variant, number], spans[variant, number] = np.clip(one.ecg[0], -60, 60), one.spans[0]
        beats.append(np.stack([one.beat[0] for one in made]))
        features.append(np.stack([one.features[0] for one in made]))
    return Examples(waves, spans, np.stack(beats, axis=1), np.stack(features, axis=1),
                    np.array([row.fold for row in held.rows], dtype=np.intp))


def _variant(signal: Floats, rate: float, row: Row, variant: int, seed: int) -> tuple[Floats, float]:
    """A record is changed in the same way among whatever other records it stands."""
    if not variant:
        return signal, rate
    own = int.from_bytes(hashlib.sha256(row.record.encode()).digest()[:4], "big")
    return foreign(signal, rate, np.random.default_rng((seed, own, variant)))


def spread_of(held: Examples) -> Floats:
    """Of each measurement over the records."""
    return np.asarray(np.nanstd(held.features[0], axis=0), np.float32)


def batch(held: Examples, chosen: Indices, spread: Floats,
          random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Signals, beats and measurements of these records, changed at random."""
    count = len(chosen)
    variant, gain = _variants(count, random), _gain(count, random)
    dropped = np.where(random.random((count, 12, 1)) < _DROP * (random.random((count, 1, 1)) < 0.5), 0.0, 1.0)
    changed = (gain * dropped).astype(np.float32)
    waves = held.waves[variant, chosen].astype(np.float32) * changed
    waves += random.standard_normal(waves.shape, np.float32) * random.uniform(0, 0.02, (count, 1, 1)).astype(np.float32)
    shift = int(random.integers(-RATE // 10, RATE // 10))
    beats = _beats(held, variant, chosen, changed, random)
    return np.roll(waves, shift, axis=2), beats, _measured(held, variant, chosen, spread, random)


def record_batch(held: Examples, chosen: Indices, spread: Floats,
                 random: np.random.Generator) -> tuple[Floats, Floats]:
    """Beats and measurements alone."""
    variant = _variants(len(chosen), random)
    return (_beats(held, variant, chosen, _gain(len(chosen), random), random),
            _measured(held, variant, chosen, spread, random))


def _variants(count: int, random: np.random.Generator) -> Indices:
    return np.where(random.random(count) < _AS_IT_IS, 0, random.integers(1, VARIANTS, count))


def _gain(count: int, random: np.random.Generator) -> Floats:
    every, each = random.normal(0, 0.15, (count, 1, 1)), random.normal(0, 0.05, (count, 12, 1))
    return np.asarray(np.exp(every) * np.exp(each), np.float32)


def _beats(held: Examples, variant: Indices, chosen: Indices, changed: Floats, random: np.random.Generator) -> Floats:
    beats = np.roll(held.beats[variant, chosen] * changed, int(random.integers(-1, 2)), axis=2)
    return np.asarray(beats + 0.01 * random.standard_normal(beats.shape, np.float32), np.float32)


def _measured(held: Examples, variant: Indices, chosen: Indices, spread: Floats,
              random: np.random.Generator) -> Floats:
    features = held.features[variant, chosen]
    changed = features + _NOISE * spread * random.standard_normal(features.shape)
    changed[random.random(features.shape) < _FORGOTTEN] = np.nan
    changed[random.random(len(chosen)) < _UNMEASURED] = np.nan
    return np.asarray(changed, np.float32)
