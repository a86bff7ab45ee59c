"""From the network's probabilities to findings, verdict and words. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.codes import Code
from gateway.errors import Permanent
from gateway.pipeline import Array, Ecg
from gateway.result import (
    Finding,
    Measurement,
    ModelRelease,
    Problem,
    Provenance,
    Result,
    Verdict,
    WaveformRegion,
    risk_of,
)
from pipelines.ecg.delineation import Delineation
from pipelines.ecg.intervals import defining, measurements
from pipelines.ecg_12lead.labels import LABELS, NORM, OUTPUTS, Label

NORMAL_PROBABILITY = Code("PNORMECG", "99TRIAGE", "Probability of normal ECG")
NO_UNITS = Code("1", "UCUM", "no units")
OTHER_ABNORMALITY = Problem("other-abnormality-not-excluded", "other abnormality not excluded")


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities by output name (the eleven and NORM) and the threshold of each."""

    probabilities: dict[str, float]
    thresholds: dict[str, float]


def thresholds_of(release: ModelRelease) -> dict[str, float]:
    """The thresholds that the model came with. Raises Permanent when it is not a model for these outputs."""
    if release.parameters.get("labels") != ",".join(OUTPUTS):
        raise Permanent(f"model {release.name} has other labels than this pipeline reads")
    try:
        told = json.loads(release.parameters["thresholds"])
        return {name: float(told[name]) for name in OUTPUTS}
    except (KeyError, TypeError, ValueError) as error:
        raise Permanent(f"model {release.name} has no usable thresholds") from error


def pooled(probabilities: Array) -> dict[str, float]:
    """(windows, 12) → one probability for each output.

    What comes and goes counts at its worst ten seconds, what stays at its mean, and NORM at its least.
    """
    episodic = [label.name for label in LABELS if label.episodic]
    columns: NDArray[np.float64] = np.clip(probabilities.astype(np.float64), 0.0, 1.0)
    result = {}
    for name, column in zip(OUTPUTS, columns.T, strict=True):
        pool = np.max if name in episodic else np.min if name == NORM else np.mean
        result[name] = float(pool(column))
    return result


def decide(scores: Scores, ecg: Ecg, waves: Delineation | None, provenance: Provenance) -> Result:
    """Pathology when any of the eleven reaches its threshold; normal only when none does and NORM reaches its own."""
    findings = tuple(_finding(label, scores, ecg) for label in LABELS)
    problems = ecg.problems
    if any(finding.present for finding in findings):
        verdict = Verdict.PATHOLOGY
    elif scores.probabilities[NORM] >= scores.thresholds[NORM]:
        verdict = Verdict.NORMAL
    else:
        verdict, problems = Verdict.UNDETERMINED, (*problems, OTHER_ABNORMALITY)
    return Result(verdict, risk_of(findings), findings, provenance, (ecg.sop_instance_uid,),
                  _measurements(scores, waves), problems, _summary(verdict, findings, waves))


def undetermined(problems: tuple[Problem, ...], evidence: tuple[str, ...], provenance: Provenance) -> Result:
    """Nothing was read, and why."""
    reasons = " ".join(problem.text for problem in problems)
    return Result(Verdict.UNDETERMINED, 0.0, (), provenance, evidence, (), problems,
                  f"The ECG could not be read. {reasons}")


def _finding(label: Label, scores: Scores, ecg: Ecg) -> Finding:
    probability, threshold = scores.probabilities[label.name], scores.thresholds[label.name]
    region = _region(label, ecg) if probability >= threshold else None
    return Finding(label.name, label.code, label.display, probability, threshold, label.acuity, (), region)


def _region(label: Label, ecg: Ecg) -> WaveformRegion | None:
    """The channels where the label is told from; every channel where none of those was recorded as such."""
    told = tuple(channel for name, channel in zip(ecg.leads, ecg.channels, strict=False) if name in label.leads)
    channels = told or ecg.channels
    return WaveformRegion(ecg.sop_instance_uid, channels) if channels else None


def _measurements(scores: Scores, waves: Delineation | None) -> tuple[Measurement, ...]:
    return *measurements(waves), Measurement(NORMAL_PROBABILITY, scores.probabilities[NORM], NO_UNITS)


def _summary(verdict: Verdict, findings: tuple[Finding, ...], waves: Delineation | None) -> str:
    rate = "" if waves is None else f" Heart rate {waves.heart_rate:.0f}/min."
    if verdict is Verdict.NORMAL:
        return f"Normal ECG: none of the {len(findings)} syndromes found and no other abnormality suspected.{rate}"
    if verdict is Verdict.UNDETERMINED:
        return f"None of the {len(findings)} syndromes found, but another abnormality is not excluded.{rate}"
    present = sorted((f for f in findings if f.present), key=lambda f: -f.probability * f.acuity)
    told = "; ".join(_told(finding, waves) for finding in present)
    return f"{told}.{rate}"


def _told(finding: Finding, waves: Delineation | None) -> str:
    """With the measurement that defines the syndrome, where there is one."""
    measured = defining(finding.label, waves)
    return f"{finding.display} (probability {finding.probability:.2f}{f', {measured}' if measured else ''})"
