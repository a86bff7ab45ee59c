"""`validate` of ECG readers, on the PTB-XL layout or a hospital's own table: every record through the reader's own
gates, network and decision.

Records that the model has learned from are told by the member that left them out, with thresholds and calibration that
come from others: the figures on the training records are those of cross-validation, on all others those of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gateway.pipeline import Array, Ecg, Floats
from gateway.ports import Inference
from gateway.ports.recordings import Recordings
from gateway.result import ModelRelease, Provenance, Result, Verdict
from pipelines.ecg.checking import Checked
from pipelines.ecg.disagreement import measured_of, weighed
from pipelines.ecg.inputs import Inputs
from pipelines.ecg.memory import Memory, joined, memory_of
from pipelines.ecg.ptbxl import Row
from pipelines.ecg.suspicion import ANY
from pipelines.ecg.tables import Labelled, labelled
from pipelines.ecg.telling import Scores, thresholds_of
from pipelines.ecg.verdicts import LEVELS, Outcome, as_told, sensitivity_and_specificity
from pipelines.validation.progress import Progress, track_results
from pipelines.validation.records import Record, Scored, attributes


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a reader does it. `model`: its name; `models`: those that it asks, empty where it is one of its own name.
    `check`: gates; `ask`: what the models say of what was checked, at its rate, in Hz, by label: all members together
    (None) or one of them; `decide`: the result of what passed the gates; `truth`: in the order of `outputs`;
    `further_thresholds`: beside those of the outputs."""

    model: str
    version: str
    outputs: tuple[str, ...]
    labels: tuple[str, ...]
    check: Callable[[Ecg], Checked]
    ask: Callable[[Inference, Checked, float, int | None], dict[str, float]]
    decide: Callable[[Scores, Ecg, Checked, Provenance], Result]
    truth: Callable[[Row], Floats]
    apart: Mapping[str, str]
    models: tuple[str, ...] = ()
    further_thresholds: tuple[str, ...] = ()


def asking(model: str, inputs: Callable[[Checked, float], Inputs],
           pooled: Callable[[Array], dict[str, float]]) -> Callable[[Inference, Checked, float, int | None],
                                                                    dict[str, float]]:
    """`ask` of a reader with one network. `inputs`: what it reads; `pooled`: over windows."""
    def ask(inference: Inference, checked: Checked, rate: float, member: int | None) -> dict[str, float]:
        given = inputs(checked, rate)
        answer = inference.infer(model, {"ecg": given.waves, "features": given.features}, ("probabilities", "members"))
        return weighed(pooled(said_by(answer, member)), measured_of(checked.waves))

    return ask


def said_by(answer: Mapping[str, Array], member: int | None) -> Array:
    """(windows, outputs) of a member, or of all of them together."""
    return answer["probabilities"] if member is None else answer["members"][:, member]


def score(how: Scoring, data: Path, inference: Inference, folds: tuple[int, ...] | None, recordings: Recordings | None,
          progress: Progress) -> Scored:
    """Raises Unusable where there is no such data. Every record is scored, also one that the gates refuse."""
    return score_rows(how, labelled(data, [*how.labels, *how.apart.values()], folds, recordings), inference, progress)


def score_rows(how: Scoring, chosen: Labelled, inference: Inference, progress: Progress) -> Scored:
    """The same of rows that are listed already."""
    scorer = _Scorer(how, inference)
    wanted = [_Case(row.record, row.patient, _told(how, row), _attributes(row), partial(chosen.open, row),
                    scorer.memory.member(row)) for row in chosen.rows]
    outcomes = list(track_results(progress, scorer.outcome, wanted, "records scored"))
    records = [outcome.record for outcome in outcomes]
    members = [case.member for case in wanted]
    further: dict[str, Any] = {}
    left_out = sum(member is not None for member in members)
    further["out_of_fold"] = {"n": left_out, "note": _NOTE} if left_out else {"n": 0}
    if left_out == len(records):
        further["out_of_fold"]["labels"] = _at_own_thresholds(how, records, members, scorer.memory)
    further |= as_told(how.labels, outcomes)
    return Scored(how.model, how.labels, records, scorer.thresholds, scorer.releases, how.apart, further)


