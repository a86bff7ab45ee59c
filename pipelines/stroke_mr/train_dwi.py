"""The network for diffusion images: synthetic slices alone, since no open diffusion images of strokes are at hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gateway.errors import Unusable
from gateway.pipeline import Floats
from pipelines.learning.calibration import platt
from pipelines.learning.export import Release
from pipelines.learning.training import Plan, seed_everything
from pipelines.learning.training import train as learn
from pipelines.stroke_mr.atlas import atlas
from pipelines.stroke_mr.labels import DWI
from pipelines.stroke_mr.network import Network, Served
from pipelines.stroke_mr.slices import Slices, framed
from pipelines.stroke_mr.train_network import (
    BATCH,
    CLEAR,
    PREPROCESSING,
    VERSION,
    Examples,
    How,
    batch_loss,
    export,
    told_by,
)
from pipelines.stroke_mr.train_synthetic import Lesions, Synthetic
from pipelines.stroke_mr.train_volumes import calibrated
from pipelines.validation.operating import youden
from pipelines.validation.ranking import auc
from pipelines.validation.segmentation import dice

STATUS = "demonstration: trained and tested on synthetic diffusion images"
EPOCHS, STEPS = 4, 60
TESTED = 400
"""Synthetic slices of another seed."""
PIXEL = 0.5
"""Of the Dice that is told."""


def drawn(synthetic: Synthetic, count: int, random: np.random.Generator) -> Examples:
    """`count` slices: one of three on a real slice's anatomy, the others on the atlas's, at any level."""
    told = [synthetic.dwi(random, of_atlas=number % 3 != 0) for number in range(count)]
    prior = np.stack([framed(atlas().usual(level)[None]) for _, _, level in told])
    return Examples(np.stack([framed(image) for image, _, _ in told]), np.stack([framed(mask) for _, mask, _ in told]),
                    prior)


def train_dwi(found: Slices, lesions: Lesions | None, out: Path, how: How) -> dict[str, Any]:
    """Writes `stroke_dwi`; figures are of synthetic slices, which say that it works and nothing of patients."""
    synthetic = Synthetic.of(lesions, found.images, found.masks)
    if synthetic is None:
        raise Unusable("training needs the folder stroke-lesions beside the slices, and slices without lesion",
                       element="data")
    seed_everything(how.seed)
    network = Network(2)
    plan = Plan(EPOCHS, STEPS, how.seed, how.device, peak=3e-3, rise=0.25, averaging=0.98,
                data=f"{len(synthetic.clear)} slices")
    folder = out / DWI / "training"
    done = learn(network, plan, lambda random: _batches(synthetic, random),
                 lambda net, batch: batch_loss(net, batch, how.device), folder=folder, resume=how.resume,
                 progress=how.progress, what="DWI")
    test = drawn(synthetic, TESTED, np.random.default_rng((how.seed, 1_000_003)))
    maps, verdicts = told_by(done.network, test)
    figures, slope_offset = _figures(test, maps, verdicts)
    how.progress("DWI on synthetic slices: " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items()))
    served = Served([done.network], slope_offset.slope, slope_offset.offset).eval()
    figures |= calibrated(served, figures["threshold"], how.seed)
    how.progress("DWI on synthetic volumes: " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items()))
    sha256 = export([done.network], test, slope_offset, out / DWI, Release(
        VERSION, STATUS, ("lesion",), {"lesion": figures["threshold"], "pixel": figures["pixel_threshold"]},
        f"{PREPROCESSING}; DWI, then ADC (zeros where there is none)",
        {"data": "synthetic", "seed": how.seed, "epochs": EPOCHS, "slices": EPOCHS * STEPS * BATCH, **figures},
        demonstration=True))
    (folder / "checkpoint.pt").unlink()
    return {"sha256": sha256, **figures}


def _batches(synthetic: Synthetic, random: np.random.Generator) -> Iterator[tuple[Floats, Floats, Floats, int]]:
    for _ in range(STEPS):
        made = drawn(synthetic, BATCH, random)
        yield made.slices, made.masks, made.prior, int(random.integers(2**31))


def _figures(test: Examples, maps: Floats, verdicts: Any) -> tuple[dict[str, float], Any]:
    size = test.masks.sum((1, 2, 3))
    clear = (size == 0) | (size > CLEAR)
    truth = (size > CLEAR).astype(np.float64)
    curve = platt(verdicts[clear], truth[clear])
    threshold = youden(truth[clear], curve.probability(verdicts[clear]))
    overlaps = [dice(maps[n] >= PIXEL, test.masks[n, 0] > 0.5) for n in np.flatnonzero(size > CLEAR)]
    return {"auc": auc(truth[clear], verdicts[clear]), "median_dice": float(np.median(overlaps)),
            "threshold": 0.5 if threshold is None else round(threshold, 3)}, curve
