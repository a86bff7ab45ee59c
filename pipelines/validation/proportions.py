"""Sensitivity, specificity and what else follows from a threshold, with Wilson's intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipelines.validation.records import Numbers

_Z = 1.959963984540054
"""Standard normal deviate of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Confusion counts at a threshold: a score that reaches it is called present."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int

    @classmethod
    def at(cls, truth: Numbers, score: Numbers, threshold: float) -> Counts:
        positive, called = truth > 0.5, score >= threshold
        return cls(int((positive & called).sum()), int((~positive & called).sum()),
                   int((~positive & ~called).sum()), int((positive & ~called).sum()))

    @property
    def sensitivity(self) -> float:
        return share(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> float:
        return share(self.true_negative, self.true_negative + self.false_positive)

    @property
    def positive_predictive_value(self) -> float:
        return share(self.true_positive, self.true_positive + self.false_positive)

    @property
    def negative_predictive_value(self) -> float:
        return share(self.true_negative, self.true_negative + self.false_negative)

    @property
    def f1(self) -> float:
        return share(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)


def share(part: float, whole: float) -> float:
    """NaN of nothing."""
    return part / whole if whole else float("nan")


def wilson(part: int, whole: int) -> tuple[float, float]:
    """95 % score interval of a share (Wilson 1927); holds for 0 of n and n of n too. (NaN, NaN) of nothing."""
    if not whole:
        return float("nan"), float("nan")
    p, z2 = part / whole, _Z**2
    centre = (p + z2 / (2 * whole)) / (1 + z2 / whole)
    half = _Z * math.sqrt(p * (1 - p) / whole + z2 / (4 * whole**2)) / (1 + z2 / whole)
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def f1_draws(truth: Numbers, score: Numbers, threshold: float, weights: Numbers) -> Numbers:
    """F1 of each bootstrap draw, (draws,), from (draws, records) weights; NaN without positives and calls."""
    positive, called = (truth > 0.5).astype(np.float64), (score >= threshold).astype(np.float64)
    both, either = weights @ (positive * called), weights @ (positive + called)
    told: Numbers = np.divide(2 * both, either, out=np.full(len(weights), np.nan), where=either > 0)
    return told
