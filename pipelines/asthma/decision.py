"""From the network's probabilities to findings, verdict and words. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.audio import Audio
from gateway.codes import Code
from gateway.errors import Permanent
from gateway.pipeline import Floats
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
from pipelines.asthma.labels import ABNORMAL, ASTHMA, LABELS, OUTPUTS, Label
from pipelines.asthma.measures import Measures
from pipelines.asthma.preprocess import WINDOW

PERCENT = Code("%", "UCUM", "percent")
SECONDS = Code("s", "UCUM", "s")
WHEEZE_BAND = Code("WHEEZEBAND", "99TRIAGE", "Share of sound energy in 200-800 Hz")
TONAL = Code("TONALTIME", "99TRIAGE", "Share of time with a clear tone")
LENGTH = Code("SOUNDLENGTH", "99TRIAGE", "Length of recording")


@dataclass(frozen=True, slots=True)
class Heard:
    """One recording that was read. `probabilities`: (clips, outputs); `attention`: (clips, f, t), each summing to one;
    `starts`: second at which each clip begins. `sound`: (samples,) as it was read."""

    audio: Audio
    sound: Floats
    measures: Measures
    probabilities: Floats
    attention: Floats
    starts: tuple[float, ...]

    @property
    def pooled(self) -> dict[str, float]:
        """One probability for each output: the mean of the clips' log odds."""
        likely = np.clip(self.probabilities.astype(np.float64), 1e-6, 1 - 1e-6)
        mean = np.log(likely / (1 - likely)).mean(axis=0)
        return {name: float(p) for name, p in zip(OUTPUTS, 1 / (1 + np.exp(-mean)), strict=True)}


def thresholds_of(release: ModelRelease) -> dict[str, float]:
    """The thresholds that the model came with. Raises Permanent when it is not a model for these outputs."""
    if release.parameters.get("labels") != ",".join(OUTPUTS):
        raise Permanent(f"model {release.name} has other labels than this pipeline reads")
    try:
        told = json.loads(release.parameters["thresholds"])
        return {name: float(told[name]) for name in OUTPUTS}
    except (KeyError, TypeError, ValueError) as error:
        raise Permanent(f"model {release.name} has no usable thresholds") from error


def over_recordings(heard: Sequence[Heard]) -> dict[str, float]:
    """One probability for each output: the mean over the recordings."""
    pooled = [each.pooled for each in heard]
    return {name: float(np.mean([one[name] for one in pooled])) for name in OUTPUTS}


def decide(heard: Sequence[Heard], release: ModelRelease, problems: tuple[Problem, ...],
           provenance: Provenance) -> Result:
    """Pathology when anything looked for reaches its threshold, else normal."""
    told, thresholds = over_recordings(heard), thresholds_of(release)
    findings = tuple(_finding(label, told[label.name], thresholds[label.name], heard) for label in LABELS)
    verdict = Verdict.PATHOLOGY if any(finding.present for finding in findings) else Verdict.NORMAL
    measured = _measurements(heard)
    return Result(verdict, risk_of(findings), findings, provenance, tuple(h.audio.sop_instance_uid for h in heard),
                  measured, problems, _summary(findings, measured))


def undetermined(problems: tuple[Problem, ...], evidence: tuple[str, ...], provenance: Provenance) -> Result:
    """Nothing was read, and why."""
    reasons = " ".join(problem.text for problem in problems)
    return Result(Verdict.UNDETERMINED, 0.0, (), provenance, evidence, (), problems,
                  f"The breath sound could not be read. {reasons}")


def most_telling(heard: Sequence[Heard], name: str) -> tuple[Heard, int]:
    """The recording and the clip in which this is clearest."""
    best = max(heard, key=lambda each: each.pooled[name])
    return best, int(best.probabilities[:, OUTPUTS.index(name)].argmax())


def _finding(label: Label, probability: float, threshold: float, heard: Sequence[Heard]) -> Finding:
    region = None
    if probability >= threshold:
        where, clip = most_telling(heard, label.name)
        start = where.starts[clip]
        region = WaveformRegion(where.audio.sop_instance_uid, where.audio.channels, start,
                                min(start + WINDOW, where.audio.seconds))
    return Finding(label.name, label.code, label.display, probability, threshold, label.acuity, (), region)


def _measurements(heard: Sequence[Heard]) -> tuple[Measurement, ...]:
    """Means over the recordings, and their length together."""
    band = float(np.mean([each.measures.wheeze_band for each in heard]))
    tonal = float(np.mean([each.measures.tonal for each in heard]))
    length = sum(each.audio.seconds for each in heard)
    return (Measurement(WHEEZE_BAND, round(100 * band, 1), PERCENT), Measurement(TONAL, round(100 * tonal, 1), PERCENT),
            Measurement(LENGTH, round(length, 1), SECONDS))


def _summary(findings: tuple[Finding, ...], measured: tuple[Measurement, ...]) -> str:
    """What it sounds like, what is heard in it, and the measured share of the wheeze band."""
    present = [finding for finding in findings if finding.present]
    band = f"{measured[0].name} {measured[0].value:g} %."
    if not present:
        return f"Normal breath sound: nothing that is looked for was found. {band}"
    named = [finding for finding in present if finding.label != ABNORMAL.name] or present
    told = "; ".join(f"{finding.display} (probability {finding.probability:.2f})" for finding in named)
    other = "" if any(finding.label == ASTHMA.name for finding in present) else "Other abnormal, not asthma-like: "
    return f"{other}{told}. {band}"
