"""From a stethoscope's samples at any rate to clips: one rate, the ends trimmed, windows of five seconds, normalised.

Training, validation and serving all come through here.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from gateway.pipeline import Floats

Numbers = NDArray[np.float64]

RATE = 4000.0
"""Hz at which sounds are read: what the recordings that the model learned from hold."""
LOWEST_RATE, HIGHEST_RATE = 4000.0, 48000.0
TRIM = 2.0
"""Seconds cut off at each end, where `KEPT` seconds stay: the stethoscope is put on and taken off there."""
KEPT = 10.0
WINDOW = 5.0
"""Seconds of a clip."""
OVERLAP = 0.5
"""Of neighbouring clips, as a share of a clip."""


def mono(signal: Floats) -> Floats:
    """(channels, samples), NaN where nothing was recorded → (samples,): the mean of the channels, zero in gaps."""
    return np.asarray(np.nan_to_num(signal).mean(axis=0), dtype=np.float32)


def resample(sound: Floats, rate: float) -> Floats:
    """(samples,) at `rate` Hz → at `RATE`, low-passed on the way down."""
    ratio = Fraction(RATE / rate).limit_denominator(2000)
    if ratio == 1:
        return sound.astype(np.float32)
    return np.asarray(resample_poly(sound.astype(np.float64), ratio.numerator, ratio.denominator, padtype="line"),
                      dtype=np.float32)


def trimmed_span(samples: int, rate: float = RATE) -> tuple[int, int]:
    """First sample and the one after the last of what is read: `TRIM` s off each end, less where the rest would be
    shorter than `KEPT` s, nothing of a recording of ten seconds."""
    spare = max(samples / rate - KEPT, 0.0) / 2
    cut = round(min(TRIM, spare) * rate)
    return cut, samples - cut


def window_starts(samples: int, rate: float = RATE) -> tuple[int, ...]:
    """First samples of the clips, half overlapping, from the middle: what fits no clip stays at both ends alike."""
    size = round(WINDOW * rate)
    step = round(size * (1 - OVERLAP))
    count = max((samples - size) // step, 0) + 1
    first = max((samples - size - (count - 1) * step) // 2, 0)
    return tuple(first + number * step for number in range(count))


def clips(sound: Floats) -> tuple[Floats, tuple[float, ...]]:
    """(samples,) at `RATE` → float32 (clips, 20000), each normalised, and the second at which each begins.

    A sound of less than a clip is repeated until it fills one.
    """
    begin, end = trimmed_span(sound.size)
    kept, size = sound[begin:end], round(WINDOW * RATE)
    if kept.size < size:
        kept = np.resize(kept, size)
    starts = window_starts(kept.size)
    cut = np.stack([kept[start:start + size] for start in starts])
    return normalised(cut), tuple((begin + start) / RATE for start in starts)


def normalised(sound: Floats) -> Floats:
    """Without offset, and with a root mean square of 0.1, over the last axis: how loud a device is says nothing."""
    centred = sound - sound.mean(axis=-1, keepdims=True)
    size = np.sqrt((centred.astype(np.float64) ** 2).mean(axis=-1, keepdims=True))
    return np.asarray(0.1 * centred / np.maximum(size, 1e-9), dtype=np.float32)
