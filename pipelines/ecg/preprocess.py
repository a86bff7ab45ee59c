"""From millivolts at any rate to what networks read: 100 Hz, 0.5-40 Hz, windows of ten seconds.

Training, validation and serving all come through here.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt

from gateway.pipeline import Floats
from pipelines.ecg.leads import LEADS

RATE = 100.0
"""Hz."""
WINDOW = 1000
"""Samples of one window: ten seconds."""
BAND = butter(2, (0.5, 40.0), "bandpass", fs=RATE, output="sos")


def in_order(signal: Floats, leads: tuple[str, ...]) -> tuple[Floats, tuple[str, ...]]:
    """Rows in the order of `LEADS`, mV, and the names of those that are neither there nor derivable (rows of NaN).

    III, aVR, aVL and aVF follow from I and II (Einthoven, Goldberger), and so do I and II from the others' pairs.
    """
    finite = np.where(np.isfinite(signal), signal, np.nan).astype(np.float64)
    rows = {name: finite[leads.index(name)] for name in LEADS if name in leads}
    _derive(rows)
    missing = tuple(name for name in LEADS if name not in rows)
    nothing = np.full(signal.shape[1], np.nan)
    return np.stack([rows.get(name, nothing) for name in LEADS]).astype(np.float32), missing


def _derive(rows: dict[str, NDArray[np.float64]]) -> None:
    if "I" in rows and "II" not in rows and "III" in rows:
        rows["II"] = rows["I"] + rows["III"]
    if "II" in rows and "I" not in rows and "III" in rows:
        rows["I"] = rows["II"] - rows["III"]
    if "I" not in rows or "II" not in rows:
        return
    one, two = rows["I"], rows["II"]
    for name, row in (("III", two - one), ("aVR", -(one + two) / 2), ("aVL", one - two / 2), ("aVF", two - one / 2)):
        rows.setdefault(name, row)


def fill_gaps(signal: Floats) -> Floats:
    """NaN bridged by straight lines; a lead of nothing but NaN becomes zero."""
    filled = signal.copy()
    samples = np.arange(signal.shape[1])
    for row in filled:
        gaps = np.isnan(row)
        if gaps.all():
            row[:] = 0
        elif gaps.any():
            row[gaps] = np.interp(samples[gaps], samples[~gaps], row[~gaps])
    return filled


def resample(signal: Floats, rate: float) -> Floats:
    """(leads, samples) without NaN at `rate` Hz → at 100 Hz, low-passed on the way down."""
    ratio = Fraction(RATE / rate).limit_denominator(1000)
    if ratio == 1:
        return signal.astype(np.float32)
    return np.asarray(resample_poly(signal.astype(np.float64), ratio.numerator, ratio.denominator, axis=1,
                                    padtype="line"), dtype=np.float32)


def band_pass(signal: Floats) -> Floats:
    """0.5-40 Hz without phase shift over the last axis (100 Hz): wander and mains hum go, ST stays in place."""
    return np.asarray(sosfiltfilt(BAND, signal.astype(np.float64), axis=-1), dtype=np.float32)


def starts(samples: int) -> list[int]:
    """Where the windows of so long a recording (at 100 Hz) begin: side by side, the last one flush with the end.

    One of less than ten seconds stands in the middle of a window that begins before it.
    """
    if samples < WINDOW:
        return [-((WINDOW - samples) // 2)]
    found = list(range(0, samples - WINDOW + 1, WINDOW))
    return [*found, samples - WINDOW] if samples - WINDOW - found[-1] >= RATE else found


def windows(signal: Floats) -> Floats:
    """(leads, samples) at 100 Hz → (windows, leads, 1000), beginning where `starts` says; zeros around a short one."""
    samples = signal.shape[1]
    if samples < WINDOW:
        before = (WINDOW - samples) // 2
        return np.pad(signal, ((0, 0), (before, WINDOW - samples - before)))[None]
    return np.stack([signal[:, start:start + WINDOW] for start in starts(samples)])


def prepare(signal: Floats, rate: float) -> Floats:
    """(12, samples) mV in the order of `LEADS` at `rate` Hz → float32 (windows, 12, 1000)."""
    return windows(band_pass(resample(fill_gaps(signal), rate)))
