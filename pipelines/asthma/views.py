"""The picture of a reading: the most telling recording over time and frequency, and where the networks attended."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

from gateway.pipeline import Floats, SpectrogramSheet
from pipelines.asthma.decision import Heard
from pipelines.asthma.mel import HOP, band_edges, filters
from pipelines.asthma.preprocess import RATE, WINDOW, trimmed_span
from pipelines.asthma.spectrum import power

_WINDOW = 0.1
"""Seconds of the transform that is shown."""
_SIZE = 1024
_FRAMES = round(WINDOW / HOP)


def sheet(heard: Heard, number: int, count: int) -> SpectrogramSheet:
    """Of the recording `number` of `count`; what was trimmed off is not shown."""
    begin, end = trimmed_span(heard.sound.size)
    bands = filters(_SIZE, RATE) @ power(heard.sound[begin:end], round(_WINDOW * RATE), round(HOP * RATE), _SIZE)
    decibels = 10 * np.log10(bands.astype(np.float64) + 1e-9)
    levels = (decibels - np.median(decibels)).astype(np.float32)
    heat = attended(heard, levels.shape, begin / RATE)
    place = heard.audio.location or "place not told"
    caption = (f"Recording {number} of {count}, {place}: mel spectrogram, window 100 ms; below, orange: where the "
               "networks attended")
    return SpectrogramSheet(levels, band_edges(RATE)[1:-1], (end - begin) / RATE, heat, caption, begin / RATE)


def attended(heard: Heard, shape: tuple[int, ...], begin: float) -> Floats:
    """(bands, frames) in [0, 1]: by how much the attention of the clips, at their places, exceeds an even one; where
    they overlap the mean."""
    total, counts = np.zeros(shape), np.zeros(shape[1])
    for grid, start in zip(heard.attention, heard.starts, strict=True):
        first = round((start - begin) / HOP)
        last = min(first + _FRAMES, shape[1])
        total[:, first:last] += enlarged(grid, (shape[0], _FRAMES))[:, :last - first]
        counts[first:last] += 1
    mean = np.maximum(total / np.maximum(counts, 1) - heard.attention.mean(), 0)
    top = float(np.percentile(mean, 99.5))
    return np.asarray(np.clip(mean / max(top, 1e-12), 0, 1), dtype=np.float32)


def enlarged(grid: Floats, shape: tuple[int, int]) -> Floats:
    """A small map over a larger one, straight from the middle of each cell to the next."""
    places = [np.clip((np.arange(many) + 0.5) * few / many - 0.5, 0, few - 1)
              for few, many in zip(grid.shape, shape, strict=True)]
    return np.asarray(map_coordinates(grid, np.meshgrid(*places, indexing="ij"), order=1), dtype=np.float32)
