"""What the networks for FLAIR and for diffusion images share: examples, loss, what they say, how they are served.
Needs `train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from gateway.pipeline import Floats
from pipelines.learning.calibration import Logistic
from pipelines.learning.export import Release, Signature, write_model
from pipelines.learning.folds import Indices
from pipelines.stroke_mr.atlas import atlas
from pipelines.stroke_mr.labels import CROP, SIZE
from pipelines.stroke_mr.network import Served
from pipelines.stroke_mr.slices import framed
from pipelines.stroke_mr.train_augment import augmented
from pipelines.validation.progress import Progress, silent

VERSION = "1.2.0"
BATCH = 12
CLEAR = 20
"""Lesion pixels with which a slice surely shows one; slices between none and this teach no verdict."""
PREPROCESSING = ("axial slices in standard space (MNI 152, 1 mm, 256 x 256, patient's left first), brain only, "
                 "median 0, quartile range 1.35, within 5, zero outside")


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


def signature_of(channels: int) -> Signature:
    return Signature({"slices": (channels, SIZE, SIZE), "prior": (1, SIZE, SIZE)},
                     {"lesion": (1, SIZE, SIZE), "probability": (1,)}, "probability", 32)


def export(networks: Sequence[nn.Module], examples: Examples, curve: Logistic, folder: Path, release: Release) -> str:
    """Into `folder`; returns the SHA-256."""
    some = [_whole(np.asarray(a[:3], np.float32)) for a in (examples.slices, examples.prior)]
    return write_model(Served(networks, curve.slope, curve.offset), signature_of(examples.slices.shape[1]), release,
                       folder, some)


def _whole(stack: Floats) -> Floats:
    """(n, channels, *CROP) in the middle of SIZE × SIZE."""
    rows, columns = (SIZE - CROP[0]) // 2, (SIZE - CROP[1]) // 2
    return np.pad(stack, ((0, 0), (0, 0), (rows, rows), (columns, columns)))
