"""The same heart on another hospital's cart: its rate, filters, converter, gain, contacts and mains. Training only.

Works on the recording as it comes, before anything is prepared, so that the measurements are troubled as the signal is.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import bessel, butter, iirnotch, lfilter, resample_poly, sosfilt, sosfiltfilt

from gateway.pipeline import Floats

_Generator = np.random.Generator
Signal = NDArray[np.float64]
RATES = (100.0, 120.0, 200.0, 240.0, 250.0, 257.0, 300.0, 360.0, 400.0, 500.0, 500.0, 500.0, 1000.0)
_STEPS = (0.001, 0.0025, 0.00488, 0.005, 0.01)
"""mV by which converters count."""


def foreign(signal: Floats, rate: float, random: _Generator) -> tuple[Floats, float]:
    """(leads, samples) mV at `rate` Hz without NaN → as another device would have recorded it, and its rate."""
    changed = signal.astype(np.float64) * np.exp(np.clip(random.normal(0, 0.25), -0.5, 0.5))
    changed *= np.exp(random.normal(0, 0.04, (len(signal), 1)))
    changed = changed + _trouble(changed.shape, rate, random)
    changed = _high_passed(changed, rate, random)
    changed = _low_passed(changed, rate, random)
    if random.random() < 0.4:
        changed = lfilter(*iirnotch(random.choice((50.0, 60.0)), random.uniform(5, 30), rate), changed, axis=-1)
    changed, rate = _resampled(changed, rate, random)
    step = random.choice(_STEPS)
    return _shortened(np.round(changed / step) * step, rate, random).astype(np.float32), rate


def _trouble(shape: tuple[int, ...], rate: float, random: _Generator) -> Signal:
    """Muscle, mains and breath, each in some recordings and unlike from lead to lead."""
    time = np.arange(shape[1]) / rate
    total = np.zeros(shape)
    if random.random() < 0.5:
        level = np.exp(random.uniform(np.log(0.003), np.log(0.04)) + random.normal(0, 0.5, (shape[0], 1)))
        total += np.minimum(level, 0.06) * random.standard_normal(shape)
    if random.random() < 0.4:
        phase, level = random.uniform(0, 2 * np.pi, (shape[0], 1)), np.abs(random.normal(0, 0.03, (shape[0], 1)))
        total += level * np.sin(2 * np.pi * (random.choice((50.0, 60.0)) + random.normal(0, 0.1)) * time + phase)
    if random.random() < 0.6:
        for _ in range(3):
            phase = random.uniform(0, 2 * np.pi, (shape[0], 1))
            angle = 2 * np.pi * random.uniform(0.03, 0.5) * time + phase
            total += random.normal(0, 0.15, (shape[0], 1)) * np.sin(angle)
    return total


def _high_passed(signal: Signal, rate: float, random: _Generator) -> Signal:
    """As carts do, in one direction: the filter bends ST and T; or not at all."""
    kind = random.random()
    if kind < 0.35:
        return signal
    order = 1 if kind < 0.75 else 2
    sections = butter(order, random.uniform(0.03, 0.5), "highpass", fs=rate, output="sos")
    level = signal[:, :1]
    return np.asarray(sosfilt(sections, signal - level, axis=-1))


def _low_passed(signal: Signal, rate: float, random: _Generator) -> Signal:
    kind, corner = random.random(), random.uniform(28, 45) if random.random() < 0.5 else random.uniform(45, 150)
    if kind < 0.3 or corner >= 0.45 * rate:
        return signal
    if kind < 0.6:
        return np.asarray(sosfilt(bessel(4, corner, "lowpass", fs=rate, output="sos", norm="mag"), signal, axis=-1))
    return np.asarray(sosfiltfilt(butter(2, corner, "lowpass", fs=rate, output="sos"), signal, axis=-1))


def _resampled(signal: Signal, rate: float, random: _Generator) -> tuple[Signal, float]:
    wanted = float(random.choice(RATES))
    if wanted == rate:
        return signal, rate
    ratio = Fraction(wanted / rate).limit_denominator(1000)
    return np.asarray(resample_poly(signal, ratio.numerator, ratio.denominator, axis=-1, padtype="line")), wanted


def _shortened(signal: Signal, rate: float, random: _Generator) -> Signal:
    """A quarter begins later or ends earlier, never under eight seconds."""
    spare = signal.shape[1] - round(8 * rate)
    if spare <= 0 or random.random() > 0.25:
        return signal
    first = int(random.integers(0, spare))
    return signal[:, first:signal.shape[1] - int(random.integers(0, spare - first + 1))]
