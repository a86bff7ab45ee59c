"""Figures of merit against their definitions, worked out by hand or pair by pair."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from gateway.errors import Unusable
from pipelines.validation import operating
from pipelines.validation.operating import OperatingPoint
from pipelines.validation.proportions import Counts, f1_draws, wilson
from pipelines.validation.ranking import Draws, Ranking, auc, average_precision, interval
from pipelines.validation.reliability import bins, brier, calibration_error
from pipelines.validation.segmentation import dice, median_interval, volumes

Numbers = np.ndarray
ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=30)


def arrays(rows: list[tuple[bool, int]]) -> tuple[Numbers, Numbers]:
    return np.array([float(t) for t, _ in rows]), np.array([s / 8 for _, s in rows])


def by_pairs(truth: Numbers, score: Numbers, weight: Numbers) -> float:
    total = better = 0.0
    for t, s, w in zip(truth, score, weight, strict=True):
        for u, r, v in zip(truth, score, weight, strict=True):
            if t == 1 and u == 0:
                total += w * v
                better += w * v * (float(s > r) + 0.5 * float(s == r))
    return better / total if total else math.nan


def by_steps(truth: Numbers, score: Numbers, weight: Numbers) -> float:
    """Average precision: over the distinct scores from above, the recall gained times the precision there."""
    positives = (truth * weight).sum()
    if not positives:
        return math.nan
    told, before = 0.0, 0.0
    for level in sorted(set(score), reverse=True):
        reached = score >= level
        found = (truth * weight)[reached].sum()
        if found:
            told += (found - before) / positives * found / weight[reached].sum()
        before = found
    return told


@settings(max_examples=60)
@given(ROWS, st.integers(0, 2**32 - 1))
def test_areas_are_those_of_the_definitions_for_every_draw(rows: list[tuple[bool, int]], seed: int) -> None:
    truth, score = arrays(rows)
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(rows))).astype(float)
    told = Ranking(truth, score).areas(weights)
    for number, weight in enumerate(weights):
        np.testing.assert_allclose(told.auc[number], by_pairs(truth, score, weight))
        np.testing.assert_allclose(told.average_precision[number], by_steps(truth, score, weight))


@settings(max_examples=60)
@given(ROWS)
def test_the_roc_curve_is_sensitivity_against_specificity_and_encloses_the_area(rows: list[tuple[bool, int]]) -> None:
    truth, score = arrays(rows)
    wrong, found, levels = Ranking(truth, score).roc()
    for x, y, level in zip(wrong, found, levels, strict=True):
        counts = Counts.at(truth, score, level)
        np.testing.assert_allclose((x, y), (1 - counts.specificity, counts.sensitivity))
    np.testing.assert_allclose(np.trapezoid(found, wrong), auc(truth, score))
    assert np.isnan(Ranking(np.zeros(0), np.zeros(0)).roc()[0]).all()


def test_areas_of_perfect_reversed_and_constant_scores() -> None:
    truth = np.array([0.0, 0.0, 1.0, 1.0])
    assert auc(truth, np.array([0.1, 0.2, 0.3, 0.4])) == average_precision(truth, np.array([0.1, 0.2, 0.3, 0.4])) == 1
    assert auc(truth, np.array([0.4, 0.3, 0.2, 0.1])) == 0
    assert (auc(truth, np.full(4, 0.5)), average_precision(truth, np.full(4, 0.5))) == (0.5, 0.5)
    assert math.isnan(auc(np.ones(3), np.arange(3.0)))
    assert math.isnan(auc(np.zeros(0), np.zeros(0)))


def test_the_interval_repeats_holds_the_figure_and_is_wider_by_patients() -> None:
    random = np.random.default_rng(2)
    patients = (random.random(25) < 0.5).astype(float)
    truth, score = np.repeat(patients, 20), np.repeat(random.normal(patients, 1.0), 20)

    def limits(groups: list[str]) -> tuple[float, float]:
        drawn = Draws.of(groups, draws=200, seed=4)
        return interval(Ranking(truth, score).areas(drawn.of_records(np.ones(500, bool))).auc)

    together, apart = limits([str(n // 20) for n in range(500)]), limits([str(n) for n in range(500)])
    assert together == limits([str(n // 20) for n in range(500)])
    assert together[0] < auc(truth, score) < together[1]
    assert together[1] - together[0] > 2 * (apart[1] - apart[0])
    assert all(math.isnan(limit) for limit in interval(np.full(5, np.nan)))


@given(st.integers(0, 40), st.integers(0, 40))
def test_wilsons_interval_is_scipys(part: int, more: int) -> None:
    whole = part + more
    if not whole:
        assert all(math.isnan(limit) for limit in wilson(0, 0))
        return
    told = binomtest(part, whole).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson(part, whole), (told.low, told.high), atol=1e-9)


def test_counts_at_a_threshold() -> None:
    truth, score = np.array([1.0, 1.0, 1.0, 0.0, 0.0]), np.array([0.9, 0.5, 0.2, 0.5, 0.1])
    counts = Counts.at(truth, score, 0.5)
    assert counts == Counts(2, 1, 1, 1)
    assert (counts.sensitivity, counts.specificity, counts.f1) == (2 / 3, 0.5, 2 / 3)
    assert (counts.positive_predictive_value, counts.negative_predictive_value) == (2 / 3, 0.5)
    np.testing.assert_allclose(f1_draws(truth, score, 0.5, np.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 1.0]])),
                               [2 / 3, np.nan])
    assert math.isnan(Counts.at(np.zeros(2), np.zeros(2), 0.5).sensitivity)


def test_reliability() -> None:
    truth = np.array([1.0, 0.0, 0.0, 0.0])
    assert calibration_error(truth, np.full(4, 0.25)) == pytest.approx(0)
    assert calibration_error(truth, np.full(4, 0.95)) == pytest.approx(0.7)
    assert brier(truth, np.full(4, 0.25)) == pytest.approx((0.75**2 + 3 * 0.25**2) / 4)
    last = bins(np.ones(2), np.array([1.0, 0.95]))
    assert [(b.low, b.n, b.found) for b in last] == [(0.9, 2, 1.0)]


@settings(max_examples=80)
@given(ROWS, st.floats(0.05, 1))
def test_an_operating_point_is_kept_and_no_further_away_than_needed(rows: list[tuple[bool, int]], share: float) -> None:
    truth, score = arrays(rows)
    level = OperatingPoint("sens", share).threshold(truth, score)
    if level is None:
        assert not truth.any()
    else:
        assert Counts.at(truth, score, level).sensitivity >= share
        higher = score[score >= level].min() + 1e-9
        assert Counts.at(truth, score, higher).sensitivity < share
    level = OperatingPoint("spec", share).threshold(truth, score)
    if level is None:
        assert truth.all() or score[truth == 0].max() == 1
    else:
        assert Counts.at(truth, score, level).specificity >= share
        lower = score[score < level]
        assert not lower.size or Counts.at(truth, score, float(lower.max())).specificity < share


def test_youden_and_f_choose_the_best_of_all_levels() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        truth = (random.random(40) < 0.3).astype(float)
        truth[:2] = 0, 1
        score = np.round(random.random(40) + 0.4 * truth, 1)
        every = [Counts.at(truth, score, level) for level in np.unique(score)]
        chosen, f = operating.youden(truth, score), operating.best_f(truth, score, 2.0)
        assert chosen is not None
        assert f is not None
        told = Counts.at(truth, score, chosen)
        assert told.sensitivity + told.specificity == pytest.approx(max(c.sensitivity + c.specificity for c in every))

        def f2(c: Counts) -> float:
            return 5 * c.true_positive / (5 * c.true_positive + 4 * c.false_negative + c.false_positive)

        assert f2(Counts.at(truth, score, f)) == pytest.approx(max(map(f2, every)))
    assert operating.youden(np.ones(3), np.arange(3.0)) is None
    assert operating.best_f(np.zeros(3), np.arange(3.0)) is None


@pytest.mark.parametrize("text", ["", "sens", "sens=2", "sens=0", "acc=0.9", "spec=high"])
def test_what_is_no_operating_point_is_refused(text: str) -> None:
    with pytest.raises(Unusable, match=r"sens=0\.95"):
        OperatingPoint.parse(text)
    assert OperatingPoint.parse(" Sensitivity=0.9") == OperatingPoint("sens", 0.9)


def test_regions_and_volumes() -> None:
    one, two = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert dice(one, two) == 1
    one[:2], two[1:3] = True, True
    assert dice(one, two) == 0.5
    told = volumes(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 1.0]))
    assert told["mean_difference"] == 1
    assert (told["limit_low"], told["limit_high"]) == pytest.approx((1 - 1.96, 1 + 1.96))
    assert math.isnan(told["correlation"])
    figures = np.arange(11.0)
    groups = [str(n // 2) for n in range(11)]
    low, high = median_interval(figures, groups, draws=200)
    assert 0 < low < 5 < high < 10
    drawn = Draws.of(groups, draws=200)
    medians = [np.median(np.repeat(figures, weights.astype(int))) for weights in drawn.of_records(np.ones(11, bool))]
    assert (low, high) == interval(np.array(medians))
