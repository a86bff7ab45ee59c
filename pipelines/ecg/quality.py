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
FLAT_RANGE = 0.02
"""mV: a second of less is flat (four steps of a 5 µV converter; the noise of an open amplifier)."""
FLAT_SHARE = 0.25
LARGEST = 20.0
"""mV from the lead's median: no heart and no electrode gives as much, so it is counted in something else than mV."""
CLIPPED_SHARE, CLIPPED_FROM = 0.05, 0.1
"""Share of samples at one same extreme, and how far in mV from the median it lies: the baseline is no clipping."""
PLATEAU_SECONDS, PLATEAUS, STEP_SHARE = 0.01, 3, 0.04
"""A trace that is cut off stays at one same extreme for so long, so often, and got there by a step of so large a share
of its range: a rounded top is no plateau."""
PLATEAU_RIPPLE, COARSE_STEPS = 0.007, 2.5
"""Share of the range within which a plateau is still one, and how many steps of the converter the edge must have: tops
that a coarse one rounds are none."""
HUM = 0.1
"""mV of a tone at 50 or 60 Hz: more than twice the worst of PTB-XL."""
_FAST = butter(2, 15.0, "highpass", fs=RATE, output="sos")
NOISE = 0.06
"""mV (RMS above 15 Hz between the beats), twice the worst of PTB-XL."""
NOISY_LEADS = 3
CONTRADICTION = 0.25
"""RMS of what the limb leads should add up to and do not, against that of II and III (PTB-XL: at most 0.04)."""
ROUNDED, COARSEST = 0.6, 0.05
"""RMS of the sum of three leads rounded to steps of 1, and a little; the coarsest step, mV, that is allowed for."""


def problems_of_source(signal: Floats, rate: float, missing: tuple[str, ...],
                       leads: tuple[str, ...] = LEADS, shortest: float = SHORTEST) -> tuple[Problem, ...]:
    """What is wrong with (leads, samples) mV at `rate` Hz, NaN where nothing was recorded; empty when fit to be read.

    `leads`: the names of the rows.
    """
    if missing:
        return (Problem("missing-leads", f"Leads missing and not derivable: {', '.join(missing)}."),)
    if not LOWEST_RATE <= rate < 1e6:
        return (Problem("sampling-rate-too-low", f"The sampling rate is {rate:g} Hz; at least 100 Hz is needed."),)
    if signal.shape[1] < shortest * rate:
        told = f"The recording lasts {signal.shape[1] / rate:.1f} s; at least {shortest:g} s is needed."
        return (Problem("too-short", told),)
    if (large := _too_large(signal, leads)) is not None:
        return (large,)
    checks = (_missing_samples(signal, leads), _flat(signal, rate, leads), _saturated(signal, rate, leads),
              _hum(signal, rate, leads))
    return tuple(problem for problem in checks if problem is not None)


def problems_of_limb_leads(signal: Floats, leads: tuple[str, ...] = LEADS) -> tuple[Problem, ...]:
    """What the limb leads of (leads, samples) mV must add up to and do not, where all six are there. Asked after noise
    and electrodes: what spoils one lead alone contradicts the others too."""
    contradiction = _contradicting(signal) if leads[:6] == LEADS[:6] else None
    return () if contradiction is None else (contradiction,)


