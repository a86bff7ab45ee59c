"""The one result that every document tells: verdict, risk, findings, quality problems, provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.codes import Code


class Verdict(StrEnum):
    NORMAL = "normal"
    PATHOLOGY = "pathology"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with its UCUM unit. `code` says what was measured."""

    code: Code
    value: float
    unit: Code
    """scheme UCUM, e.g. Code("ms", "UCUM", "ms"), Code("1", "UCUM", "no units"), Code("{H.B.}/min", "UCUM", "bpm")."""
    display: str = ""
    """Its name for people, where that is not the code's meaning (site language)."""
    unit_display: str = ""

    @property
    def name(self) -> str:
        return self.display or self.code.meaning

    @property
    def unit_name(self) -> str:
        return self.unit_display or self.unit.meaning


@dataclass(frozen=True, slots=True)
class ImageRegion:
    """A rectangle in an image: column/row of two corners in pixels (0-based, inside the image); frame 1-based."""

    sop_instance_uid: str
    left: float
    top: float
    right: float
    bottom: float
    frame: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.left < self.right and 0 <= self.top < self.bottom):
            raise ValueError("an image region needs left < right and top < bottom, none negative")


@dataclass(frozen=True, slots=True)
class WaveformRegion:
    """Channels (multiplex group, channel; both 1-based) of a waveform object; a time span in seconds where known."""

    sop_instance_uid: str
    channels: tuple[tuple[int, int], ...]
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked for. `probability` calibrated, in [0, 1]; present when it reaches `threshold`.

    `acuity` in [0, 1] stands beside the label in the pipeline's table: how urgent the finding is when certain.
    """

    label: str
    code: Code
    display: str
    probability: float
    threshold: float
    acuity: float
    measurements: tuple[Measurement, ...] = ()
    region: ImageRegion | WaveformRegion | None = None

    def __post_init__(self) -> None:
        for name in ("probability", "threshold", "acuity"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} of {self.label} must lie in [0, 1]")

    @property
    def present(self) -> bool:
        return self.probability >= self.threshold


@dataclass(frozen=True, slots=True)
class Problem:
    """A named quality problem. `code` is a stable machine name (`too-few-slices`); `text` one plain sentence."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class ModelRelease:
    """What ran: name and version of the model_repository entry, SHA-256 of its file, its honest status."""

    name: str
    version: str
    sha256: str
    demonstration: bool
    status: str = ""
    """One line for people: `validated on PTB-XL folds 9-10` or `demonstration: trained on synthetic chests`."""
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)
    """config.pbtxt `parameters` (labels, thresholds, calibration, preprocessing): pipelines read theirs from here."""


@dataclass(frozen=True, slots=True)
class Provenance:
    pipeline: str
    pipeline_version: str
    models: tuple[ModelRelease, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """`risk` = max over findings of probability × acuity (`risk_of`). `evidence`: SOP Instance UIDs that were read."""

    verdict: Verdict
    risk: float
    findings: tuple[Finding, ...]
    provenance: Provenance
    evidence: tuple[str, ...]
    measurements: tuple[Measurement, ...] = ()
    problems: tuple[Problem, ...] = ()
    summary: str = ""
    """One or two plain sentences, the report's conclusion (site language)."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.risk <= 1.0:
            raise ValueError("risk must lie in [0, 1]")
        if self.verdict is Verdict.NORMAL and any(f.present for f in self.findings):
            raise ValueError("a normal result cannot hold a present finding")
        if self.verdict is Verdict.UNDETERMINED and not self.problems:
            raise ValueError("an undetermined result says why")

    @property
    def demonstration(self) -> bool:
        return any(m.demonstration for m in self.provenance.models)


def risk_of(findings: tuple[Finding, ...]) -> float:
    """The maximum over findings of calibrated probability × acuity; 0 without findings."""
    return max((f.probability * f.acuity for f in findings), default=0.0)
