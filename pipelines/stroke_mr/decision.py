"""From what the networks saw to findings, verdict and words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.result import Finding, ImageRegion, Measurement, Problem, Provenance, Result, Verdict, risk_of
from pipelines.stroke_mr.etiology import measurements_of as etiology_of
from pipelines.stroke_mr.labels import LEAST_ML, Label
from pipelines.stroke_mr.measures import Extent, measurements_of

NO_DIFFUSION = Problem("no-diffusion", "Without diffusion images an early infarct cannot be ruled out.")
_JUST_BELOW = 0.001


@dataclass(frozen=True, slots=True)
class Told:
    """Of one series: the highest probability of a slice, the model's threshold, what was outlined."""

    label: Label
    probability: float
    threshold: float
    volume_ml: float
    region: ImageRegion | None

    @property
    def present(self) -> bool:
        return self.volume_ml >= LEAST_ML


def finding_of(told: Told) -> Finding:
    """Present from `LEAST_ML` on: the probability of the slice that shows most is held on the volume's side of the
    threshold, so that a spot below that volume is no finding."""
    probability = max(told.probability, told.threshold) if told.present \
        else min(told.probability, told.threshold - _JUST_BELOW)
    return Finding(told.label.name, told.label.code, told.label.display, float(probability), told.threshold,
                   told.label.acuity, (), told.region if told.present else None)


def decide(read: tuple[Told, ...], extent: Extent | None, problems: tuple[Problem, ...], doubts: tuple[Problem, ...],
           provenance: Provenance, evidence: tuple[str, ...], further: tuple[Measurement, ...] = ()) -> Result:
    """Undetermined while anything casts doubt; pathology when a lesion has the least volume; else normal, with
    diffusion images only. `extent`: of the lesion that is outlined."""
    found = tuple(map(finding_of, read))
    if doubts:
        verdict = Verdict.UNDETERMINED
    else:
        verdict = Verdict.PATHOLOGY if any(f.present for f in found) else Verdict.NORMAL
    measured = further
    if extent is not None:
        measured = (*measurements_of(extent), *etiology_of(extent), *further)
    told = tuple(dict.fromkeys((*problems, *doubts)))
    return Result(verdict, risk_of(found), found, provenance, evidence, measured, told,
                  _summary(verdict, found, measured, extent, doubts))


def undetermined(problems: tuple[Problem, ...], evidence: tuple[str, ...], provenance: Provenance) -> Result:
    """Nothing was read, and why."""
    reasons = " ".join(problem.text for problem in problems)
    return Result(Verdict.UNDETERMINED, 0.0, (), provenance, evidence, (), problems,
                  f"The MR study could not be read. {reasons}")


def _summary(verdict: Verdict, found: tuple[Finding, ...], measured: tuple[Measurement, ...], extent: Extent | None,
             doubts: tuple[Problem, ...]) -> str:
    figures = "" if extent is None else " " + " ".join(map(_figure, _told_first(measured)))
    present = [f for f in found if f.present]
    named = "; ".join(f"{f.display} (probability {f.probability:.2f})" for f in present)
    if verdict is Verdict.NORMAL:
        return "No acute ischaemic lesion found."
    if verdict is Verdict.UNDETERMINED:
        reasons = " ".join(doubt.text for doubt in doubts)
        seen = f" Seen all the same: {named}.{figures}" if present else ""
        return f"No verdict is given: {reasons}{seen}"
    return f"{named}.{figures}"


def _told_first(measured: tuple[Measurement, ...]) -> list[Measurement]:
    """Volume, the main territory and the insula; the etiology stands in the list, named what it is."""
    return [m for m in measured if m.name == "Lesion volume"] + [
        m for m in measured if m.name.startswith("Lesion in the")][:3]


def _figure(measurement: Measurement) -> str:
    return f"{measurement.name} {measurement.value:g} {measurement.unit_name}."
