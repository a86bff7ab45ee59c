"""Normal against abnormal: what a reader makes of its output NORM beside the syndromes that it looks for. Pure."""

from __future__ import annotations

from gateway.codes import Code
from gateway.result import Finding, Measurement, Problem, Verdict
from pipelines.ecg.chest import SWAPPED
from pipelines.ecg.delineation import Delineation
from pipelines.ecg.disagreement import measured_abnormal, unusual
from pipelines.ecg.labels import NORM
from pipelines.ecg.telling import Scores

NORMAL_PROBABILITY = Code("PNORMECG", "99TRIAGE", "Probability of normal ECG")
NO_UNITS = Code("1", "UCUM", "no units")
OTHER_ABNORMALITY = Problem("other-abnormality-not-excluded", "other abnormality not excluded")


def verdict_of(scores: Scores, findings: tuple[Finding, ...], differing: tuple[Problem, ...],
               waves: Delineation | None) -> tuple[Verdict, tuple[Problem, ...]]:
    """Pathology with any finding; normal only where NORM reaches its threshold and nothing was measured that no normal
    ECG has, nor exchanged on the chest; else undetermined. And what is to be said for it beside `differing`
    (`pipelines.ecg.disagreement`, `pipelines.ecg.chest`)."""
    normal = scores.probabilities[NORM]
    looks_normal = normal >= scores.thresholds[NORM]
    if any(finding.present for finding in findings):
        return Verdict.PATHOLOGY, (_contradiction(normal),) if looks_normal else ()
    never_normal = unusual(waves)
    exchanged = any(problem.code == SWAPPED for problem in differing)
    if looks_normal and not exchanged and not measured_abnormal((*differing, *never_normal)):
        return Verdict.NORMAL, ()
    return Verdict.UNDETERMINED, (*never_normal, OTHER_ABNORMALITY)


def normal_probability(scores: Scores) -> Measurement:
    return Measurement(NORMAL_PROBABILITY, scores.probabilities[NORM], NO_UNITS)


def _contradiction(normal: float) -> Problem:
    return Problem("found-but-looks-normal",
                   f"The ECG as a whole looks normal (probability {normal:.2f}), against what was found.")
