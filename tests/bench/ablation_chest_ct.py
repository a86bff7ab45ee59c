"""`python -m tests.bench.ablation_chest_ct [UNSEEN [CASES [EPOCHS]]]`: what pretraining, averaging over four views
and the maximum of both networks each add to the chest CT reader. Trained as `train chest_ct --data synthetic` does,
with two seeds, and judged on so many unseen chests. On stdout a line for each figure: mean over the seeds with its
95 % interval by bootstrap over the chests, each seed's own, and what the reader as it is served has more than without
the part."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipelines.chest_ct.calibration import operating_point
from pipelines.chest_ct.cases import Prepared, stream
from pipelines.chest_ct.labels import ABNORMAL, KINDS
from pipelines.chest_ct.network import Autoencoder, Classifier, Served
from pipelines.chest_ct.train import Course, Numbers, truth_of
from pipelines.chest_ct.train_synthetic import Batches, autoencoder_loss, classifier_loss, kept_slabs
from pipelines.chest_ct.views import (
    autoencoder_input,
    class_scores,
    classifier_input,
    error_score,
    reconstruction_error,
    within,
)
from pipelines.learning.calibration import platt_of_scores
from pipelines.learning.training import seed_everything
from pipelines.validation.progress import track
from pipelines.validation.ranking import Draws, Ranking, interval
from tests.bench.lines import progress

SEEDS, CASES, EPOCHS = (0, 1), 120, 5
UNSEEN = 100
FIRST_UNSEEN = 910_000_000
"""Seed of the first unseen chest: neither training nor calibration nor `validate` comes near it."""
VIEWS, PIECE = 4, 16
"""Views that are averaged; slabs that are looked at together: what they need fits a cache."""
LABELS = (*KINDS, ABNORMAL)
PRETRAINED, SCRATCH = 0, 1
AVERAGED, ONE_VIEW = 0, 1
ARMS = {"as served": (PRETRAINED, AVERAGED), "without pretraining": (SCRATCH, AVERAGED),
        "without averaging": (PRETRAINED, ONE_VIEW), "without both": (SCRATCH, ONE_VIEW)}


@dataclass(frozen=True, slots=True)
class Taught:
    """By one seed: the classifier with pretraining and the one without, and the autoencoder."""

    classifiers: tuple[Served, Served]
    autoencoder: nn.Module


@dataclass(frozen=True, slots=True)
class Read:
    """`told` (chests, seeds, pretrained or not, averaged or not, labels), `error` (chests, seeds): scores; `truth`
    (chests, labels)."""

    told: Numbers
    error: Numbers
    truth: Numbers


def taught(seed: int, folder: Path, cases: int, epochs: int) -> Taught:
    """Both classifiers begin with the same weights and see the same batches."""
    slabs = kept_slabs(seed, cases, folder, resume=True, progress=progress)
    course = Course(epochs, seed, "cpu", folder, False, progress)
    classifiers = []
    for pretrained in (True, False):
        seed_everything(seed)
        classifier, autoencoder = Classifier(len(LABELS)), Autoencoder()
        if pretrained:
            course.pretrained(classifier, slabs.shown, "")
        batches = Batches(slabs.shown, slabs.truth, seed)
        classifiers.append(Served(course.run(classifier, batches.steps, batches, classifier_loss, "")).eval())
    batches = Batches(slabs.healthy, slabs.healthy, seed)
    healer = course.run(autoencoder, batches.steps, batches, autoencoder_loss, "")
    return Taught((classifiers[0], classifiers[1]), healer)


def read(networks: list[Taught], chests: Iterable[Prepared]) -> Read:
    told, errors, truth = [], [], []
    for chest in chests:
        inside = chest.view.cut(chest.lungs.whole, fill=False)
        shown = torch.from_numpy(classifier_input(chest.working, chest.view))
        maps = np.concatenate([one for of in networks for served in of.classifiers for one in views(served, shown)], 1)
        told.append(class_scores(within(maps, inside)[0]).reshape(len(networks), 2, 2, len(LABELS)))
        lungs = autoencoder_input(chest.working, chest.lungs, chest.view)
        with torch.inference_mode():
            rebuilt = [of.autoencoder(torch.from_numpy(lungs)).numpy() for of in networks]
        errors.append([error_score(reconstruction_error(lungs, one, inside), inside) for one in rebuilt])
        truth.append(truth_of(chest)[:len(LABELS)])
    return Read(np.array(told, np.float64), np.array(errors, np.float64), np.array(truth, np.float64))


def views(served: Served, shown: torch.Tensor) -> tuple[Numbers, Numbers]:
    """Maps (slabs, labels, cells, cells): averaged over the views, and of the first, the slab as it is."""
    maps: list[torch.Tensor] = []
    hook = served.classifier.register_forward_hook(lambda network, given, answer: maps.append(answer[1]))
    with torch.inference_mode():
        averaged = torch.cat([served(piece)[1] for piece in shown.split(PIECE)])
    hook.remove()
    return averaged.numpy(), torch.cat(maps[::VIEWS]).numpy()


def drawn(chests: int) -> Numbers:
    """(draws, chests): how often each chest is drawn; in the first each counts once."""
    draws = Draws.of([f"{number:06}" for number in range(chests)])
    return np.vstack([np.ones(chests), draws.of_records(np.ones(chests, bool))])


def areas(truth: Numbers, score: Numbers, weights: Numbers) -> Numbers:
    """AUC (seeds, draws) of scores (chests, seeds), by weights (draws, chests)."""
    return np.array([Ranking(truth, of_seed).areas(weights).auc for of_seed in score.T])


def shares(right: NDArray[np.bool_], among: NDArray[np.bool_], weights: Numbers) -> Numbers:
    """Share (seeds, draws) of what is right (chests, seeds) among some of the chests, by weights (draws, chests)."""
    counted = weights[:, among]
    return np.asarray((counted @ right[among] / counted.sum(1, keepdims=True)).T, np.float64)


def tell(what: str, figure: Numbers, served: Numbers) -> None:
    """Figures (seeds, draws), the first of the draws being all chests as they are."""
    each = ", ".join(f"{of_seed:.3f}" for of_seed in figure[:, 0])
    more = "" if figure is served else f"; as served {interval_of(served - figure, '+')}"
    print(f"{what}: {interval_of(figure)}; by seed {each}{more}", flush=True)


def interval_of(figure: Numbers, sign: str = "") -> str:
    mean = figure.mean(0)
    low, high = interval(mean[1:])
    return f"{mean[0]:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def tell_parts(unseen: Read) -> None:
    """AUC of each label with and without pretraining and averaging."""
    weights = drawn(len(unseen.truth))
    for number, label in enumerate(LABELS):
        truth = unseen.truth[:, number]
        found = {name: areas(truth, unseen.told[:, :, *arm, number], weights) for name, arm in ARMS.items()}
        for name, figure in found.items():
            tell(f"{label} ({int(truth.sum())} of {len(truth)}) AUC, {name}", figure, found["as served"])


def tell_verdict(unseen: Read) -> None:
    """The classifier's `abnormal`, the autoencoder's error, and their maximum, each at its own operating point. Curves
    and operating points of each half of the chests come from the other half; figures are the halves' means."""
    sick, weights = unseen.truth[:, -1], drawn(len(unseen.truth))
    scores = np.stack([unseen.told[:, :, *ARMS["as served"], -1], unseen.error])
    found = []
    for start in (0, 1):
        known, judged = np.arange(1 - start, len(sick), 2), np.arange(start, len(sick), 2)
        before, after = probabilities(sick[known], scores[:, known], scores[:, judged])
        ways = {"maximum": (before.max(0), after.max(0)), "classifier alone": (before[0], after[0]),
                "autoencoder alone": (before[1], after[1])}
        found.append({name: figures(sick[known], sick[judged], *of_way, weights[:, judged])
                      for name, of_way in ways.items()})
    means = {name: (found[0][name] + found[1][name]) / 2 for name in found[0]}
    for number, what in enumerate(("AUC", "sensitivity", "specificity")):
        served = means["maximum"][number]
        for name, mean in means.items():
            figure = served if name == "maximum" else mean[number]
            tell(f"abnormal ({int(sick.sum())} of {len(sick)}) {what}, {name}", figure, served)