def problems_of_prepared(signal: Floats, leads: tuple[str, ...] = LEADS) -> tuple[Problem, ...]:
    """Noise in (leads, samples) mV at 100 Hz after the band-pass."""
    fast = sosfiltfilt(_FAST, signal.astype(np.float64), axis=-1)
    step = int(RATE / 10)
    parts = fast[:, :fast.shape[1] // step * step].reshape(len(fast), -1, step)
    noise = np.percentile(np.sqrt((parts**2).mean(axis=-1)), 35, axis=-1)
    noisy = noise > NOISE
    if noisy.sum() < min(NOISY_LEADS, len(leads)):
        return ()
    return (Problem("too-noisy", f"Too much noise to read, in leads {named(noisy, leads)}."),)


def named(chosen: NDArray[np.bool_], leads: tuple[str, ...]) -> str:
    return ", ".join(name for name, is_so in zip(leads, chosen, strict=True) if is_so)


def _missing_samples(signal: Floats, leads: tuple[str, ...]) -> Problem | None:
    gaps = ~np.isfinite(signal)
    lacking = gaps.mean(axis=1) > MISSING_SHARE
    if not lacking.any():
        return None
    return Problem("missing-samples", f"More than 5 % of the samples are missing in leads {named(lacking, leads)}.")


def _flat(signal: Floats, rate: float, leads: tuple[str, ...]) -> Problem | None:
    second = round(rate)
    parts = signal[:, :signal.shape[1] // second * second].reshape(len(signal), -1, second)
    known = np.nan_to_num(parts, nan=0.0, posinf=0.0, neginf=0.0)
    flat = (np.ptp(known, axis=-1) < FLAT_RANGE).mean(axis=-1) > FLAT_SHARE
    return Problem("flat-leads", f"Flat leads: {named(flat, leads)}.") if flat.any() else None


def _centred(signal: Floats) -> NDArray[np.float64]:
    known = np.where(np.isfinite(signal), signal, 0.0).astype(np.float64)
    known -= np.median(known, axis=1, keepdims=True)
    return known


def _too_large(signal: Floats, leads: tuple[str, ...]) -> Problem | None:
    large = np.abs(_centred(signal)).max(axis=1) > LARGEST
    if not large.any():
        return None
    return Problem("wrong-gain", f"More than 20 mV, which no heart gives, in leads {named(large, leads)}: wrong gain?")


def _saturated(signal: Floats, rate: float, leads: tuple[str, ...]) -> Problem | None:
    bad = np.array([_clipped(row, rate) for row in _centred(signal)])
    return Problem("saturated", f"Saturated leads: {named(bad, leads)}.") if bad.any() else None


def _clipped(row: NDArray[np.float64], rate: float) -> bool:
    """Much of it, or several plateaus with edges, at its highest or lowest value."""
    shortest = max(3, round(PLATEAU_SECONDS * rate))
    extent = float(np.ptp(row))
    step = max(STEP_SHARE * extent, COARSE_STEPS * _converter_step(row))
    for sign in (1.0, -1.0):
        end = float((sign * row).max())
        if end <= CLIPPED_FROM:
            continue
        if (sign * row == end).mean() > CLIPPED_SHARE:
            return True
        at_end = np.concatenate(([False], sign * row >= end - PLATEAU_RIPPLE * extent, [False]))
        edges = np.flatnonzero(np.diff(at_end.astype(np.int8))).reshape(-1, 2)
        long = [begin for begin, stop in edges if stop - begin >= shortest and begin > 0]
        if sum(end - sign * row[begin - 1] > step for begin in long) >= PLATEAUS:
            return True
    return False


def _converter_step(row: NDArray[np.float64]) -> float:
    """The smallest difference between two values that occur; 0 where there is one value only."""
    between = np.diff(np.unique(row))
    return float(between.min()) if between.size else 0.0


def _hum(signal: Floats, rate: float, leads: tuple[str, ...]) -> Problem | None:
    known = _centred(signal)
    samples = known.shape[1]
    size = np.abs(np.fft.rfft(known * np.hanning(samples), axis=1)) * 4 / samples
    frequency = np.fft.rfftfreq(samples, 1 / rate)
    for mains in (50, 60):
        near = np.abs(frequency - mains) < 1
        if mains < 0.48 * rate and (loud := size[:, near].max(axis=1) > HUM).any():
            return Problem("mains-hum", f"Mains hum of {mains} Hz in leads {named(loud, leads)}.")
    return None


def _contradicting(signal: Floats) -> Problem | None:
    one, two, three, right, left, foot = signal[:6].astype(np.float64)
    rounded = min(max(_converter_step(row[np.isfinite(row)]) for row in (one, two, three)), COARSEST)
    size = CONTRADICTION * max(float(np.hypot(_rms(two), _rms(three))), 0.05) + ROUNDED * rounded
    if _rms(one + three - two) > size:
        return Problem("leads-contradict", "Leads I, II and III contradict each other (I + III is not II).")
    wanted = {"aVR": right + (one + two) / 2, "aVL": left - (one - two / 2), "aVF": foot - (two - one / 2)}
    wrong = [name for name, rest in wanted.items() if _rms(rest) > size]
    if not wrong:
        return None
    return Problem("leads-contradict", f"What leads I and II say of {', '.join(wrong)} is not what was recorded there.")


def _rms(row: NDArray[np.float64]) -> float:
    """About its median; what is missing counts as that."""
    return float(np.sqrt((np.nan_to_num(row - np.nanmedian(row)) ** 2).mean()))
