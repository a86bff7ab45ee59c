"""Network and measured features together: a logistic regression for each label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pipelines.asthma.labels import LABELS
from pipelines.asthma.measures import FEATURES

Numbers = NDArray[np.float64]
RIDGE = 1.0
"""Weight of the squared slopes (of standardised inputs) against the records' likelihood."""


@dataclass(frozen=True, slots=True)
class Combination:
    """Log odds = logits @ `network` + features @ `features` + `offset`; (outputs, labels), (features, labels),
    (labels,)."""

    network: Numbers
    features: Numbers
    offset: Numbers

    def log_odds(self, logits: Numbers, features: Numbers) -> Numbers:
        return np.asarray(logits @ self.network + features @ self.features + self.offset)


def fitted(logits: Numbers, features: Numbers, truth: Numbers, weights: Numbers, *,
           with_network: bool = True, with_features: bool = True) -> Combination:
    """From (records, outputs), (records, features) and truth (records, labels; NaN: nobody knows).

    `logits` must come from networks that have not learned from the record.
    """
    count = len(LABELS)
    network, slopes, offset = np.zeros((count, count)), np.zeros((len(FEATURES), count)), np.zeros(count)
    for column, label in enumerate(LABELS):
        known = ~np.isnan(truth[:, column])
        heard = list(label.heard) if with_network else []
        used = list(label.features) if with_features else []
        given = np.column_stack([logits[known][:, heard], features[known][:, used]])
        slope, offset[column] = logistic(given, truth[known, column], weights[known])
        network[heard, column], slopes[used, column] = slope[:len(heard)], slope[len(heard):]
    return Combination(network, slopes, offset)


def logistic(given: Numbers, truth: Numbers, weights: Numbers) -> tuple[Numbers, float]:
    """Slopes (columns,) and offset of the ridge regression."""
    centre, scale = given.mean(axis=0), given.std(axis=0) + 1e-9
    scaled = (given - centre) / scale

    def loss(numbers: Numbers) -> tuple[float, Numbers]:
        odds = scaled @ numbers[:-1] + numbers[-1]
        told = 1 / (1 + np.exp(-odds))
        away = weights * (told - truth)
        value = (weights * (np.logaddexp(0, odds) - truth * odds)).sum() + RIDGE / 2 * (numbers[:-1] ** 2).sum()
        return float(value), np.append(scaled.T @ away + RIDGE * numbers[:-1], away.sum())

    best = minimize(loss, np.zeros(given.shape[1] + 1), jac=True, method="L-BFGS-B").x
    slopes = best[:-1] / scale
    return np.asarray(slopes), float(best[-1] - slopes @ centre)
