"""Whether a sound is fit to be read. What is not is told by name and never read as normal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.audio import Samples
from gateway.pipeline import Floats
from gateway.result import Problem
from pipelines.asthma.preprocess import HIGHEST_RATE, LOWEST_RATE, RATE
from pipelines.asthma.spectrum import power

Numbers = NDArray[np.float64]

PUBLISHED_SECONDS = 14.0
"""The published rule calls a shorter recording a technical defect."""
TOLERANCE = 0.05
"""Seconds that a recording may lack."""
MISSING_SHARE = 0.05
QUIET = 10 ** (-66 / 20)
"""Root mean square of a second, of full scale: less is silence (a 16-bit converter's last three or four steps)."""
QUIET_SHARE = 0.5
CLIPPED_SHARE = 0.02
"""The published share; what is counted is clipping itself (see `clipped_share`)."""
_AT_EXTREME, _FLAT, _LEAST_EXTREME = 0.995, 1e-4, 0.05
HUM_SHARE = 0.5
"""Of the energy above 40 Hz in lines that stand still."""
VOICED_SHARE = 0.10
"""Of the moments with a voice's harmonics."""
_VOICED = 0.55
"""Correlation from which on a spectrum repeats itself."""
HIGH_SHARE = 0.10
"""Of the energy above 100 Hz that lies above 1 kHz: the chest wall lets less through."""


def problems_of_source(sound: Samples, rate: float, shortest: float) -> tuple[Problem, ...]:
    """What is wrong with (samples,) in shares of full scale at `rate` Hz, NaN where nothing was recorded.

    `shortest`: seconds. Empty when it is fit to be read.
    """
    if not LOWEST_RATE * 0.999 <= rate <= HIGHEST_RATE * 1.001:
        return (Problem("sampling-rate", f"The sampling rate is {rate:g} Hz; breath sounds are read at 4 to 48 kHz."),)
    seconds = sound.size / rate
    if seconds < shortest - TOLERANCE:
        return (Problem("too-short", f"The recording lasts {seconds:.1f} s; at least {shortest:g} s is needed."),)
    if np.mean(~np.isfinite(sound)) > MISSING_SHARE:
        return (Problem("missing-samples", "More than 5 % of the samples are missing."),)
    known = np.nan_to_num(sound).astype(np.float64)
    if quiet_share(known, rate) > QUIET_SHARE:
        return (Problem("silence", "The recording is silent for more than half of its time."),)
    if clipped_share(known) >= CLIPPED_SHARE:
        return (Problem("clipped", "2 % of the samples or more are clipped: the recording was too loud."),)
    return ()


def problems_of_prepared(sound: Floats) -> tuple[Problem, ...]:
    """What is wrong with (samples,) at `RATE`: it is no breath that was recorded."""
    if hum_share(sound) > HUM_SHARE:
        return (Problem("hum", "A steady hum is louder than the breath."),)
    if voiced_share(sound) > VOICED_SHARE or high_share(sound) > HIGH_SHARE:
        return (Problem("speech", "A voice or other sound from outside is heard, not the breath alone."),)
    return ()


def quiet_share(sound: Numbers, rate: float) -> float:
    """Share of the half seconds in which next to nothing is heard."""
    size = max(round(rate / 2), 1)
    parts = sound[:max(sound.size // size, 1) * size]
    parts = parts.reshape(-1, min(size, parts.size))
    return float((parts.std(axis=1) < QUIET).mean())


def clipped_share(sound: Numbers) -> float:
    """Share of the samples that lie at one extreme in runs of three: cut off there, whatever gain came after.

    The published rule counts samples at or above the 95th percentile of |amplitude|, which are 5 % of any recording.
    """
    centre = float(np.median(sound))
    share = 0.0
    for side in (sound - centre, centre - sound):
        top = float(side.max(initial=0.0))
        if top < _LEAST_EXTREME:
            continue
        flat = np.abs(np.diff(side)) <= _FLAT * top
        middle = flat[1:] & flat[:-1]
        held = np.zeros(side.size, dtype=bool)
        for away in range(3):
            held[away:away + middle.size] |= middle
        share += float((held & (side >= _AT_EXTREME * top)).mean())
    return share


def hum_share(sound: Floats) -> float:
    """Share of the energy above 40 Hz in the lines of mains (50 or 60 Hz and harmonics) and in the three strongest
    others, each a hertz wide."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size))) ** 2
    frequencies = np.asarray(np.fft.rfftfreq(sound.size, 1 / RATE), np.float64)
    spectrum[frequencies < 40] = 0
    total = float(spectrum.sum())
    if not total > 0:
        return 0.0
    shares = []
    for mains in (50.0, 60.0):
        away = np.abs(frequencies - mains * np.rint(frequencies / mains))
        shares.append(float(spectrum[(away <= 0.5) & (frequencies <= 1000)].sum()) / total)
    return max(*shares, _strongest_lines(spectrum, frequencies) / total)


def _strongest_lines(spectrum: Numbers, frequencies: Numbers) -> float:
    width, left, found = float(frequencies[1]), spectrum.copy(), 0.0
    half = max(round(0.5 / width), 1)
    for _ in range(3):
        at = int(left.argmax())
        part = slice(max(at - half, 0), at + half + 1)
        found += float(left[part].sum())
        left[part] = 0
    return found


def voiced_share(sound: Floats) -> float:
    """Share of the moments (80 ms) whose spectrum from 100 to 1600 Hz repeats itself at a voice's pitch, 80 to 330 Hz.

    A wheeze has one or two tones and repeats nothing.
    """
    spectrum = power(sound, 320, 160, 1024)
    frequencies = np.asarray(np.fft.rfftfreq(1024, 1 / RATE), np.float64)
    inside = (frequencies >= 100) & (frequencies <= 1600)
    decibels = 10 * np.log10(spectrum[inside].astype(np.float64) + 1e-10)
    loud = decibels.max(axis=0)
    heard = loud > np.percentile(loud, 95) - 25
    return float(((_repetition(decibels, frequencies[inside]) > _VOICED) & heard).mean())


def _repetition(decibels: Numbers, frequencies: Numbers) -> Numbers:
    """(frames,): how well the spectrum, without its slope, goes with waves that peak at every multiple of a pitch: the
    largest correlation."""
    scale = np.linspace(-1, 1, len(frequencies))
    trend, _ = np.linalg.qr(np.stack([scale**power_ for power_ in range(4)], axis=1))
    waves = np.stack([np.cos(2 * np.pi * frequencies / pitch) for pitch in np.geomspace(80, 330, 90)], axis=1)
    both = [part - trend @ (trend.T @ part) for part in (waves, decibels)]
    waves, shape = (part / np.maximum(np.linalg.norm(part, axis=0), 1e-9) for part in both)
    return np.asarray((waves.T @ shape).max(axis=0))


def high_share(sound: Floats) -> float:
    spectrum = np.abs(np.fft.rfft(sound)) ** 2
    frequencies = np.fft.rfftfreq(sound.size, 1 / RATE)
    return float(spectrum[frequencies >= 1000].sum() / max(spectrum[frequencies >= 100].sum(), 1e-30))
