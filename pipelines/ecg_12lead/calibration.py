"""From logits to probabilities and thresholds, on records that the network has not learned from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Numbers = NDArray[np.float64]

BETA = 2.0
"""Of the F measure that thresholds maximise: a missed finding weighs more than a false one."""
LOWEST, HIGHEST = 0.1, 0.5
"""Thresholds stay between: with a handful of positives the best one is a matter of luck."""
NORMAL_SPECIFICITY = 0.95
"""Share of abnormal records that the NORM output must keep from being called normal."""


def platt(logits: Numbers, truth: Numbers) -> tuple[float, float]:
    """Slope and offset of `sigmoid(slope × logit + offset)`, the most probable ones under a mild prior.

    The prior (log slope ~ N(0, 0.5), offset ~ N(0, 2)) keeps a label with three positives near what the network says.
    """
    def loss(x: Numbers) -> float:
        z = np.exp(x[0]) * logits + x[1]
        likelihood = np.logaddexp(0, z) - truth * z
        return float(likelihood.sum() + (x[0] / 0.5) ** 2 / 2 + (x[1] / 2) ** 2 / 2)

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9, "maxiter": 4000})
    return float(np.exp(best.x[0])), float(best.x[1])


def threshold(probability: Numbers, truth: Numbers) -> float:
    """The threshold between `LOWEST` and `HIGHEST` with the best F measure; of equally good ones the middle.

    Each record counts half by what was said of it and half by its own calibrated probability: a label with four
    positives would otherwise get a threshold that fits those four and nobody else.
    """
    grid = np.round(np.arange(LOWEST, HIGHEST + 1e-9, 0.01), 2)
    likely = (truth + probability) / 2
    scores = np.array([_f_measure(probability >= level, likely) for level in grid])
    best = grid[scores >= scores.max() - 1e-12]
    return float(best[len(best) // 2])


def _f_measure(said: NDArray[np.bool_], likely: Numbers) -> float:
    hits, wrong, missed = likely[said].sum(), (1 - likely[said]).sum(), likely[~said].sum()
    return float((1 + BETA**2) * hits / max((1 + BETA**2) * hits + BETA**2 * missed + wrong, 1e-9))


def normal_threshold(probability: Numbers, truth: Numbers) -> float:
    """The lowest threshold at which `NORMAL_SPECIFICITY` of the abnormal records stay below it."""
    level = float(np.quantile(probability[truth < 0.5], NORMAL_SPECIFICITY, method="higher"))
    return min(float(np.ceil((level + 1e-6) * 1000) / 1000), 1.0)
