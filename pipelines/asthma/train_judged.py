"""Which networks are the better: areas under the curve by cross-validation over subjects, repeated. numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipelines.asthma.combine import fitted, summed
from pipelines.asthma.labels import OUTPUTS
from pipelines.asthma.train_clips import Learned
from pipelines.learning.folds import Indices, Numbers
from pipelines.validation.ranking import auc
from pipelines.validation.reliability import calibration_error

Figures = Mapping[str, Mapping[str, float]]
"""Way of telling → label → area under the curve."""


def figures(learned: Learned, folds: Indices, logits: Numbers) -> Figures:
    """By the network's own head for a label (`heads`), by what it hears of wheezes and crackles (`network`), by the
    features, by both. `logits`: from networks that have not heard the recording."""
    nothing = np.zeros_like(logits)
    ways = {"heads": logits, "network": summed(logits, np.zeros_like(learned.features)).of(logits, learned.features),
            "features": summed(nothing, learned.features).of(logits, learned.features),
            "both": summed(logits, learned.features).of(logits, learned.features)}
    return {way: {name: within_folds(learned, folds, score, column) for column, name in enumerate(OUTPUTS)}
            for way, score in ways.items()}


def within_folds(learned: Learned, folds: Indices, scores: Numbers, column: int) -> float:
    """Share of the pairs of subjects of one fold, one with and one without, that stand in the right order.

    Of pairs in one fold alone, since what networks of different folds say differs by an offset: a fold with more
    wheezes leaves fewer to learn from, and all in it would rank too low. NaN where no fold has a pair.
    """
    truth, score = learned.by_subject(scores, column)
    _, fold = learned.by_subject(np.repeat(folds[:, None].astype(np.float64), scores.shape[1], axis=1), column)
    right = pairs = 0.0
    for one in np.unique(fold):
        own = fold == one
        count = float((truth[own] > 0.5).sum() * (truth[own] <= 0.5).sum())
        if count:
            right, pairs = right + count * auc(truth[own], score[own]), pairs + count
    return right / pairs if pairs else float("nan")


def mean_of(every: Sequence[Figures]) -> dict[str, dict[str, float]]:
    """Over several draws of folds."""
    return {way: {name: float(np.mean([found[way][name] for found in every])) for name in values}
            for way, values in every[0].items()}


def worth(found: Figures) -> float:
    """What the better is told by: asthma and abnormal, as they are served."""
    return found["both"]["asthma"] + found["both"]["abnormal"]


def told(found: Figures) -> str:
    return "; ".join(f"{way} " + ", ".join(f"{name} {value:.3f}" for name, value in values.items())
                     for way, values in found.items())


def calibration(learned: Learned, folds: Indices, logits: Numbers) -> dict[str, float]:
    """Expected calibration error of each label over subjects, slope and offset fitted on the other folds."""
    odds = np.full(logits.shape, np.nan)
    for fold in np.unique(folds):
        rest, own = folds != fold, folds == fold
        curve = fitted(logits[rest], learned.features[rest], learned.truth[rest].astype(np.float64),
                       learned.weights[rest])
        odds[own] = curve.log_odds(logits[own], learned.features[own])
    probability = 1 / (1 + np.exp(-odds))
    return {name: round(calibration_error(*learned.by_subject(probability, column)), 4)
            for column, name in enumerate(OUTPUTS)}
