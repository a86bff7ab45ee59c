"""`triage-gateway train asthma`: KAUH's layout in, a folder of the model repository out. Needs the `train` extra."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gateway.errors import Unusable
from gateway.ports.recordings import Recordings
from pipelines.asthma.augment import Tricks
from pipelines.asthma.combine import fitted
from pipelines.asthma.export import Served, write
from pipelines.asthma.labels import OUTPUTS
from pipelines.asthma.memory import written
from pipelines.asthma.network import Together
from pipelines.asthma.train_clips import Learned, gather, synthetic
from pipelines.asthma.train_judged import Figures, calibration, figures, mean_of, told, worth
from pipelines.asthma.train_networks import BEGINNINGS, FOLDS, RECIPES, Job, Recipe, Synthetic, Told, tuned, unheard
from pipelines.learning.folds import Indices, Numbers, grouped_folds
from pipelines.validation.operating import at_specificity, youden
from pipelines.validation.progress import Progress, silent
from pipelines.validation.ranking import auc

MODEL = "asthma"
SYNTHETIC = 2000
"""Synthetic sounds that the networks learn from first."""
DRAWS = 3
"""Draws of folds, so that the choice does not rest on one."""
ALONE, TUNED, BOTH = "synthetic sounds alone", "then recordings", "both kinds"


@dataclass(frozen=True, slots=True)
class Candidate:
    """`every`: what it says for each draw of folds; what is exported is that of the first."""

    every: tuple[Told, ...]

    def figures(self, learned: Learned, draws: list[Indices]) -> dict[str, dict[str, float]]:
        return mean_of([figures(learned, folds, one.logits) for folds, one in zip(draws, self.every, strict=True)])


def train(data: Path, out: Path, *, recordings: Recordings, seed: int = 0, device: str = "cpu", resume: bool = False,
          epochs: int | None = None, synthetic_sounds: int = SYNTHETIC, draws: int = DRAWS,
          beginnings: int = BEGINNINGS, progress: Progress = silent) -> dict[str, Any]:
    """Train on the layout under `data` and write `asthma` into the model repository `out`.

    About a quarter of an hour on one core. Both kinds of network and their mean, as they have learned from synthetic
    sounds alone and from the recordings besides, are cross-validated over subjects in several draws of folds; the best
    is exported. `epochs`: passes over the real clips, else the recipe's; `draws`: of folds; `beginnings`: of each
    kind. Returns figures and the file's SHA-256. Raises Unusable without such data, and where they lack a class.
    """
    torch.set_num_threads(1)
    learned = gather(data, recordings, progress)
    folds = drawn(learned, seed, draws)
    job = Job(seed, device, Tricks(), out / MODEL / "training", resume, progress, beginnings)
    made = synthetic(synthetic_sounds, seed, progress)
    every: dict[str, Candidate] = {}
    for name, recipe in RECIPES.items():
        recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
        every |= candidates(name, recipe, learned, folds, made, job)
    every |= {f"{BOTH}, {way}": _mean([every[f"{name}, {way}"] for name in RECIPES]) for way in (ALONE, TUNED)}
    found = {name: one.figures(learned, folds) for name, one in every.items()}
    for name, values in found.items():
        progress(f"{name}: {told(values)}")
    best = max(found, key=lambda name: worth(found[name]))
    sha256, report = _export(learned, folds, every, found, best, out / MODEL, seed)
    _keep_log(job.folder, out / MODEL / "log.csv")
    shutil.rmtree(job.folder, ignore_errors=True)
    progress(f"wrote {MODEL}/1/model.onnx ({best}), SHA-256 {sha256}")
    return {"sha256": sha256, **report}


def drawn(learned: Learned, seed: int, draws: int = DRAWS) -> list[Indices]:
    """Folds of the recordings, of persons, drawn several times."""
    return [grouped_folds(learned.truth[:, :2].astype(np.float64), learned.persons, FOLDS, seed + draw)
            for draw in range(draws)]


def candidates(name: str, recipe: Recipe, learned: Learned, draws: list[Indices], made: Synthetic,
               job: Job) -> dict[str, Candidate]:
    """A kind of network that has learned from synthetic sounds alone, and from the recordings too."""
    first = unheard(name, recipe, learned, made, job)
    then = tuple(tuned(name, recipe, learned, folds, draw, first, job) for draw, folds in enumerate(draws))
    return {f"{name}, {ALONE}": Candidate((first,) * len(draws)), f"{name}, {TUNED}": Candidate(then)}


def _mean(some: list[Candidate]) -> Candidate:
    """Of several kinds of network."""
    return Candidate(tuple(_together(ones) for ones in zip(*(one.every for one in some), strict=True)))


def _together(some: tuple[Told, ...]) -> Told:
    parts = [[list(network.networks) for network in one.networks] for one in some]
    networks = tuple(Together(chain(*of_fold)) for of_fold in zip(*parts, strict=True))
    return Told(networks, np.mean([one.logits for one in some], axis=0), np.mean([one.each for one in some], axis=0))


def _export(learned: Learned, draws: list[Indices], every: dict[str, Candidate],
            found: Mapping[str, Figures], best: str, folder: Path, seed: int) -> tuple[str, dict[str, Any]]:
    chosen = every[best].every[0]
    whole = fitted(chosen.logits, learned.features, learned.truth.astype(np.float64), learned.weights)
    probability = 1 / (1 + np.exp(-whole.log_odds(chosen.logits, learned.features)))
    thresholds = _thresholds(learned, probability)
    report = {"network": best, "seed": seed, "subjects": len(set(learned.subjects)), "recordings": len(learned.truth),
              "folds": FOLDS, "draws": len(draws), "beginnings": len(chosen.each), "calibration_error": calibration(
                  learned, draws[0], chosen.logits),
              "auc": {name: {way: {label: round(value, 4) for label, value in values.items()}
                             for way, values in one.items()} for name, one in found.items()},
              "spread": {name: _spread(learned, draws, one) for name, one in every.items()}}
    fold_of = draws[0] if len(chosen.networks) > 1 else np.zeros_like(draws[0])
    sha256 = write(Served(chosen.networks, whole), thresholds, folder, learned,
                   written(learned.marks, [int(fold) for fold in fold_of]), report)
    return sha256, {"thresholds": thresholds, **report}


def _spread(learned: Learned, draws: list[Indices], one: Candidate) -> dict[str, list[float]]:
    """Of asthma and abnormal by the networks of each beginning alone, with the features, mean over the draws."""
    each = [mean_of([figures(learned, folds, told_.each[number]) for folds, told_ in
                     zip(draws, one.every, strict=True)])["both"] for number in range(len(one.every[0].each))]
    return {label: [round(values[label], 4) for values in each] for label in ("asthma", "abnormal")}


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
    """Of subjects: sensitivity plus specificity at their best for what is told apart, 90 % specificity for
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
