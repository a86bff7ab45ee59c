"""A sound over time and frequency: plain above, below with what the reader attended to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adapters.dicom.content.sheet_canvas import Canvas, Style
from adapters.dicom.content.sheet_header import Look, draw_header, header_height
from gateway.case import Reading
from gateway.pipeline import SpectrogramSheet

_LOOK = Look(width=1320, margin=16, body=20, lines=5, columns=2)
_LEFT, _GAP, _PANEL, _FOOT = 92, 14, 300, 36
_DARK, _LIGHT = (14, 15, 18), (214, 218, 224)
_HOT = np.array([255.0, 140.0, 26.0])
_RANGE = (-12.0, 32.0)
"""Decibels from the median that are black and white."""
_HERTZ = (50, 100, 200, 400, 800, 1000, 2000, 4000, 8000)
_UNITS = {"en": ("Hz", "s"), "ru": ("Гц", "с")}
_LEAST_BETWEEN = 26
"""Pixels between the middles of two labels."""


def draw_spectrogram(reading: Reading, sheet: SpectrogramSheet) -> NDArray[np.uint8]:
    """uint8 (rows, columns, 3). Without heat: the plain panel alone."""
    panels = 1 if sheet.heat is None else 2
    header = header_height(reading, _LOOK)
    canvas = Canvas(_LOOK.width, header + panels * (_PANEL + _GAP) + 2 * _FOOT + _GAP)
    draw_header(canvas, reading, _LOOK)
    canvas.draw.rectangle((0, header, canvas.image.width, canvas.image.height), fill=_DARK)
    width, top = _LOOK.width - _LEFT - _LOOK.margin, header + _GAP
    hertz_name, seconds_name = _UNITS.get(reading.language, _UNITS["en"])
    plain = _grey(sheet, width)
    shown = [plain] if sheet.heat is None else [plain, _heated(plain, sheet.heat)]
    for pixels in shown:
        canvas.image.paste(Image.fromarray(pixels), (_LEFT, top))
        _draw_frequencies(canvas, sheet, top, hertz_name)
        top += _PANEL + _GAP
    _draw_seconds(canvas, sheet, width, top - _GAP, seconds_name)
    canvas.text(_LEFT, top + _FOOT + _FOOT / 2, sheet.caption, Style(_LOOK.body, colour=_LIGHT), width=width,
                anchor="lm")
    return canvas.pixels()


def _grey(sheet: SpectrogramSheet, width: int) -> NDArray[np.uint8]:
    """(rows, width, 3), the highest band on top."""
    low, high = _RANGE
    share = np.clip((np.nan_to_num(sheet.levels, nan=low) - low) / (high - low), 0, 1)
    resized = Image.fromarray((share[::-1] * 255).astype(np.uint8)).resize((width, _PANEL), Image.Resampling.BILINEAR)
    return np.repeat(np.asarray(resized)[..., None], 3, axis=2)


def _heated(plain: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """No heat is transparent, so that the sound is seen where nothing was found."""
    known = np.clip(np.nan_to_num(heat[::-1]), 0, 1).astype(np.float32)
    resized = Image.fromarray(known).resize((plain.shape[1], plain.shape[0]), Image.Resampling.BILINEAR)
    opacity = 0.6 * np.asarray(resized)[..., None]
    return np.rint(plain * (1 - opacity) + _HOT * opacity).astype(np.uint8)


def _draw_frequencies(canvas: Canvas, sheet: SpectrogramSheet, top: int, unit: str) -> None:
    """Hertz on the left, as many as have room."""
    bands = len(sheet.frequencies)
    last = float("inf")
    for hertz in _HERTZ:
        if not sheet.frequencies[0] <= hertz <= sheet.frequencies[-1]:
            continue
        band = float(np.interp(hertz, sheet.frequencies, np.arange(bands)))
        y = top + _PANEL * (1 - (band + 0.5) / bands)
        if last - y >= _LEAST_BETWEEN:
            canvas.draw.line((_LEFT - 7, y, _LEFT - 1, y), fill=_LIGHT)
            canvas.text(_LEFT - 12, y, f"{hertz} {unit}", Style(_LOOK.body - 4, colour=_LIGHT), anchor="rm")
            last = y


def _draw_seconds(canvas: Canvas, sheet: SpectrogramSheet, width: int, y: int, unit: str) -> None:
    """Seconds of the recording below, a dozen at most."""
    step = next(step for step in (1, 2, 5, 10, 20, 30, 60, 120, 300, 1e9) if sheet.seconds / step <= 12)
    first = np.ceil(sheet.start / step) * step
    for second in np.arange(first, sheet.start + sheet.seconds + 1e-6, step):
        x = _LEFT + width * (second - sheet.start) / sheet.seconds
        canvas.draw.line((x, y + 1, x, y + 7), fill=_LIGHT)
        canvas.text(x, y + _FOOT / 2 + 4, f"{second:g} {unit}", Style(_LOOK.body - 4, colour=_LIGHT),
                    anchor="rm" if x > _LEFT + width - 20 else "mm")
