"""Other devices, other hands: what a cart, a filter or a loose electrode does to the same heart. Training only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft
from scipy.signal import sosfreqz

from gateway.pipeline import Floats
from pipelines.ecg.preprocess import BAND, RATE, WINDOW

_Generator = np.random.Generator
_MIRROR = 200
"""Samples that the filter is given beyond either end."""


def augmented(batch: Floats, random: _Generator, *, drop: float = 0.1, invert: float = 0.0) -> Floats:
    """(batch, leads, 1000) mV at 100 Hz, not yet band-passed → the same, changed at random and band-passed.

    `drop`: share in which one or two leads have gone flat. `invert`: share that is upside down.
    """
    changed = _gained(batch, random)
    changed[random.random(len(batch)) < invert] *= -1
    _add(changed, 0.5, _wander, random)
    _add(changed, 0.5, _noise, random)
    _add(changed, 0.2, _hum, random)
    return _cut(_shifted(_dropped(_filtered(changed, random), drop, random), random), random)


def _add(batch: Floats, share: float, trouble: Callable[[tuple[int, ...], _Generator], Floats],
         random: _Generator) -> None:
    """To so large a share of the records."""
    chosen = np.flatnonzero(random.random(len(batch)) < share)
    batch[chosen] += trouble((len(chosen), *batch.shape[1:]), random)


def _filtered(batch: Floats, random: _Generator) -> Floats:
    """Every record as `band_pass` leaves it; half of them first through a first-order high-pass of 0.05-0.6 Hz and a
    low-pass of 25-60 Hz, as carts have them."""
    padded = np.pad(batch, ((0, 0), (0, 0), (_MIRROR, _MIRROR)), mode="reflect", reflect_type="odd")
    frequency = scipy.fft.rfftfreq(padded.shape[-1], 1 / RATE)[None, None, :]
    low, high = random.uniform(0.05, 0.6, (len(batch), 1, 1)), random.uniform(25, 60, (len(batch), 1, 1))
    cart = np.maximum(frequency, 1e-9) / np.sqrt(frequency**2 + low**2) / np.sqrt(1 + (frequency / high)**4)
    used = random.random((len(batch), 1, 1)) < 0.5
    passed = np.abs(sosfreqz(BAND, frequency[0, 0], fs=RATE)[1]) ** 2
    response = (np.where(used, cart, 1.0) * passed).astype(np.float32)
    spectrum = scipy.fft.rfft(padded, axis=-1) * response
    return np.asarray(scipy.fft.irfft(spectrum, padded.shape[-1], axis=-1)[..., _MIRROR:-_MIRROR], np.float32)


def _gained(batch: Floats, random: _Generator) -> Floats:
    whole = np.exp(random.normal(0, 0.2, (len(batch), 1, 1)))
    each = np.exp(random.normal(0, 0.05, (len(batch), batch.shape[1], 1)))
    return (batch * whole * each).astype(np.float32)


def _wander(shape: tuple[int, ...], random: _Generator) -> Floats:
    """Breathing and drift: two slow sines a lead."""
    time = np.arange(shape[-1]) / RATE
    total = np.zeros(shape, np.float32)
    for _ in range(2):
        frequency, phase = random.uniform(0.05, 0.6, (shape[0], 1, 1)), random.uniform(0, 2 * np.pi, (*shape[:2], 1))
        angle = (2 * np.pi * frequency * time + phase).astype(np.float32)
        total += random.normal(0, 0.15, (*shape[:2], 1)).astype(np.float32) * np.sin(angle)
    return total


def _noise(shape: tuple[int, ...], random: _Generator) -> Floats:
    level = np.exp(random.uniform(np.log(0.003), np.log(0.05), (*shape[:2], 1)))
    return random.standard_normal(shape, np.float32) * level.astype(np.float32)


def _hum(shape: tuple[int, ...], random: _Generator) -> Floats:
    """What is left of 50 or 60 Hz after resampling: a tone just under the Nyquist frequency."""
    frequency, phase = random.uniform(38, 49, (shape[0], 1, 1)), random.uniform(0, 2 * np.pi, (*shape[:2], 1))
    tone = np.sin((2 * np.pi * frequency * np.arange(shape[-1]) / RATE + phase).astype(np.float32))
    return tone * np.abs(random.normal(0, 0.03, (*shape[:2], 1))).astype(np.float32)


def _dropped(batch: Floats, share: float, random: _Generator) -> Floats:
    """One or two leads gone flat."""
    for index in np.flatnonzero(random.random(len(batch)) < share):
        batch[index, random.integers(0, batch.shape[1], random.integers(1, 3))] = 0
    return batch


def _shifted(batch: Floats, random: _Generator) -> Floats:
    """Up to a second earlier or later; zeros where nothing is left."""
    for index in np.flatnonzero(random.random(len(batch)) < 0.7):
        by = int(random.integers(-100, 101))
        batch[index] = np.roll(batch[index], by, axis=-1)
        batch[index, :, slice(None, by) if by > 0 else slice(WINDOW + by, None)] = 0
    return batch


def _cut(batch: Floats, random: _Generator) -> Floats:
    """Recordings of eight to ten seconds: zeros at both ends, as `windows` sets them."""
    for index in np.flatnonzero(random.random(len(batch)) < 0.1):
        edge = int(random.integers(1, 100))
        batch[index, :, :edge] = 0
        batch[index, :, -edge:] = 0
    return batch
