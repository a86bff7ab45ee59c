"""Colour of photographs: CIE L*a*b*, hue, saturation and value, and what the lamp did to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.pipeline import Floats

Mask = NDArray[np.bool_]

_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)
_WHITE = np.array([0.9505, 1.0, 1.089], np.float32)
_NORM = 6
"""The Minkowski norm of Finlayson and Trezzi's shades of gray; 1 would be gray world, infinity the brightest patch."""
_STRONGEST = 2.0
"""A lamp is not more unequal than this between two channels: a stronger one means that the picture is no skin."""
_LEVELS = np.arange(4096, dtype=np.float32) / 4095
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
_CUBE = np.where(_LEVELS > 0.008856, np.cbrt(_LEVELS), 7.787 * _LEVELS + 16 / 116).astype(np.float32)


def lab(rgb: Floats) -> Floats:
    """sRGB in [0, 1] (..., 3) → L* in [0, 100], a* and b*, for D65."""
    linear = _LINEAR[_step(rgb)]
    cube = _CUBE[_step(linear @ (_TO_XYZ / _WHITE[:, None]).T)]
    x, y, z = cube[..., 0], cube[..., 1], cube[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def _step(values: Floats) -> NDArray[np.intp]:
    return (np.clip(values, 0, 1) * 4095 + 0.5).astype(np.intp)


def hsv(rgb: Floats) -> Floats:
    """sRGB in [0, 1] (..., 3) → hue in [0, 1), saturation, value."""
    value, least = rgb.max(axis=-1), rgb.min(axis=-1)
    spread = value - least
    safe = np.maximum(spread, 1e-6)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.where(value == red, (green - blue) / safe,
                   np.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe))
    hue = np.where(spread < 1e-6, 0, hue / 6 % 1)
    return np.stack([hue, spread / np.maximum(value, 1e-6), value], axis=-1).astype(np.float32)


def lamp(rgb: Floats, usable: Mask) -> Floats:
    """Colour of the light (3,), mean 1, by shades of gray over the usable pixels."""
    pixels = rgb[usable] if usable.any() else rgb.reshape(-1, 3)
    strength = np.power(np.mean(np.power(pixels, _NORM, dtype=np.float32), axis=0), 1 / _NORM)
    gain = strength / max(float(strength.mean()), 1e-6)
    return np.asarray(np.clip(gain, 1 / _STRONGEST, _STRONGEST), np.float32)
