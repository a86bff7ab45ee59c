"""Areas under the ROC and precision-recall curves, also over many bootstrap draws at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.validation.records import Numbers

_CHUNK = 64
"""Draws worked on at the same time: what they need fits a cache."""


@dataclass(frozen=True, slots=True)
class Draws:
    """`weights`: float64 (draws, groups), how often each group (patient) was drawn. `number`: (records,) the group of
    each record."""

    weights: Numbers
    number: NDArray[np.intp]

    @classmethod
    def of(cls, groups: Sequence[str], *, draws: int = 1000, seed: int = 0) -> Draws:
        """`draws` times as many groups as there are, with replacement: the same seed, the same draws."""
        names, number = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
        random = np.random.default_rng(seed)
        count = len(names)
        drawn = [np.bincount(random.integers(0, count, count), minlength=count) for _ in range(draws)]
        return cls(np.asarray(drawn, np.float64).reshape(draws, count), number)

    def of_records(self, chosen: NDArray[np.bool_]) -> Numbers:
        """(draws, chosen records)."""
        return self.weights[:, self.number[chosen]]


@dataclass(frozen=True, slots=True)
class Areas:
    """Area under the ROC curve and average precision of each draw, (draws,); NaN where a class is absent."""

    auc: Numbers
    average_precision: Numbers


class Ranking:
    """Records in the order of their scores, equal scores as one step."""

    def __init__(self, truth: Numbers, score: Numbers) -> None:
        self._order = np.argsort(score, kind="stable")
        ordered = score[self._order]
        self._truth = truth[self._order] > 0.5
        self._steps = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if score.size else np.zeros(0, int)
        self.levels: Numbers = ordered[self._steps]

    def areas(self, weights: Numbers) -> Areas:
        """Of (draws, records) weights, in the order in which truth and score were given."""
        parts = [self._areas(weights[start:start + _CHUNK]) for start in range(0, len(weights), _CHUNK)]
        return Areas(np.concatenate([auc for auc, _ in parts]), np.concatenate([precision for _, precision in parts]))

    def area(self) -> tuple[float, float]:
        """AUC and average precision, every record counted once."""
        told = self.areas(np.ones((1, len(self._order))))
        return float(told.auc[0]), float(told.average_precision[0])

    def _areas(self, weights: Numbers) -> tuple[Numbers, Numbers]:
        if not self._steps.size:
            return np.full(len(weights), np.nan), np.full(len(weights), np.nan)
        positive, negative = self._by_step(weights)
        below = np.cumsum(negative, axis=1)
        positives, negatives = positive.sum(axis=1), below[:, -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            auc = (positive * (below - negative / 2)).sum(axis=1) / (positives * negatives)
            found = np.cumsum(positive[:, ::-1], axis=1)
            wrong = np.cumsum(negative[:, ::-1], axis=1)
            precision = np.divide(found, found + wrong, out=np.zeros_like(found), where=found > 0)
            average = (positive[:, ::-1] * precision).sum(axis=1) / positives
        auc[(positives == 0) | (negatives == 0)] = np.nan
        average[positives == 0] = np.nan
        return auc, average

    def _by_step(self, weights: Numbers) -> tuple[Numbers, Numbers]:
        ordered = weights[:, self._order]
        positive = np.add.reduceat(ordered * self._truth, self._steps, axis=1)
        return positive, np.add.reduceat(ordered, self._steps, axis=1) - positive

    def roc(self) -> tuple[Numbers, Numbers, Numbers]:
        """False positive rate, true positive rate and threshold, from (0, 0) to (1, 1); a score at the threshold counts
        as found. NaN rates where a class is absent."""
        if not self._steps.size:
            return np.full(1, np.nan), np.full(1, np.nan), np.full(1, np.inf)
        positive, negative = self._by_step(np.ones((1, len(self._order))))
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.cumsum(np.r_[0.0, positive[0, ::-1]]) / positive.sum()
            wrong = np.cumsum(np.r_[0.0, negative[0, ::-1]]) / negative.sum()
        return wrong, found, np.r_[np.inf, self.levels[::-1]]


def auc(truth: Numbers, score: Numbers) -> float:
    """Area under the ROC curve (Mann-Whitney, ties count half); NaN where one of the two classes is absent."""
    return Ranking(truth, score).area()[0]


def average_precision(truth: Numbers, score: Numbers) -> float:
    """Mean precision over the positives, equal scores as one step; NaN without positives."""
    return Ranking(truth, score).area()[1]


def interval(figures: Numbers) -> tuple[float, float]:
    """95 % percentile interval of the draws' figures; draws without one don't count; (NaN, NaN) where none has one."""
    known = figures[~np.isnan(figures)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.percentile(known, (2.5, 97.5))
    return float(low), float(high)
