"""Whether a recording is fit to be read. What is not is told by name and never read as normal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from gateway.pipeline import Floats
from gateway.result import Problem
from pipelines.ecg.leads import LEADS
from pipelines.ecg.preprocess import RATE

SHORTEST = 8.0
"""Seconds."""
LOWEST_RATE = 99.0
"""Hz."""
MISSING_SHARE = 0.05
FLAT_RANGE = 0.012
"""mV: a second of less is flat (two steps of a 5 µV converter, and a little)."""
FLAT_SHARE = 0.3
LARGEST = 15.0
"""mV from the lead's median: more is a wrong gain or an amplifier at its end."""
CLIPPED_SHARE, CLIPPED_FROM = 0.05, 0.1
"""Share of samples at one same extreme, and how far in mV from the median it lies: the baseline is no clipping."""
NOISE = 0.06
"""mV (RMS above 15 Hz between the beats), twice the worst of PTB-XL."""
NOISY_LEADS = 3
CONTRADICTION = 0.5
"""RMS of I + III - II against that of II and III: more, and the limb leads are not what they are called."""


def problems_of_source(signal: Floats, rate: float, missing: tuple[str, ...]) -> tuple[Problem, ...]:
    """What is wrong with (12, samples) mV at `rate` Hz, NaN where nothing was recorded; empty when fit to be read."""
    if missing:
        return (Problem("missing-leads", f"Leads missing and not derivable: {', '.join(missing)}."),)
    if not LOWEST_RATE <= rate < 1e6:
        return (Problem("sampling-rate-too-low", f"The sampling rate is {rate:g} Hz; at least 100 Hz is needed."),)
    if signal.shape[1] < SHORTEST * rate:
        return (Problem("too-short", f"The recording lasts {signal.shape[1] / rate:.1f} s; at least 8 s is needed."),)
    checks = (_missing_samples(signal), _flat(signal, rate), _saturated(signal))
    found = tuple(problem for problem in checks if problem is not None)
    if found:
        return found
    contradiction = _contradicting(signal)
    return () if contradiction is None else (contradiction,)


def problems_of_prepared(signal: Floats) -> tuple[Problem, ...]:
    """Noise in (12, samples) mV at 100 Hz after the band-pass."""
    sections = butter(2, 15.0, "highpass", fs=RATE, output="sos")
    fast = sosfiltfilt(sections, signal.astype(np.float64), axis=-1)
    step = int(RATE / 10)
    parts = fast[:, :fast.shape[1] // step * step].reshape(len(fast), -1, step)
    noise = np.percentile(np.sqrt((parts**2).mean(axis=-1)), 35, axis=-1)
    noisy = noise > NOISE
    if noisy.sum() < NOISY_LEADS:
        return ()
    return (Problem("too-noisy", f"Too much noise to read, in leads {_named(noisy)}."),)


def _named(chosen: NDArray[np.bool_]) -> str:
    return ", ".join(name for name, is_so in zip(LEADS, chosen, strict=True) if is_so)


def _missing_samples(signal: Floats) -> Problem | None:
    gaps = ~np.isfinite(signal)
    lacking = gaps.mean(axis=1) > MISSING_SHARE
    if not lacking.any():
        return None
    return Problem("missing-samples", f"More than 5 % of the samples are missing in leads {_named(lacking)}.")


def _flat(signal: Floats, rate: float) -> Problem | None:
    second = round(rate)
    parts = signal[:, :signal.shape[1] // second * second].reshape(len(signal), -1, second)
    known = np.nan_to_num(parts, nan=0.0, posinf=0.0, neginf=0.0)
    flat = (np.ptp(known, axis=-1) < FLAT_RANGE).mean(axis=-1) > FLAT_SHARE
    return Problem("flat-leads", f"Flat leads: {_named(flat)}.") if flat.any() else None


def _saturated(signal: Floats) -> Problem | None:
    known = np.where(np.isfinite(signal), signal, 0.0).astype(np.float64)
    known -= np.median(known, axis=1, keepdims=True)
    bad = np.abs(known).max(axis=1) > LARGEST
    for end in (known.max(axis=1, keepdims=True), known.min(axis=1, keepdims=True)):
        bad |= ((known == end).mean(axis=1) > CLIPPED_SHARE) & (np.abs(end[:, 0]) > CLIPPED_FROM)
    return Problem("saturated", f"Saturated or wrongly scaled leads: {_named(bad)}.") if bad.any() else None


def _contradicting(signal: Floats) -> Problem | None:
    one, two, three = (np.nan_to_num(row - np.nanmedian(row)) if np.isfinite(row).any() else np.zeros_like(row)
                       for row in signal[:3])
    size = float(np.sqrt((two**2).mean() + (three**2).mean()))
    if np.sqrt(((one + three - two) ** 2).mean()) <= CONTRADICTION * max(size, 0.05):
        return None
    return Problem("leads-contradict", "Leads I, II and III contradict each other (I + III is not II).")
