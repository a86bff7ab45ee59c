"""From the network's probabilities to findings, verdict and words. Pure."""

from __future__ import annotations

import numpy as np

from gateway.codes import Code
from gateway.pipeline import Array, Ecg
from gateway.result import Finding, Measurement, Problem, Provenance, Result, Verdict, risk_of
from pipelines.ecg import telling
from pipelines.ecg.delineation import Delineation
from pipelines.ecg.disagreement import disagreements, measured_abnormal, unusual
from pipelines.ecg.intervals import measurements
from pipelines.ecg.telling import Scores
from pipelines.ecg_12lead.labels import LABELS, NORM, OUTPUTS

NORMAL_PROBABILITY = Code("PNORMECG", "99TRIAGE", "Probability of normal ECG")
NO_UNITS = Code("1", "UCUM", "no units")
NAMES = tuple(label.name for label in LABELS)
OTHER_ABNORMALITY = Problem("other-abnormality-not-excluded", "other abnormality not excluded")


def pooled(probabilities: Array) -> dict[str, float]:
    """(windows, 12) → one probability for each output.

    What comes and goes counts at its worst ten seconds, what stays at its mean, and NORM at its least.
    """
    worst: dict[str, telling.Pool] = {label.name: np.max for label in LABELS if label.episodic}
    return telling.pooled(probabilities, OUTPUTS, {**worst, NORM: np.min})


def decide(scores: Scores, ecg: Ecg, waves: Delineation | None, provenance: Provenance) -> Result:
    """Pathology when any of the eleven reaches its threshold as it holds for this ECG (`pipelines.ecg.suspicion`);
    normal only when none does, NORM reaches its own and nothing was measured that no normal ECG has. Where network,
    NORM and measurement disagree, the problems say so."""
    counting = telling.counting(scores, NAMES, scores.probabilities[NORM], provenance)
    findings = tuple(telling.finding_of(label, counting, ecg, waves) for label in LABELS)
    differing = disagreements(findings, waves)
    verdict, doubts = _verdict(scores, findings, differing, waves)
    return Result(verdict, risk_of(findings), findings, provenance, (ecg.sop_instance_uid,),
                  _measurements(scores, waves), (*ecg.problems, *differing, *doubts),
                  _summary(verdict, findings, waves))


def _verdict(scores: Scores, findings: tuple[Finding, ...], differing: tuple[Problem, ...],
             waves: Delineation | None) -> tuple[Verdict, tuple[Problem, ...]]:
    """And what else is to be said for it."""
    normal = scores.probabilities[NORM]
    looks_normal = normal >= scores.thresholds[NORM]
    if any(finding.present for finding in findings):
        return Verdict.PATHOLOGY, (_contradiction(normal),) if looks_normal else ()
    never_normal = unusual(waves)
    if looks_normal and not measured_abnormal((*differing, *never_normal)):
        return Verdict.NORMAL, ()
    return Verdict.UNDETERMINED, (*never_normal, OTHER_ABNORMALITY)


def _contradiction(normal: float) -> Problem:
    return Problem("found-but-looks-normal",
                   f"The ECG as a whole looks normal (probability {normal:.2f}), against what was found.")


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
