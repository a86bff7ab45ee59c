"""Slabs of generated chests, with the cells that are lesion: what the demonstration networks learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from gateway.pipeline import Floats
from pipelines.chest_ct.cases import stream
from pipelines.chest_ct.views import autoencoder_input, classifier_input
from pipelines.learning.precision import half_where_fast
from pipelines.validation.progress import Progress, track

BATCH = 24
LESION_CELL, CLEAR_CELL = 0.2, 0.03
"""Share of a cell that is lesion: from the first on it counts as one, up to the second as none, between as neither."""
Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(slots=True)
class Slabs:
    """Training slabs: classifier input and truth (share of each cell that is a kind of lesion, then any), and the
    autoencoder's input of healthy lungs."""

    shown: Floats
    truth: Floats
    healthy: Floats


def slabs(seed: int, cases: int, progress: Progress) -> Slabs:
    """Most slabs with disease and a quarter of the others for the classifier; half of those without for the
    autoencoder. Half floats, to spare memory."""
    rng = np.random.default_rng([seed, 5])
    shown, truth, healthy = [], [], []
    made = stream(1_000_000 * (seed + 1), cases, crowded=True)
    for case in track(progress, made, cases, "synthetic chests", every=20):
        sick = case.truth.max((1, 2, 3)) > CLEAR_CELL
        chosen = rng.uniform(size=sick.size) < np.where(sick, 0.7, 0.25)
        shown.append(classifier_input(case.working, case.view)[chosen].astype(np.float16))
        any_lesion = case.truth[chosen].max(1, keepdims=True)
        truth.append(np.concatenate([case.truth[chosen], any_lesion], axis=1).astype(np.float16))
        clear = ~sick & (rng.uniform(size=sick.size) < 0.5)
        healthy.append(autoencoder_input(case.working, case.lungs, case.view)[clear].astype(np.float16))
    return Slabs(np.concatenate(shown), np.concatenate(truth), np.concatenate(healthy))


def kept_slabs(seed: int, cases: int, folder: Path, *, resume: bool, progress: Progress) -> Slabs:
    """As `slabs`; kept in `folder` for who takes the training up again."""
    file = folder / f"slabs-{seed}-{cases}.npz"
    if resume and file.is_file():
        with np.load(file) as held:
            return Slabs(held["shown"], held["truth"], held["healthy"])
    made = slabs(seed, cases, progress)
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / "slabs.new.npz"
    np.savez(beside, shown=made.shown, truth=made.truth, healthy=made.healthy)
    beside.replace(file)
    return made


class Batches:
    """The batches of each epoch. The draws of all epochs are one stream: who takes a training up again first draws
    what the epochs before had drawn."""

    def __init__(self, inputs: Floats, targets: Floats, seed: int) -> None:
        self._inputs, self._targets = inputs, targets
        self._rng, self._drawn = np.random.default_rng([seed, 6]), 0
        self.steps = len(inputs) // BATCH

    def __call__(self, drawn: np.random.Generator) -> Iterator[Pair]:
        """Of one epoch, which the training loop tells by what it has seeded its generator with: (seed, epoch)."""
        epoch = int(np.asarray(drawn.bit_generator.seed_seq.entropy)[1])  # type: ignore[attr-defined]
        while self._drawn < epoch:
            for _ in self._draw():
                pass
        return self._draw()

    def _draw(self) -> Iterator[Pair]:
        self._drawn += 1
        order = self._rng.permutation(len(self._inputs))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = np.sort(order[start:start + BATCH])
            yield varied(self._inputs[chosen], self._targets[chosen], self._rng)


def varied(shown: Floats, target: Floats, rng: np.random.Generator) -> Pair:
    """Mirrored, a little brighter or darker, a little noisier; the autoencoder's input gets blots on top."""
    healing = shown.shape == target.shape
    x, y = torch.from_numpy(shown.astype(np.float32)), torch.from_numpy(target.astype(np.float32))
    if rng.uniform() < 0.5:
        x, y = x.flip(-1), y.flip(-1)
    inside = (x > 0).float()
    clean = (x * float(rng.uniform(0.94, 1.06)) + inside * float(rng.normal(0, 0.012))).clamp(0, 1)
    noise = torch.from_numpy(rng.standard_normal(x.shape, np.float32)) * float(rng.uniform(0, 0.012))
    given = clean + noise * inside
    if healing:
        given, y = _blotted(given, inside, rng), clean
    return given.clamp(0, 1), y


def _blotted(lungs: torch.Tensor, inside: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Clouds of random size and density laid over most of the lungs' pictures, to be undone."""
    count, size = len(lungs), lungs.shape[-1]
    nodes = int(rng.integers(5, 36))
    coarse = torch.from_numpy(rng.standard_normal((count, 1, nodes, nodes), np.float32))
    field = functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
    level = torch.from_numpy(rng.uniform(0.9, 2.6, (count, 1, 1, 1)).astype(np.float32))
    cover = ((field - level) * 4).clamp(0, 1) * inside
    value = torch.from_numpy(rng.uniform(0, 1, (count, 1, 1, 1)).astype(np.float32))
    return lungs + cover * (value - lungs)


def classifier_loss(network: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
    """Focal loss over the clear cells of each kind's map, by its number of lesion cells; and over the slabs."""
    shown, truth = beside(network, batch)
    with half_where_fast(shown.device):
        told = network(shown)
    scores, evidence = (part.float() for part in told)
    lesion = (truth >= LESION_CELL).float()
    known = ((truth >= LESION_CELL) | (truth <= CLEAR_CELL)).float()
    cells = (_focal(evidence, lesion) * known).sum((0, 2, 3)) / (lesion.sum((0, 2, 3)) + 10)
    slab = lesion.amax((2, 3))
    slab_known = ((slab > 0) | (truth.amax((2, 3)) <= CLEAR_CELL)).float()
    missed = functional.binary_cross_entropy_with_logits(scores, slab, reduction="none")
    return cells.sum() + 0.5 * (missed * slab_known).sum() / slab_known.sum()


def autoencoder_loss(network: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
    """Absolute difference, inside the lungs above all."""
    shown, clean = beside(network, batch)
    difference = (network(shown) - clean).abs()
    inside = (clean > 0).float()
    return (difference * (inside + 0.1)).sum() / (inside + 0.1).sum()


def beside(network: nn.Module, batch: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    """On the network's device."""
    device = next(network.parameters()).device
    return [part.to(device) for part in batch]


def _focal(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross entropy that passes over what is right already (squared focus)."""
    plain = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return plain * (1 - torch.exp(-plain)) ** 2
