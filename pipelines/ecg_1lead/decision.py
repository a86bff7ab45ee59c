"""From the network's probabilities to findings, verdict and words. Pure."""

from __future__ import annotations

import numpy as np

from gateway.codes import Code
from gateway.pipeline import Array, Ecg
from gateway.result import Finding, Measurement, Problem, Provenance, Result, Verdict, risk_of
from pipelines.ecg import telling
from pipelines.ecg.beats import Beats
from pipelines.ecg.delineation import Delineation
from pipelines.ecg.disagreement import disagreements
from pipelines.ecg.intervals import HEART_RATE, MILLISECONDS, PER_MINUTE, QRS
from pipelines.ecg.labels import NORM
from pipelines.ecg.leads import LEADS as STANDARD
from pipelines.ecg.normality import normal_probability, verdict_of
from pipelines.ecg.telling import Scores
from pipelines.ecg_1lead.labels import LABELS, NAMES, OUTPUTS

RR_MEAN = Code("8637-1", "LN", "R-R interval by EKG")
RR_SHORTEST = Code("RRMIN", "99TRIAGE", "Shortest R-R interval")
RR_LONGEST = Code("RRMAX", "99TRIAGE", "Longest R-R interval")
RR_SPREAD = Code("SDNN", "99TRIAGE", "Standard deviation of R-R intervals")
ONE_LEAD = Problem("one-lead-only", "Lead I alone was read: what only other leads show is not excluded.")


def pooled(probabilities: Array) -> dict[str, float]:
    """(windows, 6) → one probability for each output.

    A premature beat counts wherever it is, so the worst ten seconds tell, and NORM counts at its least; fibrillation,
    rate and block by their mean.
    """
    return telling.pooled(probabilities, OUTPUTS, {"PVC": np.max, NORM: np.min})


def decide(scores: Scores, ecg: Ecg, waves: Delineation | None, beats: Beats | None, provenance: Provenance) -> Result:
    """Pathology when any of the five reaches its threshold as it holds for this recording (`pipelines.ecg.suspicion`);
    normal only when none does, NORM reaches its own and nothing was measured that no normal ECG has. Where network,
    NORM and measurement disagree, the problems say so."""
    counting = telling.counting(scores, NAMES, scores.probabilities[NORM], provenance)
    findings = tuple(telling.finding_of(label, counting, ecg, waves) for label in LABELS)
    differing = disagreements(findings, waves)
    verdict, doubts = verdict_of(scores, findings, differing, waves)
    read = ONE_LEAD
    if "I" not in ecg.leads and ecg.leads[0] in STANDARD:
        read = Problem("other-lead", f"Lead {ecg.leads[0]} was read, the model has learned from lead I: never normal.")
        verdict = Verdict.UNDETERMINED if verdict is Verdict.NORMAL else verdict
    return Result(verdict, risk_of(findings), findings, provenance, (ecg.sop_instance_uid,),
                  (*measurements(waves, beats), normal_probability(scores)),
                  (*ecg.problems, *differing, *doubts, read), _summary(verdict, findings, waves))


def measurements(waves: Delineation | None, beats: Beats | None) -> tuple[Measurement, ...]:
    """Rate, intervals between beats, QRS; what could not be measured is left out."""
    if waves is None or beats is None:
        return ()
    between = 1000 * beats.intervals
    values = ((HEART_RATE, waves.heart_rate, PER_MINUTE), (RR_MEAN, float(between.mean()), MILLISECONDS),
              (RR_SHORTEST, float(between.min()), MILLISECONDS), (RR_LONGEST, float(between.max()), MILLISECONDS),
              (RR_SPREAD, float(between.std()), MILLISECONDS), (QRS, waves.qrs, MILLISECONDS))
    return tuple(Measurement(code, float(round(value)), unit) for code, value, unit in values if value is not None)


def _summary(verdict: Verdict, findings: tuple[Finding, ...], waves: Delineation | None) -> str:
    rate = "" if waves is None else f" Heart rate {waves.heart_rate:.0f}/min."
    present = sorted((f for f in findings if f.present), key=lambda f: -f.probability * f.acuity)
    if present:
        return f"{'; '.join(telling.told(finding, waves) for finding in present)}.{rate}"
    other = ("no other abnormality suspected" if verdict is Verdict.NORMAL
             else "another abnormality is not excluded")
    return f"None of the {len(findings)} syndromes found in lead I, {other}.{rate}"
