"""`triage-gateway train stroke_mr`: slices and masks in, two folders of the model repository out. Needs `train`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from gateway.pipeline import Floats
from pipelines.learning.calibration import Logistic, platt
from pipelines.learning.export import Release, Signature, write_model
from pipelines.learning.folds import Indices, grouped_folds
from pipelines.learning.training import Plan, device_of, seed_everything
from pipelines.learning.training import train as learn
from pipelines.stroke_mr.atlas import atlas
from pipelines.stroke_mr.labels import CROP, FLAIR, LEAST_PIXELS, LEVEL, SIZE
from pipelines.stroke_mr.network import Network, Served
from pipelines.stroke_mr.slices import Slices, framed, prepared, read_slices, unframed
from pipelines.stroke_mr.train_augment import augmented
from pipelines.stroke_mr.train_synthetic import Lesions, Synthetic
from pipelines.validation.operating import youden
from pipelines.validation.progress import Progress, silent
from pipelines.validation.ranking import Draws, Ranking, auc, interval
from pipelines.validation.segmentation import dice, median_interval

VERSION = "1.1.0"
FOLDS = 3
BATCH = 12
REAL = 11
"""Slices of a batch that are real; the rest is synthetic, where `stroke-lesions` is at hand."""
CLEAR = 20
"""Lesion pixels with which a slice surely shows one; slices between none and this teach no verdict."""
STATUS = "validated on {} patients of SOOP left out of training (FLAIR, one slice each); not cleared for clinical use"


@dataclass(frozen=True, slots=True)
class How:
    """What was asked for of a training. `folds`: from 1; empty: all."""

    seed: int
    epochs: int
    device: str = "cpu"
    resume: bool = False
    progress: Progress = silent
    folds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Examples:
    """`slices`: float32 (n, channels, *CROP) standardised; `masks`: float32 (n, 1, *CROP); `prior`: (n, 1, *CROP)."""

    slices: Floats
    masks: Floats
    prior: Floats

    def part(self, chosen: Indices) -> Examples:
        return Examples(self.slices[chosen], self.masks[chosen], self.prior[chosen])

    def with_one(self, image: Floats, mask: Floats, level: float) -> Examples:
        """And one slice (channels, *SLICE) of a level with its mask (1, *SLICE)."""
        return Examples(np.concatenate([self.slices, framed(image)[None]]),
                        np.concatenate([self.masks, framed(mask)[None]]),
                        np.concatenate([self.prior, framed(atlas().usual(level)[None])[None]]))


def examples_of(found: Slices) -> Examples:
    usual = framed(atlas().usual(LEVEL)[None])[None]
    prior = np.broadcast_to(usual, (len(found.images), 1, *CROP))
    return Examples(prepared(found.images), framed(found.masks.astype(np.float32))[:, None], prior)


def loss_of(logits: torch.Tensor, verdict: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Focal cross entropy of the pixels, soft Dice of each slice, cross entropy of the verdicts."""
    size = masks.sum((1, 2, 3))
    pixels = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    focal = (pixels * (1 + 2 * masks) * (1 - torch.exp(-pixels))).mean()
    told = torch.sigmoid(logits)
    overlap = (2 * (told * masks).sum((1, 2, 3)) + 10) / (told.sum((1, 2, 3)) + size + 10)
    clear = ((size == 0) | (size > CLEAR)).float()
    said = functional.binary_cross_entropy_with_logits(verdict, (size > CLEAR).float(), reduction="none")
    return 8 * focal + (1 - overlap).mean() + 0.5 * (said * clear).sum() / clear.sum().clamp(min=1)


