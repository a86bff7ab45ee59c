"""One series through its network: brain, standard space, slices in, lesion maps back on the scanner's pixels."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gateway.errors import Permanent
from gateway.mr import MrVolume
from gateway.pipeline import Floats, Steps, infer
from gateway.result import ModelRelease
from pipelines.stroke_mr.atlas import atlas
from pipelines.stroke_mr.brain import Mask
from pipelines.stroke_mr.intensity import standardised
from pipelines.stroke_mr.labels import FLAIR, SIZE
from pipelines.stroke_mr.slices import framed
from pipelines.stroke_mr.space import Fit, from_standard, to_standard

_LEAST_AREA = 1200
"""mm² of brain on a slice that is shown to the network."""
_LEAST_SHARE = {FLAIR: 3 / 8}
"""Of the largest slice's brain: smaller ones, at the vertex and at the base, are not shown. The network of FLAIR knows
real slices of one level only, and takes healthy brains drawn at these ends for lesions."""
_BATCH = 16
_LEAST_SPOT = 3
"""Pixels of a connected spot on a slice that counts."""


@dataclass(frozen=True, slots=True)
class Series:
    """A volume that is read: `channels`: what the network sees of it, each (slices, rows, columns)."""

    volume: MrVolume
    channels: tuple[Floats | None, ...]
    brain: Mask
    fit: Fit


@dataclass(frozen=True, slots=True)
class Seen:
    """What a network says of a series: `lesion`: float32 (slices, rows, columns), probability on the source's pixels;
    `probability`: (slices,) that a slice shows a lesion, 0 where it was not shown; `mask`: bool, what is outlined."""

    series: Series
    lesion: Floats
    probability: Floats
    mask: Mask
    threshold: float

    @property
    def volume_ml(self) -> float:
        return float(self.mask.sum()) * float(np.prod(self.series.volume.spacing)) / 1000

    @property
    def slices(self) -> int:
        """With lesion."""
        return int(self.mask.any((1, 2)).sum())


def thresholds_of(release: ModelRelease) -> tuple[float, float]:
    """(of a slice's probability, of a pixel's). Raises Permanent where the model does not say."""
    try:
        told = json.loads(release.parameters["thresholds"])
        return float(told["lesion"]), float(told["pixel"])
    except (KeyError, TypeError, ValueError) as error:
        raise Permanent(f"model {release.name} has no usable thresholds") from error


def look(series: Series, model: str, release: ModelRelease) -> Steps[Seen | None]:
    """None where the model gives what is no number."""
    threshold, pixel = thresholds_of(release)
    areas = [_area(series, index) for index in range(len(series.brain))]
    least = max(_LEAST_AREA, _LEAST_SHARE.get(model, 0) * max(areas, default=0))
    shown = [index for index, area in enumerate(areas) if area >= least]
    lesion = np.zeros(series.brain.shape, np.float32)
    probability = np.zeros(len(series.brain), np.float32)
    for start in range(0, len(shown), _BATCH):
        part = shown[start:start + _BATCH]
        inputs = {"slices": np.stack([_slice(series, i) for i in part]),
                  "prior": np.stack([_prior(series, i) for i in part])}
        maps, told = yield from infer(model, inputs, ("lesion", "probability"))
        if not (np.isfinite(maps).all() and np.isfinite(told).all()):
            return None
        for at, index in enumerate(part):
            lesion[index] = from_standard(maps[at, 0], index, series.fit, series.brain.shape[1:])
            probability[index] = told[at, 0]
    return Seen(series, lesion, probability, outlined(lesion, probability, series.brain, threshold, pixel), threshold)


def _area(series: Series, index: int) -> float:
    return float(series.brain[index].sum()) * series.volume.spacing[1] * series.volume.spacing[2]


def _slice(series: Series, index: int) -> Floats:
    """float32 (channels, SIZE, SIZE); a channel that is not there is zero."""
    inside = to_standard(series.brain[index].astype(np.float32), index, series.fit) > 0.5
    made = [np.zeros((SIZE, SIZE), np.float32) if channel is None
            else standardised(to_standard(channel[index], index, series.fit), inside) for channel in series.channels]
    return np.stack(made)


def _prior(series: Series, index: int) -> Floats:
    rows, columns = np.nonzero(series.brain[index])
    level = series.fit.level(index, float(rows.mean()), float(columns.mean()))
    return np.asarray(framed(atlas().usual(level)[None], (SIZE, SIZE)), np.float32)


def outlined(lesion: Floats, probability: Floats, brain: Mask, threshold: float, pixel: float) -> Mask:
    """Pixels above their threshold inside the brain, on slices above theirs, and on neighbours of such slices where the
    outline goes on; single pixels are left out."""
    sure = probability >= threshold
    near = sure | np.r_[sure[1:], False] | np.r_[False, sure[:-1]]
    mask = (lesion >= pixel) & brain & near[:, None, None]
    pieces, count = ndimage.label(mask, np.ones((3, 3, 3)))
    if not count:
        return np.asarray(mask)
    touches = np.zeros(count + 1, np.bool_)
    touches[np.unique(pieces[sure])] = True
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    keep = touches & (sizes >= _LEAST_SPOT)
    keep[0] = False
    return np.asarray(keep[pieces])
