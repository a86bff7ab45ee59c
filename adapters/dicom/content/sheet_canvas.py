"""Drawing for the pictures: one bundled font (Latin, Cyrillic, Greek), colours, text that stays inside its box."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

INK: Colour = (24, 28, 36)
FAINT: Colour = (92, 98, 110)
PAPER: Colour = (255, 255, 255)
RED: Colour = (176, 24, 32)
GREEN: Colour = (22, 112, 60)
AMBER: Colour = (150, 84, 0)

_FONTS = Path(__file__).parent / "fonts"
_ELLIPSIS = "…"


@lru_cache(maxsize=32)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans at `size` pixels; simple layout, so that the picture does not depend on the system's libraries."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(_FONTS / name), size, layout_engine=ImageFont.Layout.BASIC)


@dataclass(frozen=True, slots=True)
class Style:
    size: int
    bold: bool = False
    colour: Colour = INK

    @property
    def line(self) -> int:
        """Pixels from one line to the next."""
        return round(self.size * 1.35)


class Canvas:
    """An RGB picture with text that is measured before it is drawn. Coordinates are pixels from the top left."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def text(self, x: float, y: float, words: str, style: Style, width: float | None = None,
             anchor: str = "la", halo: Colour | None = None) -> None:
        """One line; cut with an ellipsis where it would be wider than `width`. `halo` keeps it off what lies below."""
        shown = fitted(words, style, width) if width is not None else words
        self.draw.text((x, y), shown, font=font(style.size, style.bold), fill=style.colour, anchor=anchor,
                       stroke_width=4 if halo else 0, stroke_fill=halo)

    def paragraph(self, x: float, y: float, words: str, style: Style, width: float, most: int) -> float:
        """At most `most` lines; returns the y below the last."""
        for line in wrapped(words, style, width, most):
            self.text(x, y, line, style)
            y += style.line
        return y

    def pixels(self) -> NDArray[np.uint8]:
        """uint8 (rows, columns, 3)."""
        return np.asarray(self.image, dtype=np.uint8)


def width_of(words: str, style: Style) -> float:
    return font(style.size, style.bold).getlength(words)


def fitted(words: str, style: Style, width: float) -> str:
    """`words`, or as much of it as fits with an ellipsis."""
    if width_of(words, style) <= width:
        return words
    low, high = 0, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if width_of(words[:middle] + _ELLIPSIS, style) <= width else (low, middle - 1)
    return words[:low].rstrip() + _ELLIPSIS


def wrapped(words: str, style: Style, width: float, most: int) -> list[str]:
    """Lines no wider than `width`; what does not fit into `most` of them ends with an ellipsis."""
    lines: list[str] = []
    line = ""
    for word in words.split():
        longer = f"{line} {word}" if line else word
        if line and width_of(longer, style) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    lines += [line] if line else []
    if len(lines) > most:
        lines = [*lines[:most - 1], f"{lines[most - 1]} {_ELLIPSIS}"]
    return [fitted(each, style, width) for each in lines]
