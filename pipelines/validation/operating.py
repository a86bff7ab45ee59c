"""Where to draw the line: thresholds for a wanted sensitivity or specificity, or by Youden's or the F measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gateway.errors import Unusable
from pipelines.validation.ranking import Ranking
from pipelines.validation.records import Numbers


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A wanted share: `kind` is `sens` or `spec`."""

    kind: str
    share: float

    @classmethod
    def parse(cls, text: str) -> OperatingPoint:
        """`sens=0.95` or `spec=0.9`. Raises Unusable."""
        kind, _, share = text.partition("=")
        try:
            wanted = cls(kind.strip().lower()[:4], float(share))
        except ValueError:
            wanted = cls("", 0)
        if wanted.kind not in ("sens", "spec") or not 0 < wanted.share <= 1:
            raise Unusable(f"an operating point is sens=0.95 or spec=0.90, not {text}", element="operating-point")
        return wanted

    def threshold(self, truth: Numbers, score: Numbers) -> float | None:
        choose = at_sensitivity if self.kind == "sens" else at_specificity
        return choose(truth, score, self.share)


def at_sensitivity(truth: Numbers, score: Numbers, wanted: float) -> float | None:
    """The highest threshold that at least `wanted` of the positives reach; None without positives."""
    positive = np.sort(score[truth > 0.5])[::-1]
    if not positive.size:
        return None
    return between(score, float(positive[int(np.ceil(wanted * positive.size - 1e-9)) - 1]))


def at_specificity(truth: Numbers, score: Numbers, wanted: float) -> float | None:
    """The lowest threshold that at least `wanted` of the negatives stay below; None without negatives, or where none up
    to 1 does."""
    negative = np.sort(score[truth <= 0.5])
    if not negative.size:
        return None
    last = float(negative[int(np.ceil(wanted * negative.size - 1e-9)) - 1])
    higher = score[score > last]
    above = between(score, float(higher.min())) if higher.size else float(np.nextafter(last, np.inf))
    return above if above <= 1 else None


def youden(truth: Numbers, score: Numbers) -> float | None:
    """The threshold with the largest sum of sensitivity and specificity; None where a class is absent."""
    wrong, found, levels = Ranking(truth, score).roc()
    if np.isnan(wrong).any() or np.isnan(found).any():
        return None
    return between(score, float(levels[1:][np.argmax((found - wrong)[1:])]))


def best_f(truth: Numbers, score: Numbers, beta: float = 1.0) -> float | None:
    """The threshold with the best F measure; None without positives."""
    positives = float((truth > 0.5).sum())
    if not positives:
        return None
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(truth[order] > 0.5)
    measure = (1 + beta**2) * hits / (np.arange(1, len(score) + 1) + beta**2 * positives)
    last_of_step = np.r_[score[order][1:] != score[order][:-1], True]
    return between(score, float(score[order][np.argmax(np.where(last_of_step, measure, -1.0))]))


def between(score: Numbers, level: float) -> float:
    """Half-way from `level` down to the next lower score, so that rounding moves no record over the line."""
    lower = score[score < level]
    return (level + float(lower.max())) / 2 if lower.size else level


def chosen(columns: Mapping[str, tuple[Numbers, Numbers]], point: OperatingPoint) -> dict[str, float | None]:
    """Label → threshold of (truth, score); rows with NaN in either take no part."""
    told = {}
    for label, (truth, score) in columns.items():
        said = ~(np.isnan(truth) | np.isnan(score))
        told[label] = point.threshold(truth[said], score[said])
    return told
