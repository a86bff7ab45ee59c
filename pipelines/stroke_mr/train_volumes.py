"""Synthetic diffusion volumes with known lesions: from where on a pixel counts, so that volumes come out right. Needs
`train`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from gateway.errors import Permanent
from gateway.mr import MrAcquisition, MrVolume
from gateway.pipeline import Infer
from gateway.result import ModelRelease
from pipelines.stroke_mr.brain import Mask, find_brain
from pipelines.stroke_mr.labels import DWI
from pipelines.stroke_mr.lesions import Seen, Series, look, outlined
from pipelines.stroke_mr.space import fit
from pipelines.stroke_mr.synthetic import DIFFUSION_GRID, MrSeries, diffusion, head, infarcted, sampled
from pipelines.validation.segmentation import dice

HEADS = 24
LEVELS = (0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85)
_AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Head:
    """A synthetic head: diffusion, ADC on its pixels, and where the lesion is."""

    series: Series
    lesion: Mask


def heads(count: int, seed: int) -> Iterator[Head]:
    """Lesions of 1 to 50 mL anywhere in the hemispheres."""
    for number in range(count):
        random = np.random.default_rng((seed, 7_000_000 + number))
        tissue = head(random)
        centre = (random.uniform(45, 95), random.uniform(60, 140), random.choice((random.uniform(35, 60),
                                                                                   random.uniform(97, 122))))
        lesion = infarcted(tissue, centre, tuple(random.uniform(5, 24, 3)), random)
        dwi, adc = diffusion(tissue, random)
        volume = _volume(dwi)
        brain = find_brain(volume.values, volume.spacing)
        found = Series(volume, (volume.values, adc.values.astype(np.float32)), brain, fit(volume, brain))
        yield Head(found, np.asarray(sampled(lesion.astype(np.float32), DIFFUSION_GRID) > 0.5))


def _volume(series: MrSeries) -> MrVolume:
    count = len(series.values)
    positions = series.origin[2] + np.arange(count, dtype=np.float64) * series.spacing[0]
    return MrVolume(series.values.astype(np.float32), series.spacing, np.asarray(positions, np.float64),
                    tuple((f"2.25.{n + 1}", 1) for n in range(count)), series.origin, _AXIAL,
                    MrAcquisition("2.25.1", b_value=1000.0))


def calibrated(served: nn.Module, threshold: float, seed: int, count: int = HEADS) -> dict[str, Any]:
    """`pixel_threshold`: at which the median ratio of outlined to true volume is nearest to 1; that ratio and the
    median Dice there, over `count` heads. `threshold`: of a slice."""
    told = []
    for one in heads(count, seed):
        seen = _seen(served, one.series, threshold)
        masks = [outlined(seen.lesion, seen.probability, one.series.brain, threshold, level) for level in LEVELS]
        told.append([(float(mask.sum()) / max(float(one.lesion.sum()), 1), dice(mask, one.lesion)) for mask in masks])
    figures = np.median(np.array(told), axis=0)
    best = int(np.argmin(np.abs(figures[:, 0] - 1)))
    return {"pixel_threshold": LEVELS[best], "volume_ratio": float(figures[best, 0]),
            "volume_dice": float(figures[best, 1]), "volumes": count}


def _seen(served: nn.Module, series: Series, threshold: float) -> Seen:
    release = ModelRelease(DWI, "", "", demonstration=True,
                           parameters={"thresholds": f'{{"lesion": {threshold}, "pixel": 0.5}}'})
    steps = look(series, DWI, release)
    try:
        request = next(steps)
        while isinstance(request, Infer):
            inputs = [torch.from_numpy(np.ascontiguousarray(request.inputs[name])) for name in ("slices", "prior")]
            with torch.no_grad():
                lesion, probability = served(*inputs)
            request = steps.send({"lesion": lesion.numpy(), "probability": probability.numpy()})
    except StopIteration as end:
        if isinstance(end.value, Seen):
            return end.value
    raise Permanent("the network gives what is no number")
