"""`validate` of ECG readers on the PTB-XL layout: every record through the reader's own gates, network and decision.

Records that the model has learned from are told by the member that left them out, with thresholds and calibration that
come from others: the figures on the training records are those of cross-validation, on all others those of the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gateway.errors import Unusable
from gateway.pipeline import Array, Ecg, Floats
from gateway.ports import Inference
from gateway.result import ModelRelease, Provenance, Result, Verdict
from pipelines.ecg.checking import Checked
from pipelines.ecg.inputs import Inputs
from pipelines.ecg.memory import memory_of
from pipelines.ecg.ptbxl import Row, read, rows
from pipelines.ecg.telling import Scores, thresholds_of
from pipelines.validation.progress import Progress, track
from pipelines.validation.proportions import Counts, wilson
from pipelines.validation.records import Record, Scored, attributes


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a reader does it. `check`: gates; `inputs`: what its network reads; `pooled`: over windows; `decide`: the
    result of what passed the gates; `truth`: in the order of `outputs`."""

    model: str
    version: str
    outputs: tuple[str, ...]
    labels: tuple[str, ...]
    check: Callable[[Ecg], Checked]
    inputs: Callable[[Checked, float], Inputs]
    pooled: Callable[[Array], dict[str, float]]
    decide: Callable[[Scores, Ecg, Checked, Provenance], Result]
    truth: Callable[[Row], Floats]
    apart: Mapping[str, str]


def score(how: Scoring, data: Path, inference: Inference, folds: tuple[int, ...] | None, progress: Progress) -> Scored:
    """Raises Unusable where there is no such data. Every record is scored, also one that the gates refuse."""
    wanted = rows(data, folds or None)
    if not wanted:
        raise Unusable("no record of those folds in ptbxl_database.csv", element="strat_fold")
    scorer = _Scorer(how, inference)
    records = [scorer.record(row) for row in track(progress, wanted, len(wanted), "records scored")]
    further: dict[str, Any] = {"folds": {str(f): n for f, n in sorted(Counter(row.fold for row in wanted).items())}}
    left_out = sum(member is not None for member in scorer.members)
    further["out_of_fold"] = {"n": left_out, "note": _NOTE} if left_out else {"n": 0}
    if left_out == len(records):
        further["out_of_fold"]["labels"] = scorer.at_own_thresholds(records)
    further["verdicts"] = _verdicts(how, records)
    return Scored(how.model, how.labels, records, scorer.thresholds, (scorer.release,), how.apart, further)


_NOTE = "the model has learned from these records: each is told by the part of it that has not"


class _Scorer:
    def __init__(self, how: Scoring, inference: Inference) -> None:
        self._how, self._inference = how, inference
        self.release: ModelRelease = inference.release(how.model)
        self.thresholds = thresholds_of(self.release, how.outputs)
        self._memory = memory_of(self.release)
        self._provenance = Provenance(how.model, how.version, (self.release,))
        self.members: list[int | None] = []

    def record(self, row: Row) -> Record:
        signal, rate, leads = read(row.path)
        ecg = Ecg(signal, rate, leads, row.record, ())
        checked, member = self._how.check(ecg), self._memory.member(row)
        self.members.append(member)
        scores = self._scores(checked, rate, member)
        reasons = tuple(problem.code for problem in checked.problems)
        verdict = Verdict.UNDETERMINED
        if scores is not None and not reasons:
            result = self._how.decide(scores, ecg, checked, self._provenance)
            verdict = result.verdict
            reasons = tuple(problem.code for problem in result.problems)
        truth = {name: float(value) for name, value in zip(self._how.outputs, self._how.truth(row), strict=True)
                 if not np.isnan(value)}
        return Record(row.record, row.patient, truth, scores.probabilities if scores else {}, verdict.value, reasons,
                      _attributes(row))

    def _scores(self, checked: Checked, rate: float, member: int | None) -> Scores | None:
        if not checked.prepared.shape[1]:
            return None
        inputs = self._how.inputs(checked, rate)
        answer = self._inference.infer(self._how.model, {"ecg": inputs.waves, "features": inputs.features},
                                       ("probabilities", "members"))
        if member is None:
            return Scores(self._how.pooled(answer["probabilities"]), self.thresholds)
        return Scores(self._how.pooled(answer["members"][:, member]), dict(self._memory.thresholds[member]))

    def at_own_thresholds(self, records: Sequence[Record]) -> dict[str, Any]:
        """Sensitivity and specificity, each record at the thresholds of the member that tells it."""
        told = {}
        for label in self._how.outputs:
            lines = [(r.truth[label], r.probability[label], self._memory.thresholds[m][label])
                     for r, m in zip(records, self.members, strict=True)
                     if m is not None and label in r.truth and label in r.probability]
            truth, given, level = (np.array(column) for column in zip(*lines, strict=True))
            c = Counts.at(truth, (given >= level).astype(np.float64), 0.5)
            told[label] = {
                "sensitivity": c.sensitivity,
                "sensitivity_ci95": wilson(c.true_positive, c.true_positive + c.false_negative),
                "specificity": c.specificity,
                "specificity_ci95": wilson(c.true_negative, c.true_negative + c.false_positive)}
        return told


def _attributes(row: Row) -> dict[str, str]:
    about = row.about
    try:
        age: float | None = float(about.get("age", ""))
    except ValueError:
        age = None
    sex = {"0": "M", "1": "F"}.get(about.get("sex", "").strip(), "")
    return attributes(age=age, sex=sex, device=about.get("device", ""), site=about.get("site", ""))


def _verdicts(how: Scoring, records: Sequence[Record]) -> dict[str, dict[str, int]]:
    """How often each verdict falls on ECGs with one of the labels, with none and called normal, and with neither."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("none_and_normal", "one_of_them", "other")}
    for record in records:
        one = any(record.truth.get(label) == 1 for label in how.labels)
        kind = "one_of_them" if one else "none_and_normal" if record.truth.get("NORM") == 1 else "other"
        counts[kind][record.verdict] += 1
    return {kind: {verdict.value: count[verdict.value] for verdict in Verdict} for kind, count in counts.items()}
