"""The most telling slice: plain beside heat overlay, with legend and caption; and the card for a study without one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from adapters.dicom.content.sheet_canvas import Canvas, Style
from adapters.dicom.content.sheet_header import Look, draw_header, header_height
from gateway.case import Reading
from gateway.pipeline import KeyImage

_LOOK = Look(width=1320, margin=16, body=20, lines=5, columns=2)
_GAP = 12
_TALLEST = 900
_FOOT = 44
_DARK, _LIGHT = (14, 15, 18), (214, 218, 224)
_CONTOUR = (255, 196, 0)
_CARD = Look(width=1320, margin=24, body=28, lines=12, columns=1)
# Dark violet over red to pale yellow, lightness rising evenly, so that more heat is always brighter.
_ANCHORS = ((0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39),
            (252, 255, 164))


def draw_key_image(reading: Reading, picture: KeyImage) -> NDArray[np.uint8]:
    """uint8 (rows, columns, 3). With heat or contour: two panels, plain and overlay; without: one, enlarged."""
    panels = 1 if picture.heat is None and picture.contour is None else 2
    width, height = _size(picture, panels)
    header = header_height(reading, _LOOK)
    canvas = Canvas(_LOOK.width, header + height + _FOOT + _GAP)
    draw_header(canvas, reading, _LOOK)
    canvas.draw.rectangle((0, header, canvas.image.width, canvas.image.height), fill=_DARK)
    plain = _in_colour(_enlarged(picture.pixels, width, height))
    left, top = (_LOOK.width - panels * width - (panels - 1) * _GAP) // 2, header + _GAP
    canvas.image.paste(Image.fromarray(plain), (left, top))
    canvas.text(left, top + height + _FOOT / 2, picture.caption, Style(_LOOK.body, colour=_LIGHT),
                width=width if panels == 2 else _LOOK.width - left, anchor="lm")
    if picture.contour is not None:
        canvas.image.paste(Image.fromarray(_outlined(plain, picture.contour)), (left + width + _GAP, top))
    elif picture.heat is not None:
        canvas.image.paste(Image.fromarray(_overlay(plain, picture.heat)), (left + width + _GAP, top))
        _draw_legend(canvas, left + width + _GAP, width, top + height + _FOOT // 2)
    return canvas.pixels()


def draw_card(reading: Reading) -> NDArray[np.uint8]:
    """uint8 (rows, columns, 3): the strip alone in larger type, where there is no picture to show."""
    canvas = Canvas(_CARD.width, max(_CARD.width // 2, header_height(reading, _CARD) + _GAP))
    draw_header(canvas, reading, _CARD)
    return canvas.pixels()


def _size(picture: KeyImage, panels: int) -> tuple[int, int]:
    """Width and height of one panel in square pixels: as large as fits, the anatomy's own proportions kept."""
    rows, columns = picture.pixels.shape[:2]
    ratio = rows * picture.pixel_aspect / columns
    room = (_LOOK.inner - (panels - 1) * _GAP) // panels
    width = min(room, round(_TALLEST / ratio))
    return max(1, width), max(1, round(width * ratio))


def _enlarged(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def _in_colour(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB as it is, grey levels three times."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def _overlay(plain: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Heat laid over the image: no heat is transparent, so that the anatomy is seen where nothing was found."""
    known = np.clip(np.nan_to_num(heat), 0, 1).astype(np.float32)
    resized = Image.fromarray(known).resize((plain.shape[1], plain.shape[0]), Image.Resampling.BILINEAR)
    amount = np.asarray(resized)
    opacity = np.minimum(1.0, 1.4 * amount)[..., None] * 0.65
    return np.rint(plain * (1 - opacity) + _coloured(amount) * opacity).astype(np.uint8)


def _outlined(plain: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The mask's edge, three pixels wide, whatever the enlargement."""
    large = Image.fromarray(mask.astype(np.uint8) * 255).resize((plain.shape[1], plain.shape[0]),
                                                                 Image.Resampling.BILINEAR)
    inside = large.point(lambda value: 255 if value >= 128 else 0)
    edge = np.asarray(inside.filter(ImageFilter.MaxFilter(3))) != np.asarray(inside.filter(ImageFilter.MinFilter(3)))
    drawn = plain.copy()
    drawn[edge] = _CONTOUR
    return drawn


def _coloured(amount: NDArray[np.float32]) -> NDArray[np.float64]:
    at = np.linspace(0, 1, len(_ANCHORS))
    return np.stack([np.interp(amount, at, channel) for channel in zip(*_ANCHORS, strict=True)], axis=-1)


def _draw_legend(canvas: Canvas, left: int, width: int, middle: int) -> None:
    """Colour bar of the heat, from 0 to 1, under the overlay."""
    small = Style(_LOOK.body, colour=_LIGHT)
    room, half = 32, 9
    bar = _coloured(np.tile(np.linspace(0, 1, max(2, width - 2 * room), dtype=np.float32), (2 * half, 1)))
    canvas.image.paste(Image.fromarray(np.rint(bar).astype(np.uint8)), (left + room, middle - half))
    canvas.draw.rectangle((left + room - 1, middle - half - 1, left + width - room, middle + half), outline=_LIGHT)
    canvas.text(left + room - 8, middle, "0", small, anchor="rm")
    canvas.text(left + width - room + 8, middle, "1", small, anchor="lm")
