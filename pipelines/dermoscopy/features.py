"""The third step: numbers that a dermatologist would look for, and others that only a machine counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gateway.pipeline import Floats
from pipelines.dermoscopy.colour import Mask
from pipelines.dermoscopy.lesion import Lesion
from pipelines.dermoscopy.prepare import SIDE, Prepared
from pipelines.dermoscopy.shape import asymmetry, frame_of, irregularity, mirrored, sectors
from pipelines.dermoscopy.texture import texture

_QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
_PALETTE = np.array([
    [88, 2, 6], [50, 38, 22], [58, 16, 30], [36, 16, 20], [42, 2, -6], [14, 4, 4]], np.float32)
"""L*, a*, b* of white, red, light brown, dark brown, blue-grey, black (after the ABCD rule of dermatoscopy)."""
COLOURS = ("white", "red", "light brown", "dark brown", "blue-grey", "black")
_SEEN = 0.02
"""Share of the lesion from which on a colour counts as there."""


def colour_shares(prepared: Prepared, lesion: Lesion) -> NDArray[np.float64]:
    """Share of the lesion in each of the six colours (nearest by CIE76; skin's own colour is none)."""
    pixels = prepared.lab[lesion.mask]
    palette = np.concatenate([_PALETTE, lesion.skin[None]])
    apart = ((pixels[:, None] - palette[None]) ** 2).sum(axis=-1)
    return np.asarray(np.bincount(apart.argmin(axis=1), minlength=len(palette))[:-1] / len(pixels))


def colours_seen(shares: NDArray[np.float64]) -> tuple[str, ...]:
    return tuple(name for name, share in zip(COLOURS, shares, strict=True) if share >= _SEEN)


def features(prepared: Prepared, lesion: Lesion) -> Floats:
    """All of them in a fixed order."""
    zones = _zones(lesion.mask, ~prepared.outside)
    apart = prepared.lab - lesion.skin
    parts = [_of_shape(lesion), _of_zones(apart, zones), _of_sectors(apart, lesion), _of_mirror(apart, lesion),
             colour_shares(prepared, lesion), _histogram(apart[lesion.mask]), _of_whole(prepared, lesion),
             texture(prepared.lab, lesion.mask)]
    told = np.concatenate([np.asarray(part, np.float64).ravel() for part in parts])
    return np.asarray(np.nan_to_num(told), np.float32)


def _zones(mask: Mask, usable: Mask) -> list[Mask]:
    """Whole lesion, its core, its rim inside, the skin close by."""
    depth = np.asarray(ndimage.distance_transform_edt(mask))
    deepest = float(depth.max())
    away = np.asarray(ndimage.distance_transform_edt(~mask))
    near = (away > 0) & (away <= 14) & usable
    return [mask, mask & (depth > 0.5 * deepest), mask & (depth <= 0.25 * deepest), near if near.any() else ~mask]


def _of_shape(lesion: Lesion) -> list[float]:
    mask = lesion.mask
    frame = frame_of(mask)
    top, left, bottom, right_edge = lesion.box
    area = float(mask.sum())
    hull = float(ndimage.binary_closing(np.pad(mask, 20), iterations=15)[20:-20, 20:-20].sum())
    edge = float(mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum())
    coarse = mask[::2, ::2]
    down, right = frame.centre[0] / SIDE - 0.5, frame.centre[1] / SIDE - 0.5
    return [np.log(area / SIDE**2), frame.short / frame.long, np.log(irregularity(mask)), area / max(hull, 1),
            area / max((bottom - top) * (right_edge - left), 1), *asymmetry(coarse, frame_of(coarse)), down, right,
            abs(down), abs(right), edge / SIDE, area / (np.pi * frame.long * frame.short)]


def _of_zones(apart: Floats, zones: list[Mask]) -> NDArray[np.float64]:
    """Mean, spread, skewness and quantiles of L*, a*, b* and chroma against the skin, zone by zone."""
    chroma = np.hypot(apart[..., 1], apart[..., 2])[..., None]
    planes = np.concatenate([apart, chroma], axis=-1)
    told = []
    for zone in zones:
        pixels = planes[zone]
        mean, spread = pixels.mean(axis=0), pixels.std(axis=0) + 1e-3
        skew = (((pixels - mean) / spread) ** 3).mean(axis=0)
        told.append(np.concatenate([mean, spread, skew, _quantiles(pixels).ravel()]))
    return np.concatenate(told)


def _quantiles(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(quantiles, channels)."""
    ranks = np.rint(np.array(_QUANTILES) * (len(pixels) - 1)).astype(int)
    return np.asarray(np.partition(pixels, ranks, axis=0)[ranks])


def _of_sectors(apart: Floats, lesion: Lesion) -> NDArray[np.float64]:
    """How unlike the eight sectors are, and how sharply each ends at the skin."""
    frame = frame_of(lesion.mask)
    sector = sectors(lesion.mask, frame)
    depth = ndimage.distance_transform_edt(lesion.mask) - ndimage.distance_transform_edt(~lesion.mask)
    inside, outside = (depth > 0) & (depth <= 7), (depth < 0) & (depth >= -7)
    middles, steps = [], []
    for number in range(8):
        here = sector == number
        if (here & lesion.mask).any():
            middles.append(apart[here & lesion.mask].mean(axis=0))
        if (here & inside).any() and (here & outside).any():
            steps.append(apart[here & inside].mean(axis=0) - apart[here & outside].mean(axis=0))
    colour, step = np.array(middles), np.array(steps or [[0, 0, 0]])
    return np.concatenate([colour.std(axis=0), np.ptp(colour, axis=0), step.mean(axis=0), step.std(axis=0),
                           step.min(axis=0), step.max(axis=0)])


def _of_mirror(apart: Floats, lesion: Lesion) -> list[float]:
    """Mean difference of colour between the lesion and itself folded in its two axes."""
    mask, coarse = lesion.mask[::2, ::2], apart[::2, ::2]
    frame = frame_of(mask)
    told = []
    for along in (True, False):
        both = mask & (mirrored(mask.astype(np.float32), frame, along) > 0.5)
        for channel in range(3):
            folded = mirrored(np.ascontiguousarray(coarse[..., channel]), frame, along)
            told.append(float(np.abs(folded - coarse[..., channel])[both].mean()) if both.any() else 0.0)
    return told


def _histogram(pixels: Floats) -> NDArray[np.float64]:
    """Square roots of the shares of 6 × 4 × 4 boxes of colour against the skin."""
    edges = [np.array([-np.inf, -50, -35, -22, -12, -4, np.inf]), np.array([-np.inf, -2, 5, 14, np.inf]),
             np.array([-np.inf, -4, 4, 12, np.inf])]
    counts, _ = np.histogramdd(pixels.clip(-200, 200), bins=[np.nan_to_num(e, posinf=201, neginf=-201) for e in edges])
    return np.asarray(np.sqrt(counts.ravel() / max(len(pixels), 1)))


def _of_whole(prepared: Prepared, lesion: Lesion) -> list[float]:
    """The picture around it: skin, light, hair, how clearly the lesion stands out."""
    whole = prepared.raw.reshape(-1, 3)
    return [*lesion.skin, *prepared.lamp, float(prepared.hair.mean()), float(prepared.outside.mean()),
            lesion.contrast, lesion.certainty, *whole.mean(axis=0), *whole.std(axis=0)]
