"""`triage-gateway train asthma`: KAUH's layout in, a folder of the model repository out. Needs the `train` extra."""

from __future__ import annotations

import copy
import csv
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gateway.errors import Unusable
from gateway.pipeline import Floats
from gateway.ports.recordings import Recordings
from pipelines.asthma.augment import Tricks, augmented
from pipelines.asthma.combine import Combination, fitted
from pipelines.asthma.export import Served, write
from pipelines.asthma.labels import OUTPUTS
from pipelines.asthma.memory import written
from pipelines.asthma.network import DenseNet, Together, Transformer
from pipelines.asthma.train_clips import Halves, Learned, gather, synthetic
from pipelines.learning.folds import Indices, Numbers, grouped_folds
from pipelines.learning.training import Plan, seed_everything
from pipelines.learning.training import train as run_training
from pipelines.validation.operating import at_specificity, youden
from pipelines.validation.progress import Progress, silent
from pipelines.validation.ranking import auc

MODEL = "asthma"
Synthetic = tuple[Halves, Floats]
"""Spectrograms and truth, as `synthetic` gives them."""
FOLDS, BATCH = 5, 32
SYNTHETIC = 2000
"""Synthetic sounds that the networks learn from first."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained: passes over the synthetic sounds and the real clips, the highest learning rates, and
    how often, from another beginning each time: what is used is the mean."""

    network: type[nn.Module]
    first_epochs: int
    first_peak: float
    epochs: int
    peak: float
    times: int = 1


RECIPES = {"transformer": Recipe(Transformer, 4, 2e-3, 4, 1e-3, 3), "dense": Recipe(DenseNet, 2, 4e-3, 1, 1e-3)}
"""Three transformers take as long as one DenseNet."""
_APART = 1000
"""Between the seeds of one beginning and the next."""


@dataclass(frozen=True, slots=True)
class CrossValidated:
    """`networks`: one for each fold. `logits`: (recordings, outputs), each from the network that has not heard it.
    `each`: the same, (times, recordings, outputs), of every beginning."""

    networks: tuple[nn.Module, ...]
    logits: Numbers
    each: Numbers


@dataclass(frozen=True, slots=True)
class Job:
    """What all stages of a training share."""

    seed: int
    device: str
    tricks: Tricks
    folder: Path
    resume: bool
    progress: Progress


def train(data: Path, out: Path, *, recordings: Recordings, seed: int = 0, device: str = "cpu", resume: bool = False,
          epochs: int | None = None, synthetic_sounds: int = SYNTHETIC,
          progress: Progress = silent) -> dict[str, Any]:
    """Train on the layout under `data` and write `asthma` into the model repository `out`.

    About ten minutes on one core. Both networks are cross-validated over subjects; those of the better one are exported
    together. `epochs`: passes over the real clips, else the recipe's. Returns figures and the file's SHA-256.
    Raises Unusable without such data, and where they lack a class.
    """
    torch.set_num_threads(1)
    learned = gather(data, recordings, progress)
    folds = grouped_folds(learned.truth[:, :2].astype(np.float64), learned.persons, FOLDS, seed)
    job = Job(seed, device, Tricks(), out / MODEL / "training", resume, progress)
    made = synthetic(synthetic_sounds, seed, progress)
    tried = {}
    for name, recipe in RECIPES.items():
        recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
        tried[name] = cross_validated(name, recipe, learned, folds, made, job)
        progress(f"{name}: " + told(figures(learned, folds, tried[name].logits)))
    best = max(tried, key=lambda name: _worth(figures(learned, folds, tried[name].logits)))
    sha256, report = _export(learned, folds, tried, best, out / MODEL, seed)
    _keep_log(job.folder, out / MODEL / "log.csv")
    shutil.rmtree(job.folder, ignore_errors=True)
    progress(f"wrote {MODEL}/1/model.onnx ({best}), SHA-256 {sha256}")
    return {"sha256": sha256, **report}


def cross_validated(name: str, recipe: Recipe, learned: Learned, folds: Indices, made: Synthetic,
                    job: Job) -> CrossValidated:
    """From each beginning: learn from synthetic sounds once, then from the real ones of all folds but one, fold by
    fold. The mean of a fold's networks is what the fold has."""
    every = [_from_one_beginning(name, recipe, learned, folds, made, replace(
        job, seed=job.seed + _APART * number, folder=job.folder / str(number))) for number in range(recipe.times)]
    each = np.stack([logits for _, logits in every])
    networks = tuple(Together(own) for own in zip(*(networks for networks, _ in every), strict=True))
    return CrossValidated(networks, each.mean(axis=0), each)


