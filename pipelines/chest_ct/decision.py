"""From probabilities and measures to findings, verdict and words. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.codes import Code
from gateway.result import (
    Finding,
    ImageRegion,
    Measurement,
    Problem,
    Provenance,
    Result,
    Verdict,
    risk_of,
)
from pipelines.chest_ct.calibration import Curve
from pipelines.chest_ct.gates import FAULTY
from pipelines.chest_ct.labels import ABNORMAL, LABELS, UNUSUAL
from pipelines.chest_ct.measures import DENSITY, VOLUME

ERROR = Code("CTRECERR", "99TRIAGE", "Reconstruction error of the lungs")
NO_UNITS = Code("1", "UCUM", "no units")
GENERAL = ABNORMAL, UNUSUAL
"""Outputs that name no disease: the classifier's verdict on the lungs and the reconstruction error."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What the networks say: score and curve by kind, for `abnormal` (the classifier's own) and for `unusual` (there
    the logarithm of the error)."""

    values: dict[str, float]
    curves: dict[str, Curve]

    def probability(self, label: str) -> float:
        """Of one output alone."""
        return self.curves[label].probability(self.values[label])

    def threshold(self, label: str) -> float:
        """A finding's own; `abnormal` and `unusual` have one together, the verdict's."""
        shared = ABNORMAL if ABNORMAL in self.curves else UNUSUAL
        return self.curves[shared if label in GENERAL else label].threshold

    def overall(self) -> float:
        """The maximum of `abnormal` and `unusual`. A present kind lifts it to the threshold, and has the first place in
        lists by probability: then it is held to the kind's own."""
        maximum = max(self.probability(label) for label in GENERAL if label in self.values)
        kinds = [self.probability(label) for label in self.present() if label not in GENERAL]
        return max(self.threshold(ABNORMAL), min(maximum, max(kinds))) if kinds else maximum

    def present(self) -> tuple[str, ...]:
        """What reaches its threshold: kinds, the most urgent first, then `abnormal` and `unusual`."""
        acuity = {label.name: label.acuity for label in LABELS} | dict.fromkeys(GENERAL, 0.0)
        told = [label for label in self.values if self.probability(label) >= self.threshold(label)]
        return tuple(sorted(told, key=lambda label: (label in GENERAL, -self.probability(label) * acuity[label])))


def findings(scores: Scores, regions: dict[str, ImageRegion | None]) -> tuple[Finding, ...]:
    """What the model has learned, then the overall finding, which borrows the most urgent one's region.

    `regions` by present kind.
    """
    present = scores.present()
    overall = next((regions[label] for label in present if regions.get(label)), None)
    error = Measurement(ERROR, round(math.exp(scores.values[UNUSUAL]), 4), NO_UNITS)
    made = []
    for label in (one for one in LABELS if one.name in scores.values or one.name == ABNORMAL):
        is_overall = label.name == ABNORMAL
        where = overall if is_overall else regions.get(label.name)
        told = scores.overall() if is_overall else scores.probability(label.name)
        made.append(Finding(label.name, label.code, label.display, told, scores.threshold(label.name), label.acuity,
                            (error,) if is_overall else (), where))
    return tuple(made)


def decide(found: tuple[Finding, ...], measurements: tuple[Measurement, ...], problems: tuple[Problem, ...],
           doubts: tuple[Problem, ...], provenance: Provenance, evidence: tuple[str, ...]) -> Result:
    """Undetermined while the stack itself is faulty (`gates.FAULTY`); pathology when any finding is present; normal
    only when none is and nothing casts doubt; else undetermined.

    `problems`: all that was noticed, `doubts` among them or beside them.
    """
    if any(doubt.code in FAULTY for doubt in doubts):
        verdict = Verdict.UNDETERMINED
    elif any(finding.present for finding in found):
        verdict = Verdict.PATHOLOGY
    else:
        verdict = Verdict.UNDETERMINED if doubts else Verdict.NORMAL
    told = tuple(dict.fromkeys((*problems, *doubts)))
    return Result(verdict, risk_of(found), found, provenance, evidence, measurements, told,
                  _summary(verdict, found, measurements, doubts))


def undetermined(problems: tuple[Problem, ...], evidence: tuple[str, ...], provenance: Provenance,
                 measurements: tuple[Measurement, ...] = ()) -> Result:
    """Nothing was read, and why."""
    reasons = " ".join(problem.text for problem in problems)
    return Result(Verdict.UNDETERMINED, 0.0, (), provenance, evidence, measurements, problems,
                  f"The chest CT could not be read. {reasons}")


def _summary(verdict: Verdict, found: tuple[Finding, ...], measurements: tuple[Measurement, ...],
             doubts: tuple[Problem, ...]) -> str:
    measured = {measurement.code: measurement.value for measurement in measurements}
    lungs = f" Lung volume {measured[VOLUME]:.0f} mL, mean density {measured[DENSITY]:.0f} HU."
    if verdict is Verdict.NORMAL:
        return f"None of the {len(found) - 1} findings looked for, and lungs of usual appearance.{lungs}"
    present = sorted((f for f in found if f.present), key=lambda f: -f.probability * f.acuity)
    named = [f for f in present if f.label != ABNORMAL] or present
    told = f"{'; '.join(f'{f.display} (probability {f.probability:.2f})' for f in named)}."
    if verdict is Verdict.PATHOLOGY:
        return f"{told}{lungs}"
    reasons = " ".join(doubt.text for doubt in doubts)
    if present:
        return f"No verdict is given: {reasons} Seen all the same: {told}{lungs}"
    return f"Nothing found, but not called normal: {reasons}{lungs}"
