"""A 12-lead sheet on the standard grid: 25 mm/s, 10 mm/mV, 3 × 4 leads of 2.5 s over a rhythm strip of lead II."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from adapters.dicom.content.sheet_canvas import FAINT, INK, Canvas, Style
from adapters.dicom.content.sheet_header import Look, draw_header, header_height
from adapters.dicom.content.waveform_leads import STANDARD
from gateway.case import Reading
from gateway.pipeline import EcgSheet, Floats

PIXELS_PER_MM = 6
"""Paper is 260 mm wide; 1572 pixels stand unscaled on a 1600-pixel screen and print at 150 dpi."""

_SPEED, _GAIN = 25.0, 10.0
_SECONDS = 10.0
_MARGIN_MM, _PULSE_MM, _ROW_MM, _FOOT_MM = 1, 10, 30, 6
_WIDTH = round((_PULSE_MM + _SECONDS * _SPEED + 2 * _MARGIN_MM) * PIXELS_PER_MM)
_LOOK = Look(width=_WIDTH, margin=14, body=22, lines=6, columns=3)
_SMOOTH = 3
"""Traces are drawn this many times larger and reduced, so that their edges are smooth."""
_TRACE_MM = 0.35
_PAPER = (255, 250, 249)
_UNITS = {"en": "25 mm/s   10 mm/mV   {rate:g} Hz   {shown:g} s of {whole:g} s",
          "ru": "25 мм/с   10 мм/мВ   {rate:g} Гц   {shown:g} с из {whole:g} с"}


@dataclass(frozen=True, slots=True)
class _Strip:
    """One lead's piece of paper: row from the top, seconds from the left edge and how long, what to draw there."""

    lead: str
    row: int
    left: float
    seconds: float
    signal: Floats | None


def draw_ecg(reading: Reading, sheet: EcgSheet) -> NDArray[np.uint8]:
    """uint8 (rows, columns, 3). What is NaN stays blank; a lead that is not there has its label alone."""
    strips = _layout(sheet)
    rows = 1 + max(s.row for s in strips)
    top = header_height(reading, _LOOK)
    height = top + (rows * _ROW_MM + _FOOT_MM) * PIXELS_PER_MM
    canvas = Canvas(_WIDTH, height)
    draw_header(canvas, reading, _LOOK)
    paper = (_MARGIN_MM * PIXELS_PER_MM, top, _WIDTH - _MARGIN_MM * PIXELS_PER_MM,
             top + rows * _ROW_MM * PIXELS_PER_MM)
    _draw_grid(canvas, paper)
    _draw_traces(canvas, paper, strips, rows, sheet.rate)
    _draw_labels(canvas, paper, strips)
    _draw_foot(canvas, reading, sheet, height)
    return canvas.pixels()


