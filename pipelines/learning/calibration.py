"""From scores to probabilities, fitted on records that the network has not learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Logistic:
    """Probability = 1 / (1 + exp(-(slope × score + offset)))."""

    slope: float
    offset: float

    def probability(self, score: Numbers) -> Numbers:
        return np.asarray(1 / (1 + np.exp(-np.clip(self.slope * score + self.offset, -60, 60))), np.float64)


@dataclass(frozen=True, slots=True)
class Stairs:
    """Isotonic: probability of a score by straight lines between the knots, flat outside."""

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def probability(self, score: Numbers) -> Numbers:
        return np.interp(score, self.scores, self.probabilities)


def platt(logits: Numbers, truth: Numbers, *, slope_spread: float = 0.5, offset_spread: float = 2.0) -> Logistic:
    """The most probable logistic curve over the logits (records,) under a mild prior.

    The prior (log slope ~ N(0, `slope_spread`), offset ~ N(0, `offset_spread`)) keeps a label with three positives near
    what the network says; a higher logit never means less.
    """
    def loss(x: Numbers) -> float:
        z = np.exp(x[0]) * logits + x[1]
        likelihood = np.logaddexp(0, z) - truth * z
        return float(likelihood.sum() + (x[0] / slope_spread) ** 2 / 2 + (x[1] / offset_spread) ** 2 / 2)

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9, "maxiter": 4000})
    return Logistic(float(np.exp(best.x[0])), float(best.x[1]))


def platt_of_scores(score: Numbers, truth: Numbers) -> Logistic:
    """Platt's own method, for scores of any scale: targets drawn in from 0 and 1, so that a perfect split stays finite;
    a higher score never means less."""
    positives = float((truth > 0.5).sum())
    negatives = float(truth.size) - positives
    target = np.where(truth > 0.5, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    centre, scale = float(score.mean()), float(score.std()) + 1e-6
    normal = (score - centre) / scale

    def loss(numbers: Numbers) -> float:
        logit = numbers[0] * normal + numbers[1]
        return float((np.logaddexp(0, logit) - target * logit).sum() + 0.01 * numbers[0] ** 2)

    slope, offset = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(0.0, None), (None, None)]).x
    return Logistic(float(slope / scale), float(offset - slope * centre / scale))


def temperature(logits: Numbers, truth: Numbers) -> float:
    """T > 0 for which softmax(logits / T) fits best. `logits` (records, classes), `truth` (records,) class numbers."""
    rows = np.arange(len(logits))
    number = truth.astype(int)

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        top = scaled.max(axis=1)
        total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((total - scaled[rows, number]).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))


def isotonic(score: Numbers, truth: Numbers) -> Stairs:
    """The rising stairs nearest to the truth (pool adjacent violators); equal scores share a step. Needs many
    positives: with few of them `platt` is steadier."""
    levels, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, weights=truth) / counts
    blocks: list[list[float]] = []
    for level, mean, count in zip(levels, means, counts, strict=True):
        blocks.append([mean, count, level, level])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            m, n, _, last = blocks.pop()
            before = blocks[-1]
            before[0] = (before[0] * before[1] + m * n) / (before[1] + n)
            before[1], before[3] = before[1] + n, last
    knots = [(edge, mean) for mean, _, first, last in blocks for edge in dict.fromkeys((first, last))]
    return Stairs(tuple(float(x) for x, _ in knots), tuple(float(y) for _, y in knots))