def batch_loss(network: nn.Module, batch: tuple[Floats, Floats, Floats, int], device: str) -> torch.Tensor:
    """Of a batch (slices, masks, prior, seed of its changes): half precision where it is fast, loss in single."""
    *arrays, seed = batch
    random = torch.Generator().manual_seed(seed)
    tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    slices, masks, prior = augmented(tensors[0], tensors[1], tensors[2], random)
    with torch.autocast(device.split(":", maxsplit=1)[0], dtype=torch.bfloat16):
        logits, verdict = network(slices.to(device, memory_format=torch.channels_last), prior.to(device))
    return loss_of(logits.float(), verdict.float(), masks.to(device))


def batches_of(examples: Examples, synthetic: Synthetic | None,
               random: np.random.Generator) -> Iterator[tuple[Floats, Floats, Floats, int]]:
    order = random.permutation(len(examples.slices))
    for number, start in enumerate(range(0, len(order) - REAL + 1, REAL)):
        part = examples.part(order[start:start + REAL])
        if synthetic is not None:
            part = part.with_one(*synthetic.flair(random, of_atlas=number % 2 == 0))
        yield part.slices, part.masks, part.prior, int(random.integers(2**31))


def told_by(network: nn.Module, examples: Examples) -> tuple[Floats, NDArray[np.float64]]:
    """Lesion probabilities (n, *CROP) and verdict logits (n,), the mean over the slice and its mirror image."""
    maps, verdicts = [], []
    with torch.no_grad():
        for start in range(0, len(examples.slices), 16):
            slices, prior = (torch.from_numpy(np.ascontiguousarray(a[start:start + 16]))
                             for a in (examples.slices, examples.prior))
            one, said = network(slices, prior)
            other, again = network(slices.flip(-1), prior.flip(-1))
            maps.append(((torch.sigmoid(one) + torch.sigmoid(other.flip(-1))) / 2)[:, 0].numpy())
            verdicts.append(((said + again) / 2).numpy())
    return np.concatenate(maps), np.concatenate(verdicts).astype(np.float64)


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


def signature_of(channels: int) -> Signature:
    return Signature({"slices": (channels, SIZE, SIZE), "prior": (1, SIZE, SIZE)},
                     {"lesion": (1, SIZE, SIZE), "probability": (1,)}, "probability", 32)


def train(data: Path, out: Path, *, seed: int = 0, epochs: int = 24, device: str = "cpu", resume: bool = False,
          folds: tuple[int, ...] = (), progress: Progress = silent) -> dict[str, Any]:
    """Three networks, each on two thirds of the patients of `data` (.npz, see `slices`), served as their mean; then
    the DWI model on synthetic slices (`train_dwi`).

    Each fold keeps a checkpoint beside the model until all are done: `resume` goes on from there. `folds` (1-3): only
    these networks are trained, served and judged. The figures returned are out of fold: each slice judged by the one
    network that has not learned from its patient.
    """
    from pipelines.stroke_mr.train_dwi import train_dwi

    found, lesions = read_slices(data), Lesions.near(data)
    how = How(seed, epochs, device_of(device), resume, progress, folds)
    figures = train_flair(found, lesions, out, how)
    return {**figures, "dwi": train_dwi(found, lesions, out, how)}


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


LEVELS_TRIED = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
"""Pixel thresholds."""
PREPROCESSING = ("axial slices in standard space (MNI 152, 1 mm, 256 x 256, patient's left first), brain only, "
                 "median 0, quartile range 1.35, within 5, zero outside")


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


def export(networks: Sequence[nn.Module], examples: Examples, curve: Logistic, folder: Path, release: Release) -> str:
    """Into `folder`; returns the SHA-256."""
    some = [_whole(np.asarray(a[:3], np.float32)) for a in (examples.slices, examples.prior)]
    return write_model(Served(networks, curve.slope, curve.offset), signature_of(examples.slices.shape[1]), release,
                       folder, some)


def _whole(stack: Floats) -> Floats:
    """(n, channels, *CROP) in the middle of SIZE × SIZE."""
    rows, columns = (SIZE - CROP[0]) // 2, (SIZE - CROP[1]) // 2
    return np.pad(stack, ((0, 0), (0, 0), (rows, rows), (columns, columns)))
