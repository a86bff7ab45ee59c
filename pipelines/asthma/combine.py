"""Network and measured features together: for each label a weighted sum, made a probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pipelines.asthma.labels import LABELS

Numbers = NDArray[np.float64]
RIDGE = 1.0
"""Weight of the squared slope against the records' likelihood."""


@dataclass(frozen=True, slots=True)
class Combination:
    """Log odds = logits @ `network` + features @ `features` + `offset`; (outputs, labels), (features, labels),
    (labels,)."""

    network: Numbers
    features: Numbers
    offset: Numbers

    def log_odds(self, logits: Numbers, features: Numbers) -> Numbers:
        return np.asarray(logits @ self.network + features @ self.features + self.offset)


@dataclass(frozen=True, slots=True)
class Sums:
    """For each label the weighted sum of standardised values: logits @ `network` + features @ `features`, less
    `middle`; (outputs, labels), (features, labels), (labels,). No truth is in it."""

    network: Numbers
    features: Numbers
    middle: Numbers

    def of(self, logits: Numbers, features: Numbers) -> Numbers:
        return np.asarray(logits @ self.network + features @ self.features - self.middle)


def summed(logits: Numbers, features: Numbers) -> Sums:
    """Standardised on (records, outputs) and (records, features); what does not vary there counts nothing."""
    weights = [np.zeros((part.shape[1], len(LABELS))) for part in (logits, features)]
    for column, label in enumerate(LABELS):
        for part, given, told in zip((logits, features), weights, (label.heard, label.features), strict=True):
            for index, weight in told:
                spread = float(part[:, index].std())
                given[index, column] = weight / spread if spread > 0 else 0.0
    network, beside = weights
    return Sums(network, beside, np.asarray(logits.mean(axis=0) @ network + features.mean(axis=0) @ beside))


def fitted(logits: Numbers, features: Numbers, truth: Numbers, weights: Numbers) -> Combination:
    """Slope and offset of each label's sum, from truth (records, labels; NaN: nobody knows).

    `logits` must come from networks that have not learned from the record.
    """
    sums = summed(logits, features)
    given = sums.of(logits, features)
    slopes, offset = np.zeros(len(LABELS)), np.zeros(len(LABELS))
    for column in range(len(LABELS)):
        known = ~np.isnan(truth[:, column])
        slopes[column], offset[column] = logistic(given[known, column], truth[known, column], weights[known])
    return Combination(sums.network * slopes, sums.features * slopes, offset - slopes * sums.middle)


def logistic(given: Numbers, truth: Numbers, weights: Numbers) -> tuple[float, float]:
    """Slope and offset of the most probable logistic curve over (records,), the slope under a mild prior."""
    def loss(numbers: Numbers) -> float:
        odds = numbers[0] * given + numbers[1]
        return float((weights * (np.logaddexp(0, odds) - truth * odds)).sum() + RIDGE / 2 * numbers[0] ** 2)

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}).x
    return float(best[0]), float(best[1])
