"""Twelve-lead ECGs out of nothing: a heart vector made of Gaussian waves, seen by Dower's twelve leads.

For the demonstration and for tests. No network is trained on them. They prove that the path works; they say nothing of
how well real ECGs are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.pipeline import Floats

RATE = 500.0
"""Hz."""
SECONDS = 10.0
KINDS: tuple[str, ...] = ("normal", "afib", "lbbb", "inferior")

# Columns: x to the left, y to the feet, z to the back (Frank); rows I, II, V1-V6 (Dower 1980).
_DOWER = np.array([[0.632, -0.235, 0.059], [0.235, 1.066, -0.132], [-0.515, 0.157, -0.917], [0.044, 0.164, -1.387],
                   [0.882, 0.098, -1.277], [1.213, 0.127, -0.601], [1.125, 0.127, -0.086], [0.831, 0.076, 0.230]])


@dataclass(frozen=True, slots=True)
class Wave:
    """One Gaussian of the heart vector: seconds from the R wave, width (sigma) in seconds, mV along x, y, z."""

    at: float
    width: float
    x: float
    y: float
    z: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One synthetic recording and what a reader should say of it. `signal` float32 (leads, samples) mV, `leads` its
    rows."""

    name: str
    title: str
    verdict: str
    label: str
    """Label that must be present; empty for the normal one."""
    signal: Floats
    rate: float
    leads: tuple[str, ...]


_P = (Wave(-0.17, 0.018, 0.03, 0.07, -0.04), Wave(-0.145, 0.020, 0.06, 0.09, 0.02))
_NARROW = (Wave(-0.022, 0.008, -0.14, -0.04, -0.20), Wave(0.0, 0.011, 1.05, 0.85, 0.18),
           Wave(0.022, 0.011, 0.12, 0.02, 0.55), Wave(0.040, 0.009, -0.14, -0.10, 0.10))
_T = (Wave(0.24, 0.050, 0.13, 0.10, -0.11), Wave(0.29, 0.035, 0.17, 0.13, -0.15))
_WIDE = (Wave(-0.035, 0.016, 0.35, 0.30, 0.25), Wave(-0.005, 0.020, 0.75, 0.45, 0.95),
         Wave(0.035, 0.020, 0.80, 0.35, 0.75), Wave(0.065, 0.016, 0.40, 0.15, 0.25))
_T_DISCORDANT = (Wave(0.16, 0.050, -0.12, -0.02, -0.22), Wave(0.30, 0.050, -0.30, -0.06, -0.40))
_NO_FOOT = (Wave(-0.026, 0.012, -0.05, -0.62, -0.16), Wave(0.004, 0.011, 0.95, 0.22, 0.22),
            Wave(0.024, 0.011, 0.12, 0.10, 0.50), Wave(0.042, 0.009, -0.10, -0.02, 0.08))
"""What lies at the feet is silent: the heart vector begins upwards."""
_T_FROM_FOOT = (Wave(0.22, 0.045, 0.10, -0.03, -0.12), Wave(0.28, 0.040, 0.13, -0.24, -0.12))

_BEATS: dict[str, tuple[tuple[Wave, ...], tuple[Wave, ...], tuple[Wave, ...]]] = {
    "normal": (_P, _NARROW, _T), "afib": ((), _NARROW, _T), "lbbb": (_P, _WIDE, _T_DISCORDANT),
    "inferior": (_P, _NO_FOOT, _T_FROM_FOOT)}
_HEART_RATES: dict[str, tuple[float, float]] = {"normal": (62, 88), "afib": (75, 125), "lbbb": (62, 92),
                                                   "inferior": (62, 88)}


def synthesise(kind: str, seed: int, seconds: float = SECONDS) -> Floats:
    """float32 (12, samples) in mV at 500 Hz, rows as `LEADS`; the same arguments give the same signal."""
    random = np.random.default_rng((KINDS.index(kind), seed))
    time = np.arange(int(seconds * RATE)) / RATE
    before, complex_, after = (_varied(waves, random) for waves in _BEATS[kind])
    vector = np.zeros((3, len(time)))
    onsets = _onsets(kind, seconds, random)
    for onset, interval in zip(onsets, np.diff(onsets, append=onsets[-1] + 0.8), strict=True):
        stretch = float(np.clip(np.sqrt(interval / 0.85), 0.75, 1.15))
        _add(vector, time - onset, (*before, *complex_), 1.0)
        _add(vector, time - onset, after, stretch)
    if kind == "afib":
        vector += _fibrillation(time, random)
    return _seen(vector * np.exp(random.normal(0, 0.12)), time, random)


def _varied(waves: tuple[Wave, ...], random: np.random.Generator) -> tuple[Wave, ...]:
    """One person's waves: each a little larger, wider and elsewhere."""
    width, size = np.exp(random.normal(0, 0.05)), np.exp(random.normal(0, 0.15, 3))
    return tuple(Wave(w.at * width, w.width * width, w.x * size[0], w.y * size[1], w.z * size[2]) for w in waves)


def _onsets(kind: str, seconds: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Times of the R waves, seconds, from before the start to after the end."""
    mean = 60 / random.uniform(*_HEART_RATES[kind])
    number = int((seconds + 4) / mean * 1.6)
    if kind == "afib":
        intervals = np.maximum(mean * random.gamma(12, 1 / 12, number), 0.34)
    else:
        breathing = 0.02 * np.sin(2 * np.pi * 0.25 * mean * np.arange(number) + random.uniform(0, 6))
        intervals = mean * (1 + breathing + random.normal(0, 0.006, number))
    onsets = np.cumsum(intervals) - 1.5
    return onsets[onsets < seconds + 0.5]


def _add(vector: NDArray[np.float64], time: NDArray[np.float64], waves: tuple[Wave, ...], stretch: float) -> None:
    for wave in waves:
        shape = np.exp(-0.5 * ((time - wave.at * stretch) / wave.width) ** 2)
        vector += np.array([[wave.x], [wave.y], [wave.z]]) * shape


def _fibrillation(time: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Fibrillatory waves of 5-8 Hz whose frequency and size wander, largest towards V1."""
    total = np.zeros((3, len(time)))
    for _ in range(3):
        drift = 2 * np.pi * random.uniform(0.1, 0.5) * time + random.uniform(0, 6)
        phase = 2 * np.pi * random.uniform(5, 8) * time + 1.5 * np.sin(drift) + random.uniform(0, 6)
        size = random.uniform(0.022, 0.045) * (1 + 0.4 * np.sin(drift * 0.7))
        total += np.outer([0.25, 0.7, -1.0], size * np.sin(phase))
    return total


def _seen(vector: NDArray[np.float64], time: NDArray[np.float64], random: np.random.Generator) -> Floats:
    """Twelve leads with a little muscle, breath and mains in them."""
    eight = _DOWER @ vector
    frequency, phase = random.uniform(0.15, 0.35), random.uniform(0, 6, (8, 1))
    eight += random.normal(0, 0.03, (8, 1)) * np.sin(2 * np.pi * frequency * time + phase)
    eight += random.normal(0, 0.008, eight.shape) + 0.004 * np.sin(2 * np.pi * 50 * time + phase)
    one, two = eight[0], eight[1]
    limbs = (one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2)
    return np.stack([*limbs, *eight[2:]]).astype(np.float32)
