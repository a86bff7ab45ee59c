"""What can be measured of a breath sound without any network: tones, clicks, and how its energy lies in frequency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from gateway.pipeline import Floats
from pipelines.asthma.preprocess import RATE
from pipelines.asthma.spectrum import power

Numbers = NDArray[np.float64]

TONES = (150.0, 1000.0)
"""Hz between which wheezes are looked for."""
WHEEZE_BAND, WHOLE_BAND = (200.0, 800.0), (60.0, 2000.0)
"""Hz of the wheeze-band energy and of what it is a share of."""
CLEAR_TONE, CLICK = 7.0, 6.0
"""dB: of a tone above the frequencies around it, of a click above the moments around it."""
FEATURES = ("tone_75", "tone_97", "log_clicks")
_AROUND, _HALF = 120.0, 5
"""Hz on both sides that a tone is compared with; frames on both sides along which it must go on."""
_GLIDES = (-0.8, -0.5, -0.25, 0.0, 0.25, 0.5, 0.8)
"""Bins a frame (1 kHz a second) along which a tone is followed."""
_TONE_WINDOW, _TONE_HOP, _CLICK_WINDOW, _CLICK_HOP = 256, 60, 100, 20
_FLOOR = 1e-10


@dataclass(frozen=True, slots=True)
class Measures:
    """`tone_75`, `tone_97`: dB that the clearest tone of a moment reaches in a quarter and in 3 % of the time.

    `clicks`: share of the moments that stand out of those around. `tonal`: share of the time with a clear tone.
    `wheeze_band`: share of the energy.
    """

    tone_75: float
    tone_97: float
    clicks: float
    tonal: float
    wheeze_band: float

    def features(self) -> Floats:
        """float32 (3,), in the order of `FEATURES`: what stands beside the network."""
        return np.array([self.tone_75, self.tone_97, np.log(self.clicks + 0.01)], dtype=np.float32)


def measure(sound: Floats) -> Measures:
    """Of (samples,) at `RATE`, normalised."""
    spectrum = power(sound, _TONE_WINDOW, _TONE_HOP)
    frequencies = np.asarray(np.fft.rfftfreq(_TONE_WINDOW, 1 / RATE), np.float64)
    clearest = tonality(spectrum, frequencies)
    quarter, most = np.percentile(clearest, (75, 97))
    return Measures(float(quarter), float(most), _clicks(sound), float((clearest > CLEAR_TONE).mean()),
                    wheeze_band_share(spectrum, frequencies))


def tonality(spectrum: Floats, frequencies: Numbers) -> Numbers:
    """(bins, frames) → (frames,): dB by which the clearest tone between `TONES`, followed along its glide, exceeds the
    frequencies around it."""
    step = float(frequencies[1])
    inside = (frequencies >= 80) & (frequencies <= 1500)
    decibels = 10 * np.log10(spectrum[inside].astype(np.float64) + _FLOOR)
    contrast = decibels - median_filter(decibels, size=(2 * int(_AROUND / step) + 1, 1))
    followed = _followed(np.clip(contrast, -5, 15))
    heard = (frequencies[inside] >= TONES[0]) & (frequencies[inside] < TONES[1])
    return np.asarray(followed[heard].max(axis=0))


def _followed(contrast: Numbers) -> Numbers:
    """The largest mean along lines of `_GLIDES` through each point."""
    bins, frames = contrast.shape
    reach = int(np.ceil(max(_GLIDES) * _HALF)) + 1
    padded = np.pad(contrast, ((reach, reach), (_HALF, _HALF)), constant_values=-5.0)
    best = np.full(contrast.shape, -np.inf)
    for glide in _GLIDES:
        total = np.zeros(contrast.shape)
        for away in range(-_HALF, _HALF + 1):
            up = reach + round(glide * away)
            total += padded[up:up + bins, _HALF + away:_HALF + away + frames]
        np.maximum(best, total, out=best)
    return best / (2 * _HALF + 1)


def _clicks(sound: Floats) -> float:
    """Share of the moments (5 ms) whose energy above 150 Hz stands out of the 0.3 s around."""
    spectrum = power(sound, _CLICK_WINDOW, _CLICK_HOP)
    frequencies = np.fft.rfftfreq(_CLICK_WINDOW, 1 / RATE)
    energy = spectrum[(frequencies >= 150) & (frequencies <= 1500)].sum(axis=0)
    decibels = 10 * np.log10(energy.astype(np.float64) + _FLOOR)
    return float((decibels - median_filter(decibels, size=61) > CLICK).mean())


def wheeze_band_share(spectrum: Floats, frequencies: Numbers) -> float:
    """Energy of `WHEEZE_BAND` as a share of that of `WHOLE_BAND`."""
    energy = spectrum.astype(np.float64).sum(axis=1)
    parts = [energy[(frequencies >= low) & (frequencies < high)].sum() for low, high in (WHEEZE_BAND, WHOLE_BAND)]
    return float(parts[0] / max(parts[1], 1e-30))
