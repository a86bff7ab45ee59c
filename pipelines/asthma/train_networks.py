"""How one network learns: from synthetic sounds first, then from the recordings of all folds but one. Needs torch."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gateway.pipeline import Floats
from pipelines.asthma.augment import Tricks, augmented
from pipelines.asthma.labels import OUTPUTS
from pipelines.asthma.network import DenseNet, Together, Transformer
from pipelines.asthma.train_clips import Halves, Learned
from pipelines.learning.folds import Indices, Numbers
from pipelines.learning.precision import half_where_fast
from pipelines.learning.training import Plan, seed_everything
from pipelines.learning.training import train as run_training
from pipelines.validation.progress import Progress

Synthetic = tuple[Halves, Floats]
"""Spectrograms and truth, as `train_clips.synthetic` gives them."""
FOLDS, BATCH = 5, 32
BEGINNINGS = 3
"""Seeds of first weights, order and changes; what is used is the mean."""
_APART = 1000
"""Between the seeds of one beginning and the next."""
_WHEEZED = 4
"""Clips of normal breath with added wheezes in a batch."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Passes over the synthetic sounds and the real clips, and the highest learning rates."""

    network: type[nn.Module]
    first_epochs: int
    first_peak: float
    epochs: int
    peak: float


RECIPES = {"transformer": Recipe(Transformer, 4, 2e-3, 2, 1e-3), "dense": Recipe(DenseNet, 4, 4e-3, 2, 1e-3)}
"""Alike but for the learning rate."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all stages of a training share."""

    seed: int
    device: str
    tricks: Tricks
    folder: Path
    resume: bool
    progress: Progress
    beginnings: int = BEGINNINGS

    def beginning(self, number: int) -> Job:
        return Job(self.seed + _APART * number, self.device, self.tricks, self.folder / str(number), self.resume,
                   self.progress)


@dataclass(frozen=True, slots=True)
class Told:
    """What a kind of network says. `networks`: one that has heard no recording, or one for each fold. `logits`:
    (recordings, outputs), each from one that has not heard it; `each`: (beginnings, recordings, outputs), the same of
    every beginning."""

    networks: tuple[nn.Module, ...]
    logits: Numbers
    each: Numbers


def unheard(name: str, recipe: Recipe, learned: Learned, made: Synthetic, job: Job) -> Told:
    """From each beginning a network that has learned from synthetic sounds alone; without these, one that has not."""
    networks = [_first(name, recipe, made, job.beginning(number)) for number in range(job.beginnings)]
    each = np.stack([logits_of(network, learned) for network in networks])
    return Told((Together(networks),), each.mean(axis=0), each)


def tuned(name: str, recipe: Recipe, learned: Learned, folds: Indices, draw: int, first: Told, job: Job) -> Told:
    """The networks of `first` go on with the recordings of all folds but one, fold by fold."""
    beginnings = list(first.networks[0].networks)
    each = np.full((len(beginnings), *first.logits.shape), np.nan)
    networks = []
    for fold in range(FOLDS):
        rest, own = np.flatnonzero(folds != fold), folds == fold
        many = [_tuned(f"{name}-{draw}-{fold}", network, recipe, learned, rest, fold, job.beginning(number))
                for number, network in enumerate(beginnings)]
        for number, network in enumerate(many):
            each[number, own] = logits_of(network, learned)[own]
        networks.append(Together(many))
    return Told(tuple(networks), each.mean(axis=0), each)


def _first(name: str, recipe: Recipe, made: Synthetic, job: Job) -> nn.Module:
    def batches(random: np.random.Generator) -> Any:
        order = random.permutation(len(made[0]))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start:start + BATCH]
            yield augmented(made[0][chosen], made[1][chosen], random, Tricks(mixing=False, stretching=False))

    seed_everything(job.seed)
    network = recipe.network(len(OUTPUTS)).to(memory_format=torch.channels_last)
    if not job.tricks.synthesis:
        return network
    plan = Plan(recipe.first_epochs, len(made[0]) // BATCH, job.seed, job.device, recipe.first_peak,
                data=f"synthetic {len(made[0])}")
    return run_training(network, plan, batches, partial(masked_loss, device=job.device), resume=job.resume,
                        folder=job.folder / f"{name}-first", progress=job.progress,
                        what=f"{name}, synthetic").network


def _tuned(what: str, network: nn.Module, recipe: Recipe, learned: Learned, chosen: Indices, fold: int,
           job: Job) -> nn.Module:
    own, added = learned.clips_of(chosen), learned.wheezed_of(chosen)
    steps = max(len(own) // BATCH, 1)

    def batches(random: np.random.Generator) -> Any:
        order = random.permutation(own)
        for start in range(0, steps * BATCH, BATCH):
            mels, truth = learned.mels[order[start:start + BATCH]], learned.clip_truth[order[start:start + BATCH]]
            if job.tricks.wheezes and len(added):
                more = random.choice(added, _WHEEZED)
                mels = np.concatenate([mels, learned.wheezed[more]])
                truth = np.concatenate([truth, learned.wheezed_truth[more]])
            yield augmented(mels, truth, random, job.tricks)

    plan = Plan(recipe.epochs, steps, job.seed + 1 + fold, job.device, recipe.peak, weight_decay=0.05,
                averaging=0.95, data=f"{len(own)} clips, {what}")
    return run_training(copy.deepcopy(network), plan, batches, partial(masked_loss, device=job.device),
                        resume=job.resume, folder=job.folder / what, progress=job.progress, what=what).network


def masked_loss(network: nn.Module, batch: tuple[Floats, Floats], device: str) -> torch.Tensor:
    """Binary cross entropy over what somebody knows."""
    mels, truth = (torch.from_numpy(np.asarray(part, dtype=np.float32)).to(device) for part in batch)
    with half_where_fast(device):
        logits, _ = network(mels)
    known = ~torch.isnan(truth)
    loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), torch.nan_to_num(truth), reduction="none")
    return (loss * known).sum() / known.sum()


def logits_of(network: nn.Module, learned: Learned) -> Numbers:
    """(recordings, outputs): the mean over the clips of each."""
    network.cpu().eval()
    with torch.no_grad():
        parts = [network(torch.from_numpy(learned.mels[start:start + 64].astype(np.float32)))[0].numpy()
                 for start in range(0, len(learned.mels), 64)]
    return learned.by_recording(np.concatenate(parts).astype(np.float64))
