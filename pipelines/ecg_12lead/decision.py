"""From the network's probabilities to findings, verdict and words. Pure."""

from __future__ import annotations

import numpy as np

from gateway.pipeline import Array, Ecg
from gateway.result import Finding, Provenance, Result, Verdict, risk_of
from pipelines.ecg import telling
from pipelines.ecg.beats import Beats
from pipelines.ecg.chest import problems_of_chest
from pipelines.ecg.delineation import Delineation
from pipelines.ecg.disagreement import disagreements
from pipelines.ecg.intervals import measurements
from pipelines.ecg.labels import NORM
from pipelines.ecg.normality import normal_probability, verdict_of
from pipelines.ecg.telling import Scores
from pipelines.ecg_12lead.labels import LABELS, OUTPUTS

NAMES = tuple(label.name for label in LABELS)


def pooled(probabilities: Array) -> dict[str, float]:
    """(windows, 12) → one probability for each output.

    What comes and goes counts at its worst ten seconds, what stays at its mean, and NORM at its least.
    """
    worst: dict[str, telling.Pool] = {label.name: np.max for label in LABELS if label.episodic}
    return telling.pooled(probabilities, OUTPUTS, {**worst, NORM: np.min})


def decide(scores: Scores, ecg: Ecg, waves: Delineation | None, beats: Beats | None, provenance: Provenance) -> Result:
    """Pathology when any of the eleven reaches its threshold as it holds for this ECG (`pipelines.ecg.suspicion`);
    normal only when none does, NORM reaches its own, nothing was measured that no normal ECG has and the chest leads
    stand in their order. Where network, NORM and measurement disagree, the problems say so."""
    counting = telling.counting(scores, NAMES, scores.probabilities[NORM], provenance)
    findings = tuple(telling.finding_of(label, counting, ecg, waves) for label in LABELS)
    placed = () if beats is None else problems_of_chest(beats)
    differing = (*placed, *disagreements(findings, waves))
    verdict, doubts = verdict_of(scores, findings, differing, waves)
    return Result(verdict, risk_of(findings), findings, provenance, (ecg.sop_instance_uid,),
                  (*measurements(waves), normal_probability(scores)), (*ecg.problems, *differing, *doubts),
                  _summary(verdict, findings, waves))


def _summary(verdict: Verdict, findings: tuple[Finding, ...], waves: Delineation | None) -> str:
    rate = "" if waves is None else f" Heart rate {waves.heart_rate:.0f}/min."
    if verdict is Verdict.NORMAL:
        return f"Normal ECG: none of the {len(findings)} syndromes found and no other abnormality suspected.{rate}"
    if verdict is Verdict.UNDETERMINED:
        return f"None of the {len(findings)} syndromes found, but another abnormality is not excluded.{rate}"
    present = sorted((f for f in findings if f.present), key=lambda f: -f.probability * f.acuity)
    told = "; ".join(telling.told(finding, waves) for finding in present)
    return f"{told}.{rate}"
