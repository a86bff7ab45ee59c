"""The networks for FLAIR: real slices of patients, with synthetic ones beside them. Needs `train`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gateway.pipeline import Floats
from pipelines.learning.calibration import Logistic, platt
from pipelines.learning.export import Release
from pipelines.learning.folds import Indices, grouped_folds
from pipelines.learning.training import Plan, seed_everything
from pipelines.learning.training import train as learn
from pipelines.stroke_mr.atlas import atlas
from pipelines.stroke_mr.labels import CROP, FLAIR, LEAST_PIXELS, LEVEL
from pipelines.stroke_mr.network import Network
from pipelines.stroke_mr.slices import Slices, framed, prepared, unframed
from pipelines.stroke_mr.train_network import PREPROCESSING, VERSION, Examples, How, batch_loss, export, told_by
from pipelines.stroke_mr.train_synthetic import Lesions, Synthetic
from pipelines.validation.operating import youden
from pipelines.validation.ranking import Draws, Ranking, auc, interval
from pipelines.validation.segmentation import dice, median_interval

FOLDS = 3
REAL = 11
"""Slices of a batch that are real; the rest is synthetic, where `stroke-lesions` is at hand."""
STATUS = "validated on {} patients of SOOP left out of training (FLAIR, one slice each); not cleared for clinical use"
LEVELS_TRIED = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
"""Pixel thresholds."""


def examples_of(found: Slices) -> Examples:
    usual = framed(atlas().usual(LEVEL)[None])[None]
    prior = np.broadcast_to(usual, (len(found.images), 1, *CROP))
    return Examples(prepared(found.images), framed(found.masks.astype(np.float32))[:, None], prior)


def batches_of(examples: Examples, synthetic: Synthetic | None,
               random: np.random.Generator) -> Iterator[tuple[Floats, Floats, Floats, int]]:
    order = random.permutation(len(examples.slices))
    for number, start in enumerate(range(0, len(order) - REAL + 1, REAL)):
        part = examples.part(order[start:start + REAL])
        if synthetic is not None:
            part = part.with_one(*synthetic.flair(random, of_atlas=number % 2 == 0))
        yield part.slices, part.masks, part.prior, int(random.integers(2**31))


def one_fold(examples: Examples, synthetic: Synthetic | None, how: How, folder: Path, what: str) -> nn.Module:
    """A network trained on these examples."""
    seed_everything(how.seed)
    network = Network(examples.slices.shape[1]).to(memory_format=torch.channels_last)
    plan = Plan(how.epochs, len(examples.slices) // REAL, how.seed, how.device, peak=3e-3, rise=0.25, averaging=0.98,
                data=f"{len(examples.slices)} slices, {int(examples.masks.sum())} lesion pixels")
    done = learn(network, plan, lambda random: batches_of(examples, synthetic, random),
                 lambda net, batch: batch_loss(net, batch, how.device), folder=folder, resume=how.resume,
                 progress=how.progress, what=what)
    return done.network


def train_flair(found: Slices, lesions: Lesions | None, out: Path, how: How) -> dict[str, Any]:
    """Write `stroke_flair` of the folds that were asked for; figures are over the slices that these left out."""
    examples, folder = examples_of(found), out / FLAIR
    folds = grouped_folds((found.pixels > LEAST_PIXELS).astype(np.float64), found.subjects, FOLDS, how.seed)
    networks: list[nn.Module] = []
    maps, verdicts = np.zeros((len(found.images), *CROP), np.float32), np.full(len(found.images), np.nan)
    for number in how.folds or range(1, FOLDS + 1):
        held_out = np.flatnonzero(folds == number - 1)
        networks.append(_fold(examples, found, np.flatnonzero(folds != number - 1), lesions, how, number, folder))
        maps[held_out], verdicts[held_out] = told_by(networks[-1], examples.part(held_out))
        own, _ = figures_of(found.part(held_out), unframed(maps[held_out]), verdicts[held_out])
        how.progress(f"FLAIR fold {number}: {_sentence(own)}")
    told = np.flatnonzero(~np.isnan(verdicts))
    figures, curve = figures_of(found.part(told), unframed(maps[told]), verdicts[told])
    how.progress(f"FLAIR out of fold, {len(told)} slices: {_sentence(figures)}")
    thresholds = {"lesion": figures["threshold"], "pixel": figures["pixel_threshold"]}
    release = Release(VERSION, STATUS.format(len(told)), ("lesion",), thresholds, PREPROCESSING,
                      {"data": f"{len(found.images)} slices", "seed": how.seed, "epochs": how.epochs,
                       "networks": len(networks), "judged": len(told), **figures})
    sha256 = export(networks, examples, curve, folder, release)
    for kept in folder.glob("fold-*/checkpoint.pt"):
        kept.unlink()
    return {"sha256": sha256, **figures}


def _fold(examples: Examples, found: Slices, learned_from: Indices, lesions: Lesions | None, how: How, number: int,
          folder: Path) -> nn.Module:
    synthetic = Synthetic.of(lesions, found.images[learned_from], found.masks[learned_from])
    return one_fold(examples.part(learned_from), synthetic, replace(how, seed=how.seed * 100 + number - 1),
                    folder / f"fold-{number - 1}", f"FLAIR fold {number} of {FOLDS}")


def _sentence(figures: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items() if isinstance(value, float))


def figures_of(found: Slices, maps: Floats, verdicts: NDArray[np.float64]) -> tuple[dict[str, Any], Logistic]:
    """Thresholds and calibration from out-of-fold scores, and how well they do there, with 95 % intervals.

    Slices with 1 to 50 lesion pixels take no part in the verdict."""
    size = found.pixels
    said = (size == 0) | (size > LEAST_PIXELS)
    truth = (size > LEAST_PIXELS).astype(np.float64)
    curve = platt(verdicts[said], truth[said])
    overlaps = {level: _overlaps(maps, found.masks, size, level) for level in LEVELS_TRIED}
    level = max(overlaps, key=lambda one: float(np.median(overlaps[one])))
    threshold = youden(truth[said], curve.probability(verdicts[said]))
    drawn = Draws.of([s for s, clear in zip(found.subjects, said, strict=True) if clear])
    areas = Ranking(truth[said], verdicts[said]).areas(drawn.weights[:, drawn.number])
    patients = [s for s, large in zip(found.subjects, size > LEAST_PIXELS, strict=True) if large]
    return {"auc": auc(truth[said], verdicts[said]), "auc_ci95": list(interval(areas.auc)),
            "median_dice": float(np.median(overlaps[level])),
            "median_dice_ci95": list(median_interval(overlaps[level], patients)), "pixel_threshold": level,
            "threshold": 0.5 if threshold is None else round(threshold, 3)}, curve


def _overlaps(maps: Floats, masks: NDArray[np.bool_], size: NDArray[np.int64], level: float) -> NDArray[np.float64]:
    """Dice of each slice with more than `LEAST_PIXELS` lesion pixels."""
    return np.array([dice(maps[n] >= level, masks[n]) for n in np.flatnonzero(size > LEAST_PIXELS)])
