"""Figures of merit with numpy alone: area under the ROC, bootstrap by patient, sensitivity, calibration error."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Figure = Callable[[Numbers, Numbers], float]


def auc(truth: Numbers, score: Numbers) -> float:
    """Area under the ROC curve (Mann-Whitney, ties count half); NaN where one of the two classes is absent."""
    positive = truth > 0.5
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    rank_sum = float(_midranks(score)[positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def _midranks(score: Numbers) -> Numbers:
    """1-based ranks, equal scores sharing their mean rank."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], dtype=np.float64)


def bootstrap(figure: Figure, truth: Numbers, score: Numbers, groups: Sequence[str], *, draws: int = 1000,
              seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of `figure` over resampled groups (patients); draws where it is NaN don't count.

    (NaN, NaN) where no draw has a figure.
    """
    random = np.random.default_rng(seed)
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    members = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    figures = []
    for _ in range(draws):
        drawn = np.concatenate([members[i] for i in random.integers(0, len(members), len(members))])
        figures.append(figure(truth[drawn], score[drawn]))
    known = np.asarray(figures)[~np.isnan(figures)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.percentile(known, (2.5, 97.5))
    return float(low), float(high)


def sensitivity(truth: Numbers, score: Numbers, threshold: float) -> float:
    """Share of the positive that reach the threshold; NaN without positives."""
    found = score[truth > 0.5] >= threshold
    return float(found.mean()) if found.size else float("nan")


def specificity(truth: Numbers, score: Numbers, threshold: float) -> float:
    """Share of the negative that stay below the threshold; NaN without negatives."""
    left = score[truth <= 0.5] < threshold
    return float(left.mean()) if left.size else float("nan")


def calibration_error(truth: Numbers, probability: Numbers, bins: int = 10) -> float:
    """Expected calibration error over equal-width bins, weighted by their share of records."""
    bin_of = np.minimum((probability * bins).astype(int), bins - 1)
    total = 0.0
    for number in range(bins):
        inside = bin_of == number
        if inside.any():
            total += inside.mean() * abs(float(truth[inside].mean()) - float(probability[inside].mean()))
    return float(total)
