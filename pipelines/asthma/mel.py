"""Mel spectrograms with three windows side by side: what is short in time and what is narrow in frequency."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gateway.pipeline import Floats
from pipelines.asthma.preprocess import RATE
from pipelines.asthma.spectrum import power

Numbers = NDArray[np.float64]

WINDOWS = (0.025, 0.100, 0.175)
"""Seconds of the short-time Fourier transforms: one channel each."""
BANDS = 128
LOWEST, HIGHEST = 40.0, 8000.0
"""Hz; above, bands end at the signal's own Nyquist frequency."""
HOP = 0.02
"""Seconds between frames."""
_FLOOR = 1e-9
_DECIBELS, _RANGE = 10.0, (-2.0, 4.0)


def to_mel(hertz: Numbers | float) -> Numbers:
    """O'Shaughnessy's mel scale."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hertz, dtype=np.float64) / 700.0))


def to_hertz(mel: Numbers | float) -> Numbers:
    return np.asarray(700.0 * (10.0 ** (np.asarray(mel, dtype=np.float64) / 2595.0) - 1.0))


def band_edges(rate: float = RATE) -> Numbers:
    """Hz: (BANDS + 2,) lower edge, centres, upper edge of the bands."""
    top = min(HIGHEST, rate / 2)
    return to_hertz(np.linspace(float(to_mel(LOWEST)), float(to_mel(top)), BANDS + 2))


@lru_cache(maxsize=4)
def filters(size: int, rate: float = RATE) -> Floats:
    """Triangles over the bins of a transform of `size` samples, float32 (BANDS, size // 2 + 1), each of sum 1.

    A triangle narrower than a bin takes its bins by interpolation, so that no band is empty.
    """
    edges = band_edges(rate)
    bins = np.arange(size // 2 + 1) * rate / size
    half = np.maximum(np.diff(edges), rate / size)
    rising = (bins - edges[1:-1, None]) / half[:-1, None] + 1
    falling = (edges[1:-1, None] - bins) / half[1:, None] + 1
    weights = np.clip(np.minimum(rising, falling), 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def mel_spectrograms(clip: Floats, rate: float = RATE) -> Floats:
    """One clip (samples,) → float32 (3, BANDS, frames): decibels above each band's median, over 10 dB, limited.

    A band's own median takes the filter of the stethoscope and the shape of the chest out of it.
    """
    size = 1 << (round(max(WINDOWS) * rate) - 1).bit_length()
    channels = []
    for window in WINDOWS:
        bands = filters(size, rate) @ power(clip, round(window * rate), round(HOP * rate), size)
        decibels = 10 * np.log10(np.maximum(bands, _FLOOR))
        channels.append((decibels - np.median(decibels, axis=1, keepdims=True)) / _DECIBELS)
    return np.asarray(np.clip(np.stack(channels), *_RANGE), dtype=np.float32)