def _from_one_beginning(name: str, recipe: Recipe, learned: Learned, folds: Indices, made: Synthetic,
                        job: Job) -> tuple[list[nn.Module], Numbers]:
    seed_everything(job.seed)
    first = recipe.network(len(OUTPUTS))
    if job.tricks.synthesis:
        first = _first(name, first, recipe, made, job)
    logits, networks = np.full((len(learned.truth), len(OUTPUTS)), np.nan), []
    for fold in range(FOLDS):
        network = _fine_tuned(name, copy.deepcopy(first), recipe, learned, np.flatnonzero(folds != fold), fold, job)
        logits[folds == fold] = logits_of(network, learned)[folds == fold]
        networks.append(network)
    return networks, logits


def _first(name: str, network: nn.Module, recipe: Recipe, made: Synthetic, job: Job) -> nn.Module:
    def batches(random: np.random.Generator) -> Any:
        order = random.permutation(len(made[0]))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start:start + BATCH]
            yield augmented(made[0][chosen], made[1][chosen], random, Tricks(mixing=False, stretching=False))

    plan = Plan(recipe.first_epochs, len(made[0]) // BATCH, job.seed, job.device, recipe.first_peak,
                data=f"synthetic {len(made[0])}")
    return run_training(network, plan, batches, partial(masked_loss, device=job.device), resume=job.resume,
                        folder=job.folder / f"{name}-first", progress=job.progress,
                        what=f"{name}, synthetic").network


def _fine_tuned(name: str, network: nn.Module, recipe: Recipe, learned: Learned, chosen: Indices, fold: int,
                job: Job) -> nn.Module:
    own, added = learned.clips_of(chosen), learned.wheezed_of(chosen)
    steps = max(len(own) // BATCH, 1)

    def batches(random: np.random.Generator) -> Any:
        order = random.permutation(own)
        for start in range(0, steps * BATCH, BATCH):
            mels, truth = learned.mels[order[start:start + BATCH]], learned.clip_truth[order[start:start + BATCH]]
            if job.tricks.synthesis and len(added):
                more = random.choice(added, 4)
                mels = np.concatenate([mels, learned.wheezed[more]])
                truth = np.concatenate([truth, learned.wheezed_truth[more]])
            yield augmented(mels, truth, random, job.tricks)

    plan = Plan(recipe.epochs, steps, job.seed + 1 + fold, job.device, recipe.peak, weight_decay=0.05,
                averaging=0.95, data=f"{len(own)} clips, fold {fold}")
    return run_training(network, plan, batches, partial(masked_loss, device=job.device), resume=job.resume,
                        folder=job.folder / f"{name}-{fold}", progress=job.progress,
                        what=f"{name}, fold {fold}").network


def masked_loss(network: nn.Module, batch: tuple[Floats, Floats], device: str) -> torch.Tensor:
    """Binary cross entropy over what somebody knows."""
    mels, truth = (torch.from_numpy(np.asarray(part, dtype=np.float32)).to(device) for part in batch)
    logits, _ = network(mels)
    known = ~torch.isnan(truth)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.nan_to_num(truth), reduction="none")
    return (loss * known).sum() / known.sum()


def logits_of(network: nn.Module, learned: Learned) -> Numbers:
    """(recordings, outputs): the mean over the clips of each."""
    network.cpu().eval()
    with torch.no_grad():
        parts = [network(torch.from_numpy(learned.mels[start:start + 64].astype(np.float32)))[0].numpy()
                 for start in range(0, len(learned.mels), 64)]
    return learned.by_recording(np.concatenate(parts).astype(np.float64))


def regressions(learned: Learned, folds: Indices, logits: Numbers, *, with_network: bool = True,
                with_features: bool = True) -> list[Combination]:
    """The regression of each fold, fitted on the others."""
    made = []
    for fold in range(FOLDS):
        rest = folds != fold
        made.append(fitted(logits[rest], learned.features[rest], learned.truth[rest].astype(np.float64),
                           learned.weights[rest], with_network=with_network, with_features=with_features))
    return made


