"""From the network's probabilities to findings, verdict and words. Pure."""

from __future__ import annotations

import numpy as np

from gateway.codes import Code
from gateway.pipeline import Array, Ecg
from gateway.result import Finding, Measurement, Problem, Provenance, Result, Verdict, risk_of
from pipelines.ecg import telling
from pipelines.ecg.delineation import Delineation
from pipelines.ecg.disagreement import disagreements, measured_abnormal
from pipelines.ecg.intervals import measurements
from pipelines.ecg.telling import Scores
from pipelines.ecg_12lead.labels import LABELS, NORM, OUTPUTS

NORMAL_PROBABILITY = Code("PNORMECG", "99TRIAGE", "Probability of normal ECG")
NO_UNITS = Code("1", "UCUM", "no units")
OTHER_ABNORMALITY = Problem("other-abnormality-not-excluded", "other abnormality not excluded")


def pooled(probabilities: Array) -> dict[str, float]:
    """(windows, 12) → one probability for each output.

    What comes and goes counts at its worst ten seconds, what stays at its mean, and NORM at its least.
    """
    worst: dict[str, telling.Pool] = {label.name: np.max for label in LABELS if label.episodic}
    return telling.pooled(probabilities, OUTPUTS, {**worst, NORM: np.min})


def decide(scores: Scores, ecg: Ecg, waves: Delineation | None, provenance: Provenance) -> Result:
    """Pathology when any of the eleven reaches its threshold; normal only when none does, NORM reaches its own and
    nothing was measured that makes one of them. Where network and measurement disagree, the problems say so."""
    findings = tuple(telling.finding_of(label, scores, ecg, waves) for label in LABELS)
    differing = disagreements(findings, waves)
    problems = (*ecg.problems, *differing)
    if any(finding.present for finding in findings):
        verdict = Verdict.PATHOLOGY
    elif scores.probabilities[NORM] >= scores.thresholds[NORM] and not measured_abnormal(differing):
        verdict = Verdict.NORMAL
    else:
        verdict, problems = Verdict.UNDETERMINED, (*problems, OTHER_ABNORMALITY)
    return Result(verdict, risk_of(findings), findings, provenance, (ecg.sop_instance_uid,),
                  _measurements(scores, waves), problems, _summary(verdict, findings, waves))


def _measurements(scores: Scores, waves: Delineation | None) -> tuple[Measurement, ...]:
    return *measurements(waves), Measurement(NORMAL_PROBABILITY, scores.probabilities[NORM], NO_UNITS)


def _summary(verdict: Verdict, findings: tuple[Finding, ...], waves: Delineation | None) -> str:
    rate = "" if waves is None else f" Heart rate {waves.heart_rate:.0f}/min."
    if verdict is Verdict.NORMAL:
        return f"Normal ECG: none of the {len(findings)} syndromes found and no other abnormality suspected.{rate}"
    if verdict is Verdict.UNDETERMINED:
        return f"None of the {len(findings)} syndromes found, but another abnormality is not excluded.{rate}"
    present = sorted((f for f in findings if f.present), key=lambda f: -f.probability * f.acuity)
    told = "; ".join(telling.told(finding, waves) for finding in present)
    return f"{told}.{rate}"
