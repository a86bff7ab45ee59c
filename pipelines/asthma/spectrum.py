"""Short-time spectra of sounds at one rate."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import rfft

from gateway.pipeline import Floats


def power(sound: Floats, window: int, hop: int, size: int = 0) -> Floats:
    """(samples,) → float32 (bins, frames): Hann windows of `window` samples every `hop`, each in the middle of its
    moment, the ends mirrored. `size`: samples of the transform, `window` where 0."""
    padded = np.pad(sound, (window // 2, window - window // 2), mode="reflect")
    frames = sliding_window_view(padded, window)[:sound.size:hop]
    shape = np.hanning(window + 1)[:-1]
    scaled = (shape / np.sqrt((shape**2).sum())).astype(np.float32)
    spectrum = rfft(frames * scaled, n=size or window, axis=1)
    return np.ascontiguousarray((spectrum.real**2 + spectrum.imag**2).T, dtype=np.float32)