def crossed(learned: Learned, folds: Indices, logits: Numbers, *, with_network: bool = True,
            with_features: bool = True) -> Numbers:
    """Log odds (recordings, labels) by the regression of each one's own fold."""
    odds = np.full(logits.shape, np.nan)
    made = regressions(learned, folds, logits, with_network=with_network, with_features=with_features)
    for fold, regression in enumerate(made):
        own = folds == fold
        odds[own] = regression.log_odds(logits[own], learned.features[own])
    return odds


def figures(learned: Learned, folds: Indices, logits: Numbers) -> dict[str, dict[str, float]]:
    """AUC over subjects of each label, all out of fold.

    By the network's own head for it (`heads`), by the regression on what the network hears, on the features, on both.
    """
    ways = {"heads": logits, "network": crossed(learned, folds, logits, with_features=False),
            "features": crossed(learned, folds, logits, with_network=False),
            "both": crossed(learned, folds, logits)}
    return {way: {name: learned.subject_auc(score, column) for column, name in enumerate(OUTPUTS)}
            for way, score in ways.items()}


def told(found: dict[str, dict[str, float]]) -> str:
    return "; ".join(f"{way} " + ", ".join(f"{name} {value:.3f}" for name, value in values.items())
                     for way, values in found.items())


def _worth(found: dict[str, dict[str, float]]) -> float:
    """What the better network is told by: asthma and abnormal, as it is used."""
    return found["both"]["asthma"] + found["both"]["abnormal"]


def _export(learned: Learned, folds: Indices, tried: dict[str, CrossValidated], best: str, folder: Path,
            seed: int) -> tuple[str, dict[str, Any]]:
    chosen = tried[best]
    whole = fitted(chosen.logits, learned.features, learned.truth.astype(np.float64), learned.weights)
    probability = 1 / (1 + np.exp(-crossed(learned, folds, chosen.logits)))
    thresholds = _thresholds(learned, probability)
    found = {name: figures(learned, folds, one.logits) for name, one in tried.items()}
    report = {"network": best, "seed": seed, "subjects": len(set(learned.subjects)), "recordings": len(learned.truth),
              "folds": FOLDS, "spread": {name: _spread(learned, folds, one) for name, one in tried.items()},
              "auc": {name: {way: {label: round(value, 4) for label, value in values.items()}
                             for way, values in one.items()} for name, one in found.items()}}
    model = Served(chosen.networks, whole, regressions(learned, folds, chosen.logits))
    sha256 = write(model, thresholds, folder, learned, written(learned.marks, [int(fold) for fold in folds]), report)
    return sha256, {"thresholds": thresholds, **report}


def _spread(learned: Learned, folds: Indices, one: CrossValidated) -> dict[str, list[float]]:
    """AUC of asthma and abnormal by the networks of each beginning alone, with the features."""
    found = [figures(learned, folds, logits)["both"] for logits in one.each]
    return {label: [round(values[label], 4) for values in found] for label in ("asthma", "abnormal")}


def _keep_log(folder: Path, file: Path) -> None:
    """One table of the logs of all networks: which beginning, which network and part, and what each epoch gave."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, ("beginning", "network", "epoch", "loss", "rate", "seconds"))
        writer.writeheader()
        for log in sorted(folder.glob("*/*/log.csv")):
            with log.open(newline="", encoding="utf-8") as lines:
                writer.writerows({"beginning": log.parts[-3], "network": log.parts[-2], **line}
                                 for line in csv.DictReader(lines))


def _thresholds(learned: Learned, probability: Numbers) -> dict[str, float]:
    """Of subjects out of fold: sensitivity plus specificity at their best for what is told apart, 90 % specificity for
    what is heard besides. Raises Unusable where a label has but one class."""
    made = {}
    for column, name in enumerate(OUTPUTS):
        truth, score = learned.by_subject(probability, column)
        level = youden(truth, score) if name in ("asthma", "abnormal") else at_specificity(truth, score, 0.9)
        if level is None or np.isnan(auc(truth, score)):
            raise Unusable(f"the data hold no subject with, or none without {name}: nothing can be learned",
                           element="diagnosis")
        made[name] = round(min(level, 0.999), 3)
    return made