def _layout(sheet: EcgSheet) -> list[_Strip]:
    """3 × 4 and a rhythm strip for six or more standard leads, else a row of 10 s for each lead there is."""
    signals = dict(zip(sheet.leads, sheet.signal, strict=True))
    if len(signals.keys() & set(STANDARD)) < 6:
        return [_Strip(lead, row, 0.0, _SECONDS, _window(signal, sheet.rate, 0.0, _SECONDS))
                for row, (lead, signal) in enumerate(list(signals.items())[:6])]
    quarter = _SECONDS / 4
    strips = [_Strip(lead, i % 3, i // 3 * quarter, quarter,
                     _window(signals.get(lead), sheet.rate, i // 3 * quarter, quarter))
              for i, lead in enumerate(STANDARD)]
    rhythm = "II" if "II" in signals else next(lead for lead in STANDARD if lead in signals)
    return [*strips, _Strip(rhythm, 3, 0.0, _SECONDS, _window(signals[rhythm], sheet.rate, 0.0, _SECONDS))]


def _window(signal: Floats | None, rate: float, start: float, seconds: float) -> Floats | None:
    """The piece that starts at `start`; where that holds little, the fullest of the pieces that begin elsewhere."""
    if signal is None:
        return None
    length = max(2, round(seconds * rate))
    first = round(start * rate)
    starts = [first, *range(0, max(1, signal.size - length + 1), max(1, length // 2))]
    pieces = [signal[s:s + length] for s in starts]
    known = [int(np.isfinite(piece).sum()) for piece in pieces]
    return pieces[0] if known[0] >= 0.6 * max(known) else pieces[int(np.argmax(known))]


def _draw_grid(canvas: Canvas, paper: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = paper
    canvas.draw.rectangle(paper, fill=_PAPER)
    for every, colour, width in ((1, (250, 219, 217), 1), (5, (238, 164, 160), 1)):
        step = every * PIXELS_PER_MM
        for x in range(left, right + 1, step):
            canvas.draw.line((x, top, x, bottom), fill=colour, width=width)
        for y in range(top, bottom + 1, step):
            canvas.draw.line((left, y, right, y), fill=colour, width=width)


def _draw_traces(canvas: Canvas, paper: tuple[int, int, int, int], strips: Sequence[_Strip], rows: int,
                 rate: float) -> None:
    left, top, right, bottom = paper
    mask = Image.new("L", ((right - left) * _SMOOTH, (bottom - top) * _SMOOTH), 0)
    pen = ImageDraw.Draw(mask)
    width = round(_TRACE_MM * PIXELS_PER_MM * _SMOOTH)
    for line in (*(_pulse(row) for row in range(rows)), *(line for s in strips for line in _lines(s, rate))):
        points = (line * PIXELS_PER_MM * _SMOOTH).ravel().tolist()
        pen.line(points, fill=255, width=width, joint="curve" if len(points) < 20 else None)
    canvas.image.paste(INK, (left, top), mask.reduce(_SMOOTH))


def _pulse(row: int) -> NDArray[np.float64]:
    """Calibration: 1 mV for 0.2 s, 5 mm wide and 10 mm high; points in mm from the paper's corner."""
    base = (row + 0.5) * _ROW_MM
    return np.array([(1.5, base), (2.5, base), (2.5, base - _GAIN), (7.5, base - _GAIN), (7.5, base), (9.0, base)])


def _lines(strip: _Strip, rate: float) -> Iterator[NDArray[np.float64]]:
    """Unbroken runs of samples as points in mm; the strip's median lies on the row's middle."""
    if strip.signal is None or not np.isfinite(strip.signal).any():
        return
    millivolts = strip.signal.astype(np.float64) - np.nanmedian(strip.signal[np.isfinite(strip.signal)])
    x = _PULSE_MM + (strip.left + np.arange(millivolts.size) / rate) * _SPEED
    y = (strip.row + 0.5) * _ROW_MM - millivolts * _GAIN
    known = np.isfinite(millivolts)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], known.view(np.int8), [0]))))
    for begin, end in edges.reshape(-1, 2):
        if end - begin > 1:
            yield np.column_stack((x[begin:end], y[begin:end]))


def _draw_labels(canvas: Canvas, paper: tuple[int, int, int, int], strips: Sequence[_Strip]) -> None:
    left, top, _, _ = paper
    for strip in strips:
        x = left + (_PULSE_MM + strip.left * _SPEED) * PIXELS_PER_MM
        y = top + strip.row * _ROW_MM * PIXELS_PER_MM
        there = strip.signal is not None and bool(np.isfinite(strip.signal).any())
        if strip.left > 0:
            middle = y + _ROW_MM * PIXELS_PER_MM / 2
            tick = 3 * PIXELS_PER_MM
            canvas.draw.line((x, middle - tick, x, middle + tick), fill=INK, width=2)
        style = Style(24, bold=True, colour=INK if there else FAINT)
        canvas.text(x + 8, y + 6, strip.lead if there else f"{strip.lead} -", style, width=300, halo=_PAPER)


def _draw_foot(canvas: Canvas, reading: Reading, sheet: EcgSheet, height: int) -> None:
    whole = sheet.signal.shape[1] / sheet.rate if sheet.seconds is None else sheet.seconds
    shown = _SECONDS if sheet.seconds is None else _SECONDS * len(sheet.leads)
    words = _UNITS[reading.language].format(rate=round(sheet.rate, 1), shown=round(min(whole, shown), 1),
                                            whole=round(whole, 1))
    middle = height - _FOOT_MM * PIXELS_PER_MM / 2
    canvas.text(_LOOK.margin, middle, words, Style(22, colour=FAINT), width=_LOOK.inner, anchor="lm")
