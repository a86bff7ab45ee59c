"""Scores → probabilities: logistic curves whose numbers come with the model (config.pbtxt `parameters`)."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


SPECIFICITY = 0.96
"""Of the verdict, on the cases that calibrate it: the operating point."""


def operating_point(probability: Numbers, truth: Numbers) -> float:
    """The verdict's threshold: just above `SPECIFICITY` of the cases without disease."""
    without = probability[truth <= 0.5]
    if not without.size:
        return 0.5
    return round(float(np.clip(np.quantile(without, SPECIFICITY) + 0.01, 0.1, 0.95)), 3)


def threshold(probability: Numbers, truth: Numbers) -> float:
    """From where on something counts as present: at least one half, and above 98 % of the cases without it."""
    without = probability[truth <= 0.5]
    if not without.size:
        return 0.5
    return round(float(np.clip(np.quantile(without, 0.98) + 0.02, 0.5, 0.95)), 3)
