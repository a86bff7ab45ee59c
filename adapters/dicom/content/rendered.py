"""Rendered images (PS3.18 10.4 Rendered and Thumbnail resources): a frame with its window, as JPEG or PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi

from adapters.dicom.content.dicom_json import opened
from adapters.dicom.content.frames import Image, Samples, decoded, reading
from gateway.errors import Unreadable, Unusable

OFFERED = ("image/jpeg", "image/png")
_LARGEST = 100_000_000
"""Samples of a frame that is rendered."""
_WIDEST = 8192
_FUNCTIONS = ("linear", "linear-exact", "sigmoid")
_SQUARE = 0.01
"""Relative difference between the sides of a pixel that is too small to be seen."""
Grey = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    """`window` (8.3.5.1.4): output values after the modality LUT. `function`: linear, linear-exact or sigmoid."""

    center: float
    width: float
    function: str = "linear"


@dataclass(frozen=True, slots=True)
class Viewport:
    """`viewport` (8.3.5.1.3): the size to fit in, and the region of the image to show; a negative size flips."""

    width: int
    height: int
    region: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class View:
    """How a frame is shown; None and 90 where the request does not say."""

    window: Window | None = None
    viewport: Viewport | None = None
    quality: int = 90


def parse_window(text: str) -> Window:
    """`center,width,function`. Raises Unreadable."""
    parts = [part.strip() for part in text.split(",")]
    function = parts[2].lower() if len(parts) == 3 else "linear"
    if len(parts) not in (2, 3) or function not in _FUNCTIONS:
        raise Unreadable("window is center,width,function with the function linear, linear-exact or sigmoid.",
                         element="window")
    center, width = _numbers(parts[:2], "window")
    if width <= 0 or (function == "linear" and width < 1):
        raise Unreadable("The width of the window must be positive, and at least 1 for linear.", element="window")
    return Window(center, width, function)


def parse_viewport(text: str, *, region: bool = True) -> Viewport:
    """`vw,vh` or, where `region`, `vw,vh,sx,sy,sw,sh`. Raises Unreadable."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 and not (region and 3 <= len(parts) <= 6):
        raise Unreadable("viewport is width,height" + (",x,y,width,height of the region." if region else "."),
                         element="viewport")
    width, height = _numbers(parts[:2], "viewport")
    if not (1 <= width <= _WIDEST and 1 <= height <= _WIDEST):
        raise Unreadable(f"The viewport is between 1 and {_WIDEST} pixels wide and high.", element="viewport")
    # what is left out of the region stands for the whole image (8.3.5.1.3)
    told = _numbers([part or "nan" for part in parts[2:]], "viewport", finite=False)
    shown = (*told, *[math.nan] * (4 - len(told)))
    return Viewport(int(width), int(height), (shown[0], shown[1], shown[2], shown[3]) if told else None)


def parse_quality(text: str) -> int:
    """1 to 100. Raises Unreadable."""
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 100):
        raise Unreadable("quality is a whole number from 1 to 100.", element="quality")
    return int(text)


def _numbers(parts: Sequence[str], element: str, *, finite: bool = True) -> list[float]:
    try:
        found = [float(part) for part in parts]
    except ValueError as error:
        raise Unreadable(f"{element} holds something that is no number.", element=element) from error
    if (finite and not all(map(math.isfinite, found))) or any(map(math.isinf, found)) or any(
            abs(n) > 1e9 for n in found):
        raise Unreadable(f"{element} holds a number that is out of range.", element=element)
    return found


def render(image: Image, number: int, view: View, media_type: str) -> bytes:
    """One frame (1-based), pixel for pixel where there is no viewport to fit it in.

    Raises Unusable where it cannot be shown, Transient where the file is out of reach.
    """
    if image.rows * image.columns * image.samples > _LARGEST:
        raise Unusable("The image is too large to be rendered here.")
    with reading(), opened(image.path) as header:
        (samples,) = list(decoded(image, [number]))
        picture = Pillow.fromarray(_eight_bits(samples, header, number, view.window))
        if view.viewport is not None:
            picture = _fitted(_with_square_pixels(_region(picture, view.viewport.region), header), view.viewport)
        return _written(picture, media_type, view.quality)


# ---------------------------------------------------------------- grey values and colours


def _eight_bits(samples: Samples, header: Dataset, number: int, window: Window | None) -> NDArray[np.uint8]:
    """(rows, columns) or (rows, columns, 3) as a screen shows it."""
    kind = str(header.get("PhotometricInterpretation") or "MONOCHROME2")
    if kind == "PALETTE COLOR":
        colours = apply_color_lut(samples, header)[..., :3]
        return _from_bits(colours, colours.dtype.itemsize * 8)
    if samples.ndim == 3:
        return _from_bits(samples, int(header.get("BitsStored") or 8))
    grey = _grey(samples, header, number, window)
    return np.uint8(255) - grey if kind == "MONOCHROME1" else grey


def _from_bits(samples: Samples, bits: int) -> NDArray[np.uint8]:
    return (samples >> max(0, bits - 8)).astype(np.uint8) if samples.dtype.kind in "iu" else samples.astype(np.uint8)


def _grey(samples: Samples, header: Dataset, number: int, window: Window | None) -> NDArray[np.uint8]:
    if samples.dtype.kind in "iu" and int(header.get("BitsAllocated") or 8) == 1:
        return (samples * 255).astype(np.uint8)
    groups = _groups(header, number)
    values = _modality(samples, header, groups)
    if window is None and header.get("VOILUTSequence"):
        looked_up = apply_voi(np.rint(values).astype(np.int32), header)
        return _stretched(looked_up.astype(np.float32), None)
    return _windowed(values, window or _own_window(header, groups) or _full(values, samples, header))


