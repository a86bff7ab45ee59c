"""All thresholds of a model, chosen together on records that it has not learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.pipeline import Floats
from pipelines.ecg.labels import NORM
from pipelines.ecg.suspicion import ANY, counting_from, suspicion
from pipelines.ecg.thresholds import any_threshold, normal_threshold, threshold

Numbers = NDArray[np.float64]


def thresholds(outputs: Sequence[str], wanted: Mapping[str, tuple[float, float]], any_sensitivity: float,
               probabilities: Numbers, truth: Floats) -> dict[str, float]:
    """Of each output, and of `ANY`. `probabilities`, `truth`: (records, outputs), truth NaN where nobody said.

    `wanted`: label → sensitivity and specificity to come near to. `any_sensitivity`: share of the records with one of
    the syndromes that are to be suspect as a whole.
    """
    chosen = {label: _one(probabilities[:, at], truth[:, at], wanted[label])
              for at, label in enumerate(outputs) if label != NORM}
    syndromes = [at for at, label in enumerate(outputs) if label != NORM]
    normal = probabilities[:, outputs.index(NORM)] if NORM in outputs else None
    suspected = _suspected(probabilities[:, syndromes], normal)
    one = (truth[:, syndromes] == 1).any(axis=1)
    chosen[ANY] = any_threshold(suspected, one.astype(np.float64), any_sensitivity)
    if normal is not None:
        found = _found(probabilities[:, syndromes], suspected, chosen, [outputs[at] for at in syndromes])
        abnormal = ~one & (truth[:, outputs.index(NORM)] == 0)
        chosen[NORM] = normal_threshold(np.where(found, 0.0, normal), abnormal.astype(np.float64))
    return chosen


def _one(probability: Numbers, truth: Floats, wanted: tuple[float, float]) -> float:
    said = ~np.isnan(truth)
    return threshold(probability[said], truth[said].astype(np.float64), *wanted)


def _suspected(syndromes: Numbers, normal: Numbers | None) -> Numbers:
    return np.array([suspicion(row, None if normal is None else float(normal[at])) for at, row in enumerate(syndromes)])


def _found(syndromes: Numbers, suspected: Numbers, chosen: Mapping[str, float],
           labels: Sequence[str]) -> NDArray[np.bool_]:
    """(records,): whether any of them counts."""
    levels = [counting_from(chosen, labels, float(of)) for of in suspected]
    return np.array([any(row[at] >= level[label] for at, label in enumerate(labels))
                     for row, level in zip(syndromes, levels, strict=True)])
