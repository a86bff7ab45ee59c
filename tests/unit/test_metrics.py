"""pipelines.metrics against definitions and hand-worked figures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.metrics import auc, bootstrap, calibration_error, sensitivity, specificity


def by_pairs(truth: np.ndarray, score: np.ndarray) -> float:
    better = [float(p > n) + 0.5 * float(p == n) for p in score[truth == 1] for n in score[truth == 0]]
    return sum(better) / len(better)


def test_auc_is_the_share_of_pairs_in_order() -> None:
    random = np.random.default_rng(3)
    for _ in range(20):
        truth = (random.random(60) < 0.3).astype(float)
        score = np.round(random.random(60) + 0.3 * truth, 1)
        assert auc(truth, score) == pytest.approx(by_pairs(truth, score))


def test_auc_of_perfect_reversed_and_constant_scores() -> None:
    truth = np.array([0.0, 0.0, 1.0, 1.0])
    assert auc(truth, np.array([0.1, 0.2, 0.3, 0.4])) == 1.0
    assert auc(truth, np.array([0.4, 0.3, 0.2, 0.1])) == 0.0
    assert auc(truth, np.full(4, 0.5)) == 0.5


def test_one_class_has_no_figure() -> None:
    ones, score = np.ones(3), np.array([0.1, 0.2, 0.3])
    assert math.isnan(auc(ones, score))
    assert math.isnan(specificity(ones, score, 0.5))
    assert math.isnan(sensitivity(1 - ones, score, 0.5))
    assert all(math.isnan(limit) for limit in bootstrap(auc, ones, score, ["a", "b", "c"], draws=20))


def test_a_score_at_the_threshold_is_positive() -> None:
    truth, score = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.5, 0.4, 0.5, 0.1])
    assert sensitivity(truth, score, 0.5) == 0.5
    assert specificity(truth, score, 0.5) == 0.5


def test_interval_holds_the_figure_and_repeats() -> None:
    random = np.random.default_rng(1)
    truth = (random.random(200) < 0.4).astype(float)
    score = random.normal(truth, 1.0)
    groups = [str(n) for n in range(200)]
    low, high = bootstrap(auc, truth, score, groups, draws=200)
    assert low < auc(truth, score) < high
    assert (low, high) == bootstrap(auc, truth, score, groups, draws=200)


def test_interval_is_wider_when_records_come_in_patients() -> None:
    random = np.random.default_rng(2)
    patients = (random.random(25) < 0.5).astype(float)
    truth, score = np.repeat(patients, 20), np.repeat(random.normal(patients, 1.0), 20)
    together = bootstrap(auc, truth, score, [str(n // 20) for n in range(500)], draws=200)
    apart = bootstrap(auc, truth, score, [str(n) for n in range(500)], draws=200)
    assert together[1] - together[0] > 2 * (apart[1] - apart[0])


def test_calibration_error() -> None:
    truth = np.array([1.0, 0.0, 0.0, 0.0])
    assert calibration_error(truth, np.full(4, 0.25)) == pytest.approx(0.0)
    assert calibration_error(truth, np.full(4, 0.95)) == pytest.approx(0.7)
    assert calibration_error(np.ones(2), np.ones(2)) == 0.0