def _groups(header: Dataset, number: int) -> list[Dataset]:
    """The frame's functional groups, its own before the shared ones (PS3.3 C.7.6.16)."""
    own = header.get("PerFrameFunctionalGroupsSequence") or []
    return [*list(own)[number - 1:number], *list(header.get("SharedFunctionalGroupsSequence") or [])[:1]]


def _macro(groups: Sequence[Dataset], sequence: str, header: Dataset) -> Dataset:
    """The functional group macro that applies to the frame, else the object itself."""
    return next((g[sequence].value[0] for g in groups if g.get(sequence)), header)


def _modality(samples: Samples, header: Dataset, groups: Sequence[Dataset]) -> Grey:
    if header.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(samples, header), np.float32)
    told = _macro(groups, "PixelValueTransformationSequence", header)
    slope, intercept = told.get("RescaleSlope"), told.get("RescaleIntercept")
    values = samples.astype(np.float32)
    if slope is not None and intercept is not None:
        values = values * np.float32(slope) + np.float32(intercept)
    return np.nan_to_num(values)


def _own_window(header: Dataset, groups: Sequence[Dataset]) -> Window | None:
    """The first window that the object names."""
    told = _macro(groups, "FrameVOILUTSequence", header)
    center, width = _first(told.get("WindowCenter")), _first(told.get("WindowWidth"))
    if center is None or width is None or not math.isfinite(center) or width <= 0:
        return None
    function = str(told.get("VOILUTFunction") or "LINEAR").lower().replace("_", "-")
    return Window(center, max(width, 1.0) if function == "linear" else width,
                  function if function in _FUNCTIONS else "linear")


def _first(value: Any) -> float | None:
    if value is None or isinstance(value, str):
        return None
    if isinstance(value, float | int):
        return float(value)
    return float(value[0]) if len(value) else None


def _full(values: Grey, samples: Samples, header: Dataset) -> Window:
    """From the smallest to the largest value that is no padding."""
    padding = header.get("PixelPaddingValue")
    kept = values[samples != padding] if isinstance(padding, int) else values
    if not kept.size:
        kept = values
    low, high = float(kept.min()), float(kept.max())
    return Window((low + high) / 2, max(high - low, 1e-6), "linear-exact")


def _windowed(values: Grey, window: Window) -> NDArray[np.uint8]:
    """VOI LUT functions of PS3.3 C.11.2.1.2 and C.11.2.1.3 onto 0 to 255."""
    if window.function == "sigmoid":
        exponent = np.clip(-4 * (values - window.center) / window.width, -80, 80)
        share = 1 / (1 + np.exp(exponent))
    elif window.function == "linear" and window.width > 1:
        share = (values - (window.center - 0.5)) / (window.width - 1) + 0.5
    elif window.function == "linear":
        share = (values > window.center - 0.5).astype(np.float32)
    else:
        share = (values - window.center) / window.width + 0.5
    return np.asarray(np.rint(np.clip(share, 0, 1) * 255), np.uint8)


def _stretched(values: Grey, window: Window | None) -> NDArray[np.uint8]:
    low, high = float(values.min()), float(values.max())
    return _windowed(values, window or Window((low + high) / 2, max(high - low, 1e-6), "linear-exact"))


# ---------------------------------------------------------------- size


def _with_square_pixels(picture: Pillow.Image, header: Dataset) -> Pillow.Image:
    """Enlarged along the longer side of the pixels, so that shapes are true."""
    spacing = header.get("PixelSpacing") or header.get("ImagerPixelSpacing") or header.get("PixelAspectRatio")
    try:
        ratio = float(spacing[0]) / float(spacing[1]) if spacing else 1.0
    except (ValueError, TypeError, IndexError, ZeroDivisionError):
        return picture
    if not 0.1 <= ratio <= 10 or abs(ratio - 1) < _SQUARE:
        return picture
    width, height = picture.size
    size = (width, round(height * ratio)) if ratio > 1 else (round(width / ratio), height)
    return picture.resize(size, Pillow.Resampling.BILINEAR)


def _fitted(picture: Pillow.Image, viewport: Viewport) -> Pillow.Image:
    scale = min(viewport.width / picture.width, viewport.height / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Pillow.Resampling.LANCZOS)


def _region(picture: Pillow.Image, region: tuple[float, float, float, float] | None) -> Pillow.Image:
    if region is None:
        return picture
    left, top = (0.0 if math.isnan(n) else n for n in region[:2])
    width, height = (side if math.isnan(n) else n for n, side in zip(region[2:], picture.size, strict=True))
    box = (round(left), round(top), round(min(left + abs(width), picture.width)),
           round(min(top + abs(height), picture.height)))
    if left < 0 or top < 0 or box[0] >= box[2] or box[1] >= box[3]:
        raise Unreadable("The region of the viewport lies outside of the image.", element="viewport")
    picture = picture.crop(box)
    if width < 0:
        picture = picture.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)
    return picture.transpose(Pillow.Transpose.FLIP_TOP_BOTTOM) if height < 0 else picture


def _written(picture: Pillow.Image, media_type: str, quality: int) -> bytes:
    out = io.BytesIO()
    if media_type == "image/png":
        picture.save(out, "PNG", compress_level=3)
    else:
        picture.save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()
