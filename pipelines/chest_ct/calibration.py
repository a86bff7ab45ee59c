"""Scores → probabilities: logistic curves whose numbers come with the model (config.pbtxt `parameters`)."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from gateway.errors import Permanent
from gateway.result import ModelRelease

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Probability = 1 / (1 + exp(-(slope × score + offset))), present from `threshold` on."""

    slope: float
    offset: float
    threshold: float

    def probability(self, score: float) -> float:
        return float(1 / (1 + np.exp(-np.clip(self.slope * score + self.offset, -30, 30))))


def curves_of(release: ModelRelease, labels: tuple[str, ...]) -> dict[str, Curve]:
    """The curves a model came with. Raises Permanent when they are not there for all of `labels`."""
    try:
        calibration: dict[str, list[float]] = json.loads(release.parameters["calibration"])
        thresholds: dict[str, float] = json.loads(release.parameters["thresholds"])
        return {label: Curve(float(calibration[label][0]), float(calibration[label][1]), float(thresholds[label]))
                for label in labels}
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Permanent(f"model {release.name} has no usable calibration and thresholds") from error


def fit(score: Numbers, truth: Numbers) -> tuple[float, float]:
    """(slope, offset) by Platt's method: targets drawn in from 0 and 1, so that a perfect split stays finite;
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
    return float(slope / scale), float(offset - slope * centre / scale)


def threshold(probability: Numbers, truth: Numbers) -> float:
    """From where on something counts as present: at least one half, and above 98 % of the cases without it."""
    without = probability[truth <= 0.5]
    if not without.size:
        return 0.5
    return round(float(np.clip(np.quantile(without, 0.98) + 0.02, 0.5, 0.95)), 3)
