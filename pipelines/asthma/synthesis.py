"""Breath sounds out of nothing, and wheezes and crackles to add to real ones: what the networks learn first.

Coloured noise that comes and goes with breathing, heart sounds, friction; on it wheezes (tones that glide, 80 ms or
longer), crackles (two to three swings of a damped tone), and what is often taken for them: clicks, hum, voices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from gateway.pipeline import Floats
from pipelines.asthma.preprocess import RATE

Numbers = NDArray[np.float64]
Random = np.random.Generator

_KNOTS = np.array([0.0, 60, 150, 250, 400, 650, 900, 1300, 2000])
"""Hz between which the spectrum of the noise falls."""
_DROPS = np.array([0.0, 4, 12, 8, 3, 3, 12, 10, 6])
"""Mean fall in dB down to each."""


@dataclass(frozen=True, slots=True)
class Breathing:
    """Seconds of a cycle and into it at which the sound begins; how loud in and out are, and what stays between."""

    cycle: float
    offset: float
    inward: float
    outward: float
    rest: float

    def phase(self, time: Numbers) -> Numbers:
        return (time / self.cycle + self.offset) % 1.0

    def loudness(self, time: Numbers) -> Numbers:
        phase = self.phase(time)
        inward = np.sin(np.pi * np.clip(phase / 0.4, 0, 1)) * self.inward
        outward = np.sin(np.pi * np.clip((phase - 0.45) / 0.5, 0, 1)) * self.outward
        return np.asarray(self.rest + inward + outward)


def breathing(random: Random) -> Breathing:
    return Breathing(random.uniform(1.6, 5.0), random.uniform(), random.uniform(0.5, 1.5), random.uniform(0.2, 1.5),
                     random.uniform(0.1, 0.6))


def chest(random: Random, seconds: float, breath: Breathing) -> Floats:
    """(samples,) at `RATE`: breath noise, heart sounds, friction."""
    time = np.arange(round(seconds * RATE)) / RATE
    sound = _noise(random, time.size) * breath.loudness(time)
    if random.uniform() < 0.8:
        sound += _heart(random, time) * sound.std() * random.uniform(0.5, 4)
    for _ in range(random.poisson(random.choice([0, 2, 12]))):
        _place(sound, _click(random) * random.lognormal(0, 0.7), random)
    return sound.astype(np.float32)


def _noise(random: Random, samples: int) -> Numbers:
    drops = _DROPS + random.normal(0, 0.35, _DROPS.size) * (_DROPS + 2)
    frequencies = np.fft.rfftfreq(samples, 1 / RATE)
    decibels = -np.interp(frequencies, _KNOTS, np.cumsum(drops))
    spectrum = (random.normal(size=frequencies.size) + 1j * random.normal(size=frequencies.size)) * 10**(decibels / 20)
    spectrum[frequencies < 20] = 0
    noise = np.fft.irfft(spectrum, samples)
    return np.asarray(noise / noise.std() + random.uniform(0, 3e-4) * random.normal(size=samples))


def _heart(random: Random, time: Numbers) -> Numbers:
    """Two thuds a beat."""
    interval, beats = 60 / random.uniform(55, 110), np.zeros(time.size)
    first = np.arange(-random.uniform(0, interval), time[-1], interval)
    for delay, size, pitch in ((0.0, 1.0, random.uniform(35, 70)), (0.36 * interval**0.5, 0.7, random.uniform(45, 90))):
        for onset in first + delay:
            near = np.abs(time - onset) < 0.1
            away = time[near] - onset
            beats[near] += size * np.exp(-(away / 0.025)**2) * np.sin(2 * np.pi * pitch * away)
    return beats


def _click(random: Random) -> Numbers:
    """Friction of the stethoscope: a few milliseconds of everything."""
    length = int(random.integers(6, 60))
    return np.asarray(random.normal(size=length) * np.exp(-np.arange(length) / (length / 4)))


def _place(sound: Numbers, piece: Numbers, random: Random, begin: int | None = None) -> None:
    at = int(random.integers(0, max(sound.size - piece.size, 1))) if begin is None else begin
    end = min(at + piece.size, sound.size)
    sound[at:end] += piece[:end - at]


def wheeze(random: Random, level: float, seconds: float | None = None) -> Numbers:
    """One tone that glides and fades in and out, with up to two harmonics; `level`: its root mean square."""
    length = seconds or float(np.exp(random.uniform(np.log(0.1), np.log(0.9))))
    time = np.arange(round(length * RATE)) / RATE
    pitch = np.exp(random.uniform(np.log(140), np.log(800)))
    bend, curve = random.normal(0, 0.25), random.normal(0, 0.15)
    share = time / length - 0.5
    path = pitch * np.exp(bend * share + curve * np.sin(2 * np.pi * share + random.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(path) / RATE
    tone = np.sin(phase)
    for harmonic in (2, 3):
        if random.uniform() < 0.4 and path.max() * harmonic < RATE / 2:
            tone += random.uniform(0.1, 0.5) * np.sin(harmonic * phase)
    window = np.sin(np.pi * (share + 0.5)) ** random.uniform(0.3, 1.0)
    return np.asarray(level * np.sqrt(2) * tone * window)


def crackle(random: Random, level: float) -> Numbers:
    """A damped tone whose swings get longer; `level`: its first peak."""
    time = np.arange(round(0.02 * RATE)) / RATE
    pitch, decay = np.exp(random.uniform(np.log(150), np.log(700))), random.uniform(0.002, 0.006)
    return np.asarray(level * np.exp(-time / decay) * np.sin(2 * np.pi * pitch * np.sqrt(time * 0.004 + time**2)))


def level_in(sound: Floats, low: float, high: float) -> float:
    """Root mean square of what a sound holds between two frequencies, where it is at its middle loudness."""
    sections = butter(2, (low, high), "bandpass", fs=RATE, output="sos")
    filtered = sosfilt(sections, sound.astype(np.float64))
    parts = filtered[:filtered.size // 400 * 400].reshape(-1, 400)
    return float(np.median(np.sqrt((parts**2).mean(axis=1)))) + 1e-9


def add_wheezes(sound: Floats, random: Random, breath: Breathing | None = None, count: int = 0) -> Floats:
    """With one to seven wheezes, in breathing out where the breathing is known, now and then two at once."""
    changed, level = sound.astype(np.float64), level_in(sound, 150, 900)
    for _ in range(count or int(random.integers(1, 8))):
        for _ in range(1 + int(random.uniform() < 0.2)):
            piece = wheeze(random, level * 10 ** (random.uniform(-0.45, 0.45)))
            _place(changed, piece, random, _moment(sound.size - piece.size, breath, random, (0.4, 0.8)))
    return changed.astype(np.float32)


def add_crackles(sound: Floats, random: Random, breath: Breathing | None = None) -> Floats:
    """With one to three bunches of crackles, in breathing in where the breathing is known."""
    changed, level = sound.astype(np.float64), level_in(sound, 150, 900)
    for _ in range(int(random.integers(1, 4))):
        begin = _moment(sound.size - 2000, breath, random, (0.1, 0.4))
        for at in random.integers(0, 2000, int(random.integers(4, 16))):
            _place(changed, crackle(random, level * 10 ** random.uniform(0.4, 1.1)), random, begin + int(at))
    return changed.astype(np.float32)


def _moment(last: int, breath: Breathing | None, random: Random, phases: tuple[float, float]) -> int:
    """A first sample up to `last`; in these phases of the breath, where it is known."""
    drawn = random.integers(0, max(last, 1), 12)
    if breath is not None:
        phase = breath.phase(drawn / RATE)
        fitting = drawn[(phase >= phases[0]) & (phase <= phases[1])]
        drawn = fitting if fitting.size else drawn
    return int(drawn[0])


def add_disturbance(sound: Floats, random: Random) -> Floats:
    """With what is no breath sound: hum of the mains, or a voice."""
    time = np.arange(sound.size) / RATE
    if random.uniform() < 0.5:
        pitch = random.choice([50.0, 60.0])
        hum = sum(random.uniform(0, 1) / k * np.sin(2 * np.pi * pitch * k * time + random.uniform(0, 6))
                  for k in range(1, 9))
        return np.asarray(sound + level_in(sound, 40, 400) * random.uniform(0.2, 2) * hum, dtype=np.float32)
    changed = sound.astype(np.float64)
    for _ in range(int(random.integers(1, 4))):
        _place(changed, voice(random, level_in(sound, 100, 900) * random.uniform(1, 5), random.uniform(0.2, 0.7)),
               random)
    return changed.astype(np.float32)


def voice(random: Random, level: float, seconds: float) -> Numbers:
    """One vowel: a dozen harmonics of a pitch that falls, under two formants; `level`: its root mean square."""
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = random.uniform(95, 240) * np.exp(random.normal(-0.15, 0.1) * time / seconds)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = random.uniform(300, 800), random.uniform(900, 1800)
    tone = np.zeros(time.size)
    for harmonic in range(1, 16):
        at = harmonic * float(pitch.mean())
        if at * 1.3 < RATE / 2:
            tone += sum(np.exp(-((at - f) / 150.0) ** 2) for f in formants) * np.sin(harmonic * phase) + \
                0.15 / harmonic * np.sin(harmonic * phase)
    tone *= np.sin(np.pi * time / seconds) ** 0.5
    return np.asarray(level * tone / max(float(tone.std()), 1e-9))


def example(random: Random, seconds: float = 5.0) -> tuple[Floats, tuple[bool, bool]]:
    """A synthetic sound and whether it holds wheezes and crackles."""
    breath = breathing(random)
    sound = chest(random, seconds, breath)
    if random.uniform() < 0.2:
        sound = add_disturbance(sound, random)
    wheezes, crackles = bool(random.uniform() < 0.45), bool(random.uniform() < 0.35)
    if wheezes:
        sound = add_wheezes(sound, random, breath)
    if crackles:
        sound = add_crackles(sound, random, breath)
    if random.uniform() < 0.5:
        sound = filtered(sound, random)
    return sound, (wheezes, crackles)


def filtered(sound: Floats, random: Random) -> Floats:
    """Through what a stethoscope's bell or diaphragm lets pass."""
    low, high = random.uniform(15, 120), random.uniform(300, 1500)
    return np.asarray(sosfilt(butter(2, (low, high), "bandpass", fs=RATE, output="sos"), sound), dtype=np.float32)
