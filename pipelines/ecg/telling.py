"""From probabilities to findings: thresholds of a model, pooling over windows, regions, refusals. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.errors import Permanent
from gateway.pipeline import Array, Ecg
from gateway.result import Finding, ModelRelease, Problem, Provenance, Result, Verdict, WaveformRegion
from pipelines.ecg.delineation import Delineation
from pipelines.ecg.intervals import defining, defining_measurement
from pipelines.ecg.labels import Label
from pipelines.ecg.suspicion import counting_from, firm_of, suspicion

INVALID_OUTPUT = Problem("invalid-model-output", "The model gave something that is no probability.")
Pool = Callable[[NDArray[np.float64]], np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities by output name and the threshold of each."""

    probabilities: dict[str, float]
    thresholds: dict[str, float]


def thresholds_of(release: ModelRelease, outputs: Sequence[str], further: Sequence[str] = ()) -> dict[str, float]:
    """The thresholds that the model came with, of its outputs and of `further` names. Raises Permanent when it is not a
    model for these outputs."""
    if release.parameters.get("labels") != ",".join(outputs):
        raise Permanent(f"model {release.name} has other labels than this pipeline reads")
    try:
        told = json.loads(release.parameters["thresholds"])
        return {name: float(told[name]) for name in (*outputs, *further)}
    except (KeyError, TypeError, ValueError) as error:
        raise Permanent(f"model {release.name} has no usable thresholds") from error


def pooled(probabilities: Array, outputs: Sequence[str], pools: dict[str, Pool]) -> dict[str, float]:
    """(windows, outputs) → one probability for each output: by its pool, else their mean."""
    columns: NDArray[np.float64] = np.clip(probabilities.astype(np.float64), 0.0, 1.0)
    return {name: float(pools.get(name, np.mean)(column)) for name, column in zip(outputs, columns.T, strict=True)}


def counting(scores: Scores, labels: Sequence[str], normal: float | None, provenance: Provenance) -> Scores:
    """With the thresholds as they hold for this ECG (see `pipelines.ecg.suspicion`). `normal`: the probability that
    it is a normal one, where the model tells."""
    firm = frozenset[str]().union(*(firm_of(release) for release in provenance.models))
    suspected = suspicion((scores.probabilities[label] for label in labels), normal)
    return Scores(scores.probabilities, counting_from(scores.thresholds, labels, suspected, firm))


def finding_of(label: Label, scores: Scores, ecg: Ecg, waves: Delineation | None) -> Finding:
    """With the measurement that defines it, and where it is told from when it is present."""
    probability, threshold = scores.probabilities[label.name], scores.thresholds[label.name]
    region = _region(label, ecg) if probability >= threshold else None
    return Finding(label.name, label.code, label.display, probability, threshold, label.acuity,
                   defining_measurement(label.name, waves), region)


def _region(label: Label, ecg: Ecg) -> WaveformRegion | None:
    """The channels where the label is told from; every channel where none of those was recorded as such."""
    told = tuple(channel for name, channel in zip(ecg.leads, ecg.channels, strict=False) if name in label.leads)
    channels = told or ecg.channels
    return WaveformRegion(ecg.sop_instance_uid, channels) if channels else None


def undetermined(problems: tuple[Problem, ...], evidence: tuple[str, ...], provenance: Provenance) -> Result:
    """Nothing was read, and why."""
    reasons = " ".join(problem.text for problem in problems)
    return Result(Verdict.UNDETERMINED, 0.0, (), provenance, evidence, (), problems,
                  f"The ECG could not be read. {reasons}")


def told(finding: Finding, waves: Delineation | None) -> str:
    """With the measurement that defines the syndrome, where there is one."""
    measured = defining(finding.label, waves)
    return f"{finding.display} (probability {finding.probability:.2f}{f', {measured}' if measured else ''})"
