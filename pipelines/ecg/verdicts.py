"""What `validate` says of findings and verdicts as the reader tells them, beside the figures of each label alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.result import Verdict
from pipelines.validation.proportions import Counts, wilson
from pipelines.validation.records import Numbers, Record

LEVELS = (0.0, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)
"""Thresholds of `pipelines.ecg.suspicion` at which the verdicts are counted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A scored record. `found`: labels of the findings that were told as present; None where it was not read.
    `at_levels`: its verdict at each of `LEVELS`, where the reader has such a threshold."""

    record: Record
    found: frozenset[str] | None = None
    at_levels: tuple[Verdict, ...] = ()


def as_told(labels: Sequence[str], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """`verdicts`: how often each falls on which kind of ECG. `findings`: sensitivity and specificity of what is told.
    `operating_curve`: the verdicts at other thresholds of suspicion."""
    kinds = [_kind(labels, outcome.record) for outcome in outcomes]
    told: dict[str, Any] = {"verdicts": _counted(kinds, [outcome.record.verdict for outcome in outcomes]),
                            "findings": {label: _figures(label, outcomes) for label in labels}}
    if any(outcome.at_levels for outcome in outcomes):
        told["operating_curve"] = [{"ANY": level, **_counted(kinds, [_at(outcome, number) for outcome in outcomes])}
                                   for number, level in enumerate(LEVELS)]
    return told


def _kind(labels: Sequence[str], record: Record) -> str:
    """One of the labels, or none and called normal, or neither."""
    if any(record.truth.get(label) == 1 for label in labels):
        return "one_of_them"
    return "none_and_normal" if record.truth.get("NORM") == 1 else "other"


def _at(outcome: Outcome, number: int) -> str:
    return outcome.at_levels[number].value if outcome.at_levels else outcome.record.verdict


def _counted(kinds: Sequence[str], verdicts: Sequence[str]) -> dict[str, dict[str, int]]:
    counts = {kind: Counter[str]() for kind in ("none_and_normal", "one_of_them", "other")}
    for kind, verdict in zip(kinds, verdicts, strict=True):
        counts[kind][verdict] += 1
    return {kind: {verdict.value: count[verdict.value] for verdict in Verdict} for kind, count in counts.items()}


def _figures(label: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Of the records that were read and of which somebody said whether it is there."""
    lines = [(outcome.record.truth[label], label in outcome.found)
             for outcome in outcomes if outcome.found is not None and label in outcome.record.truth]
    return sensitivity_and_specificity(np.array(lines, np.float64).reshape(-1, 2))


def sensitivity_and_specificity(lines: Numbers) -> dict[str, Any]:
    """With Wilson's intervals, and F1. `lines` (records, 2): truth, and whether it was called, 1 or 0."""
    c = Counts.at(lines[:, 0], lines[:, 1], 0.5)
    return {
        "sensitivity": c.sensitivity,
        "sensitivity_ci95": wilson(c.true_positive, c.true_positive + c.false_negative),
        "specificity": c.specificity,
        "specificity_ci95": wilson(c.true_negative, c.true_negative + c.false_positive),
        "f1": c.f1}
