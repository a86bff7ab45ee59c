"""From probabilities and measures to findings, verdict and words. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from gateway.errors import Permanent
from gateway.result import (
    Finding,
    ImageRegion,
    Measurement,
    ModelRelease,
    Problem,
    Provenance,
    Result,
    Verdict,
    risk_of,
)
from pipelines.dermoscopy.labels import CLASSES, HISTOLOGY, KERATOSIS, LABELS, MELANOMA, NEVUS, UNTRAINED
from pipelines.dermoscopy.measures import (
    ASYMMETRY,
    BORDER,
    COLOURS,
    DIAMETER,
    NEVUS_PROBABILITY,
    NO_UNITS,
    Abcd,
)

NOT_TRAINED = Problem("classes-not-trained", f"Not trained, so neither found nor excluded: {', '.join(UNTRAINED)}.")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the model came with. `thresholds` by label; `limits` of the gates; `operating_point`: sensitivity and
    specificity for melanoma on validation folds at the threshold of `histology_needed`."""

    thresholds: dict[str, float]
    limits: dict[str, float]
    operating_point: tuple[float, float]


def settings_of(release: ModelRelease) -> Settings:
    """Raises Permanent when it is not a model for these outputs."""
    told = release.parameters
    if told.get("labels") != ",".join(CLASSES):
        raise Permanent(f"model {release.name} has other labels than this pipeline reads")
    try:
        thresholds, limits = json.loads(told["thresholds"]), json.loads(told["limits"])
        sensitivity, specificity = json.loads(told["operating_point"])
        return Settings({name: float(thresholds[name]) for name in (MELANOMA, KERATOSIS, HISTOLOGY)},
                        {name: float(value) for name, value in limits.items()}, (sensitivity, specificity))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Permanent(f"model {release.name} has no usable thresholds") from error


@dataclass(frozen=True, slots=True)
class Read:
    """One photograph that was read. `probabilities` by class; `region`: the lesion in the photograph's own pixels."""

    probabilities: dict[str, float]
    abcd: Abcd
    region: ImageRegion

    @property
    def suspicion(self) -> float:
        return self.probabilities[MELANOMA]


def findings(read: Read, settings: Settings) -> tuple[Finding, ...]:
    """Histology is needed when melanoma is as probable as the operating point asks."""
    told = {**read.probabilities, HISTOLOGY: read.probabilities[MELANOMA]}
    histology = "Histology needed (sensitivity {:.2f}, specificity {:.2f})".format(*settings.operating_point)
    return tuple(Finding(label.name, label.code, histology if label.name == HISTOLOGY else label.display,
                         told[label.name],
                         settings.thresholds[label.name], label.acuity, (), read.region) for label in LABELS)


def decide(read: Read, settings: Settings, count: int, problems: tuple[Problem, ...], provenance: Provenance,
           evidence: tuple[str, ...]) -> Result:
    """`read`: the most suspicious of `count` photographs; `problems`: why others could not be read.

    Pathology when any finding is present; normal only when none is and every photograph was read.
    """
    found = findings(read, settings)
    if any(finding.present for finding in found):
        verdict = Verdict.PATHOLOGY
    else:
        verdict = Verdict.UNDETERMINED if problems else Verdict.NORMAL
    measured = (*read.abcd.measurements(),
                Measurement(NEVUS_PROBABILITY, round(read.probabilities[NEVUS], 4), NO_UNITS))
    return Result(verdict, risk_of(found), found, provenance, evidence, measured, (*problems, NOT_TRAINED),
                  _summary(verdict, read, found, count, problems))


def undetermined(problems: tuple[Problem, ...], evidence: tuple[str, ...], provenance: Provenance) -> Result:
    """Nothing was read, and why."""
    reasons = " ".join(problem.text for problem in problems)
    return Result(Verdict.UNDETERMINED, 0.0, (), provenance, evidence, (), problems,
                  f"The photograph could not be read. {reasons}")


def _summary(verdict: Verdict, read: Read, found: tuple[Finding, ...], count: int,
             problems: tuple[Problem, ...]) -> str:
    histology = next(finding for finding in found if finding.label == HISTOLOGY)
    needed = "yes" if histology.present else "no"
    told = [f"{histology.display}: {needed}.", "Melanoma {:.2f}, seborrheic keratosis {:.2f}, nevus {:.2f}.".format(
        *(read.probabilities[name] for name in CLASSES))]
    if verdict is Verdict.UNDETERMINED:
        told.append(f"Not called normal: {' '.join(problem.text for problem in problems)}")
    if count > 1:
        told.append(f"The most suspicious of {count} photographs is told.")
    return " ".join([*told, *_measured(read.abcd)])


def _measured(abcd: Abcd) -> list[str]:
    """A, B, C and D beside the model's opinion, by the names of the measurements: so they are told in any language."""
    told = [f"{ASYMMETRY.meaning} {100 * abcd.asymmetry:.1f} %.", f"{BORDER.meaning} {abcd.irregularity:.2f}."]
    if abcd.colours:
        told.append(f"{COLOURS.meaning} {len(abcd.colours)}: {', '.join(abcd.colours)}.")
    if abcd.diameter is not None:
        told.append(f"{DIAMETER.meaning} {abcd.diameter:.1f} mm.")
    return told
