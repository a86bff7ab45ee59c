"""Whether probabilities mean what they say: reliability bins, expected calibration error, Brier score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.validation.records import Numbers


@dataclass(frozen=True, slots=True)
class Bin:
    """Records whose probability lies in [low, high): their number, mean probability and share of positives."""

    low: float
    high: float
    n: int
    told: float
    found: float


def bins(truth: Numbers, probability: Numbers, count: int = 10) -> list[Bin]:
    """Bins of equal width, without the empty ones; 1.0 falls into the last."""
    number = np.minimum((probability * count).astype(int), count - 1)
    held = [(n, number == n) for n in range(count)]
    return [Bin(n / count, (n + 1) / count, int(inside.sum()), float(probability[inside].mean()),
                float(truth[inside].mean())) for n, inside in held if inside.any()]


def calibration_error(truth: Numbers, probability: Numbers, count: int = 10) -> float:
    """Expected calibration error: mean distance of told and found over the bins, by their number of records."""
    if not truth.size:
        return float("nan")
    return float(sum(b.n * abs(b.told - b.found) for b in bins(truth, probability, count)) / truth.size)


def brier(truth: Numbers, probability: Numbers) -> float:
    """Mean squared difference of probability and truth."""
    return float(np.mean((truth - probability) ** 2)) if truth.size else float("nan")
