"""Where ECG readers draw the line, on records that the network has not learned from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.validation.operating import at_sensitivity, between

Numbers = NDArray[np.float64]
LOWEST, HIGHEST = 0.01, 0.5
"""Calibrated probabilities between which a threshold lies: what is more likely than not is always present."""
NORMAL_SPECIFICITY = 0.975
"""Share of abnormal records without any of the syndromes that must not come out normal: a little more than the
97 % that are to hold on others."""


def threshold(probability: Numbers, truth: Numbers, sensitivity: float, specificity: float) -> float:
    """The one that is nearest to having both: where the lesser of both surpluses is largest, in the middle of all such.
    HIGHEST without positives or negatives."""
    levels = np.unique(probability)
    positive, negative = np.sort(probability[truth > 0.5]), np.sort(probability[truth <= 0.5])
    if not (positive.size and negative.size):
        return HIGHEST
    found = 1 - np.searchsorted(positive, levels) / positive.size
    spared = np.searchsorted(negative, levels) / negative.size
    surplus = np.minimum(found - sensitivity, spared - specificity)
    best = levels[surplus >= surplus.max() - 1e-9]
    return float(np.clip(between(probability, float(best[len(best) // 2])), LOWEST, HIGHEST))


def any_threshold(suspicion: Numbers, truth: Numbers, sensitivity: float) -> float:
    """The highest that so many of the records with one of the syndromes reach (see `pipelines.ecg.suspicion`); 0
    without any such record."""
    return at_sensitivity(truth, suspicion, sensitivity) or 0.0


def normal_threshold(probability: Numbers, abnormal: Numbers) -> float:
    """The lowest threshold at which `NORMAL_SPECIFICITY` of the abnormal records stay below it; 1 without any.

    `probability`: of NORM, 0 where the record is pathology already and so cannot come out normal.
    """
    told = probability[abnormal > 0.5]
    if not told.size:
        return 1.0
    level = float(np.quantile(told, NORMAL_SPECIFICITY, method="higher"))
    return min(float(np.ceil((level + 1e-6) * 1000) / 1000), 1.0)
