"""Where the heart beats: the R waves of all leads together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

from gateway.pipeline import Floats
from pipelines.ecg.preprocess import RATE

_BAND = butter(2, (5.0, 25.0), "bandpass", fs=RATE, output="sos")
_REFRACTORY = 0.24
"""Seconds between two QRS complexes at least (250 beats a minute)."""


def quick(signal: Floats) -> NDArray[np.float64]:
    """What is quick in (leads, samples) at 100 Hz: 5-25 Hz, where the QRS has its strength."""
    return np.asarray(sosfiltfilt(_BAND, signal.astype(np.float64), axis=-1))


def r_peaks(signal: Floats) -> NDArray[np.intp]:
    """Samples of the QRS complexes in (leads, samples) mV at 100 Hz: peaks of the summed steepness in 5-25 Hz."""
    steep = np.gradient(quick(signal), axis=-1)
    scale = np.maximum(np.percentile(np.abs(steep), 98, axis=-1, keepdims=True), 1e-3)
    energy = np.sqrt(uniform_filter1d(np.minimum((steep / scale) ** 2, 4).mean(axis=0), int(0.12 * RATE)))
    candidates, _ = find_peaks(energy, distance=int(_REFRACTORY * RATE))
    if not len(candidates):
        return candidates
    tall = np.sort(energy[candidates])[-max(3, int(signal.shape[1] / RATE / 2)):]
    return np.asarray(candidates[energy[candidates] > 0.5 * np.median(tall)], dtype=np.intp)