def probabilities(truth: Numbers, known: Numbers, asked: Numbers) -> tuple[Numbers, Numbers]:
    """Of scores (networks, chests, seeds), by a curve for each network and seed through the known ones."""
    before, after = np.empty_like(known), np.empty_like(asked)
    for network, seed in np.ndindex(known.shape[0], known.shape[2]):
        curve = platt_of_scores(known[network, :, seed], truth)
        before[network, :, seed] = curve.probability(known[network, :, seed])
        after[network, :, seed] = curve.probability(asked[network, :, seed])
    return before, after


def figures(known: Numbers, sick: Numbers, before: Numbers, after: Numbers, weights: Numbers) -> Numbers:
    """AUC, sensitivity and specificity (3, seeds, draws) of probabilities (chests, seeds)."""
    called = after >= [operating_point(of_seed, known) for of_seed in before.T]
    return np.stack([areas(sick, after, weights), shares(called, sick > 0.5, weights),
                     shares(~called, sick < 0.5, weights)])


def main(unseen: int = UNSEEN, cases: int = CASES, epochs: int = EPOCHS) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        networks = [taught(seed, Path(folder) / str(seed), cases, epochs) for seed in SEEDS]
    judged = read(networks, track(progress, stream(FIRST_UNSEEN, unseen), unseen, "chests read", every=10))
    tell_parts(judged)
    tell_verdict(judged)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
