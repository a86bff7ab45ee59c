"""Network and measured features together: for each label a weighted sum, made a probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pipelines.asthma.labels import LABELS
from pipelines.asthma.measures import FEATURES

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


def fitted(logits: Numbers, features: Numbers, truth: Numbers, weights: Numbers, *,
           with_network: bool = True, with_features: bool = True) -> Combination:
    """From (records, outputs), (records, features) and truth (records, labels; NaN: nobody knows).

    `logits` must come from networks that have not learned from the record.
    """
    count = len(LABELS)
    network, slopes, offset = np.zeros((count, count)), np.zeros((len(FEATURES), count)), np.zeros(count)
    both = np.column_stack([logits, features])
    centre, scale = both.mean(axis=0), both.std(axis=0) + 1e-9
    for column, label in enumerate(LABELS):
        summed = np.zeros(both.shape[1])
        for index, weight in label.heard if with_network else ():
            summed[index] = weight / scale[index]
        for index, weight in label.features if with_features else ():
            summed[count + index] = weight / scale[count + index]
        known = ~np.isnan(truth[:, column])
        slope, level = logistic((both[known] - centre) @ summed, truth[known, column], weights[known])
        network[:, column], slopes[:, column] = slope * summed[:count], slope * summed[count:]
        offset[column] = level - slope * float(centre @ summed)
    return Combination(network, slopes, offset)


def logistic(given: Numbers, truth: Numbers, weights: Numbers) -> tuple[float, float]:
    """Slope and offset of the most probable logistic curve over (records,), the slope under a mild prior."""
    def loss(numbers: Numbers) -> float:
        odds = numbers[0] * given + numbers[1]
        return float((weights * (np.logaddexp(0, odds) - truth * odds)).sum() + RIDGE / 2 * numbers[0] ** 2)

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}).x
    return float(best[0]), float(best[1])
