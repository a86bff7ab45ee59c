"""Other devices, other hands: what a cart, a filter or a loose electrode does to the same heart. Training only."""

from __future__ import annotations

import numpy as np

from gateway.pipeline import Floats
from pipelines.ecg.preprocess import RATE, WINDOW, band_pass

_Generator = np.random.Generator


def augmented(batch: Floats, random: _Generator) -> Floats:
    """(batch, 12, 1000) mV at 100 Hz, not yet band-passed → the same, changed at random and band-passed."""
    changed = _filtered(batch, random)
    changed = _gained(changed, random)
    changed = changed + _wander(changed.shape, random) + _noise(changed.shape, random) + _hum(changed.shape, random)
    changed = band_pass(changed.astype(np.float32))
    return _cut(_shifted(_dropped(changed, random), random), random)


def _sometimes(count: int, share: float, random: _Generator) -> Floats:
    return (random.random((count, 1, 1)) < share).astype(np.float32)


def _filtered(batch: Floats, random: _Generator) -> Floats:
    """A first-order high-pass of 0.05-0.6 Hz and a low-pass of 25-60 Hz, as carts have them."""
    frequency = np.fft.rfftfreq(batch.shape[-1], 1 / RATE)[None, None, :]
    low = random.uniform(0.05, 0.6, (len(batch), 1, 1))
    high = random.uniform(25, 60, (len(batch), 1, 1))
    response = frequency / np.sqrt(frequency**2 + low**2) / np.sqrt(1 + (frequency / high)**4)
    used = _sometimes(len(batch), 0.5, random)
    return np.fft.irfft(np.fft.rfft(batch) * (response * used + 1 - used), batch.shape[-1]).astype(np.float32)


def _gained(batch: Floats, random: _Generator) -> Floats:
    whole = np.exp(random.normal(0, 0.2, (len(batch), 1, 1)))
    each = np.exp(random.normal(0, 0.05, (len(batch), batch.shape[1], 1)))
    return (batch * whole * each).astype(np.float32)


def _wander(shape: tuple[int, ...], random: _Generator) -> Floats:
    """Breathing and drift: two slow sines a lead."""
    time = np.arange(shape[-1]) / RATE
    total = np.zeros(shape)
    for _ in range(2):
        frequency, phase = random.uniform(0.05, 0.6, (shape[0], 1, 1)), random.uniform(0, 2 * np.pi, (*shape[:2], 1))
        total += random.normal(0, 0.15, (*shape[:2], 1)) * np.sin(2 * np.pi * frequency * time + phase)
    return (total * _sometimes(shape[0], 0.5, random)).astype(np.float32)


def _noise(shape: tuple[int, ...], random: _Generator) -> Floats:
    level = np.exp(random.uniform(np.log(0.003), np.log(0.05), (*shape[:2], 1)))
    return (random.standard_normal(shape) * level * _sometimes(shape[0], 0.5, random)).astype(np.float32)


def _hum(shape: tuple[int, ...], random: _Generator) -> Floats:
    """What is left of 50 or 60 Hz after resampling: a tone just under the Nyquist frequency."""
    frequency, phase = random.uniform(38, 49, (shape[0], 1, 1)), random.uniform(0, 2 * np.pi, (*shape[:2], 1))
    tone = np.sin(2 * np.pi * frequency * np.arange(shape[-1]) / RATE + phase)
    level = np.abs(random.normal(0, 0.03, (*shape[:2], 1)))
    return (tone * level * _sometimes(shape[0], 0.2, random)).astype(np.float32)


def _dropped(batch: Floats, random: _Generator) -> Floats:
    """One or two leads gone flat in a tenth of the records."""
    for index in np.flatnonzero(random.random(len(batch)) < 0.1):
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