_NOTE = "the model has learned from these records: each is told by the part of it that has not"


@dataclass(frozen=True, slots=True)
class _Case:
    """One labelled record. `member`: the one that left it out; None where the model has not learned from it."""

    name: str
    patient: str
    truth: Mapping[str, float]
    groups: Mapping[str, str]
    load: Callable[[], Ecg]
    member: int | None = None


def _told(how: Scoring, row: Row) -> Mapping[str, float]:
    if row.said is not None:
        return row.said
    return {name: float(value) for name, value in zip(how.outputs, how.truth(row), strict=True) if not np.isnan(value)}


class _Scorer:
    def __init__(self, how: Scoring, inference: Inference) -> None:
        self._how, self._inference = how, inference
        self.releases: tuple[ModelRelease, ...] = tuple(map(inference.release, how.models or (how.model,)))
        self.thresholds = {name: level for release in self.releases
                           for name, level in thresholds_of(
                               release, _labels(release), how.further_thresholds).items()}
        self.memory = joined([memory_of(release) for release in self.releases])
        self._provenance = Provenance(how.model, how.version, self.releases)

    def outcome(self, case: _Case) -> Outcome:
        ecg = case.load()
        checked = self._how.check(ecg)
        scores = self._scores(checked, ecg.rate, case.member)
        result = None if scores is None or checked.problems else self._decided(scores, ecg, checked)
        problems = checked.problems if result is None else result.problems
        record = Record(case.name, case.patient, case.truth, scores.probabilities if scores else {},
                        (Verdict.UNDETERMINED if result is None else result.verdict).value,
                        tuple(problem.code for problem in problems), case.groups)
        if scores is None or result is None:
            return Outcome(record)
        found = frozenset(finding.label for finding in result.findings if finding.present)
        return Outcome(record, found, self._at_other_levels(scores, ecg, checked))

    def _decided(self, scores: Scores, ecg: Ecg, checked: Checked) -> Result:
        return self._how.decide(scores, ecg, checked, self._provenance)

    def _at_other_levels(self, scores: Scores, ecg: Ecg, checked: Checked) -> tuple[Verdict, ...]:
        if ANY not in self._how.further_thresholds:
            return ()

        def at(level: float) -> Verdict:
            return self._decided(replace(scores, thresholds={**scores.thresholds, ANY: level}), ecg, checked).verdict

        lowest, highest = at(LEVELS[0]), at(LEVELS[-1])
        if lowest is highest:  # a higher limit never makes a verdict worse, so it is the same in between
            return (lowest,) * len(LEVELS)
        return (lowest, *(at(level) for level in LEVELS[1:-1]), highest)

    def _scores(self, checked: Checked, rate: float, member: int | None) -> Scores | None:
        if not checked.prepared.shape[1]:
            return None
        levels = self.thresholds if member is None else dict(self.memory.thresholds[member])
        return Scores(self._how.ask(self._inference, checked, rate, member), levels)


def _labels(release: ModelRelease) -> tuple[str, ...]:
    return tuple(release.parameters.get("labels", "").split(","))


def _at_own_thresholds(how: Scoring, records: Sequence[Record], members: Sequence[int | None],
                       memory: Memory) -> dict[str, Any]:
    """Sensitivity and specificity, each record at the thresholds of the member that tells it."""
    told = {}
    for label in how.outputs:
        lines = [(r.truth[label], r.probability[label] >= memory.thresholds[m][label])
                 for r, m in zip(records, members, strict=True)
                 if m is not None and label in r.truth and label in r.probability]
        told[label] = sensitivity_and_specificity(np.array(lines, np.float64).reshape(-1, 2))
    return told


def _attributes(row: Row) -> dict[str, str]:
    about = row.about
    if row.said is not None:
        return dict(about)
    try:
        age: float | None = float(about.get("age", ""))
    except ValueError:
        age = None
    sex = {"0": "M", "1": "F"}.get(about.get("sex", "").strip(), "")
    return attributes(age=age, sex=sex, device=about.get("device", ""), site=about.get("site", ""))
