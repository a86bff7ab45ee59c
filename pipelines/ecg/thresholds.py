"""Where ECG readers draw the line, on records that the network has not learned from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.validation.operating import at_sensitivity, youden
from pipelines.validation.proportions import Counts

Numbers = NDArray[np.float64]
LOWEST, HIGHEST = 0.01, 0.5
"""Calibrated probabilities between which a threshold lies: what is more likely than not is always present."""
NORMAL_SPECIFICITY = 0.97
"""Share of abnormal records that the NORM output must keep from being called normal."""


def threshold(probability: Numbers, truth: Numbers, sensitivity: float, specificity: float) -> float:
    """The highest with this sensitivity; where that costs more than this specificity, the one with the largest sum of
    both. HIGHEST without positives."""
    chosen = at_sensitivity(truth, probability, sensitivity)
    if chosen is None:
        return HIGHEST
    if Counts.at(truth, probability, chosen).specificity < specificity:
        chosen = youden(truth, probability)
    return float(np.clip(HIGHEST if chosen is None else chosen, LOWEST, HIGHEST))


def normal_threshold(probability: Numbers, truth: Numbers) -> float:
    """The lowest threshold at which `NORMAL_SPECIFICITY` of the abnormal records stay below it; 1 without any."""
    abnormal = probability[truth < 0.5]
    if not abnormal.size:
        return 1.0
    level = float(np.quantile(abnormal, NORMAL_SPECIFICITY, method="higher"))
    return min(float(np.ceil((level + 1e-6) * 1000) / 1000), 1.0)
