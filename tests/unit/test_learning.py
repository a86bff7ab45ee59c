"""Patient-wise folds and calibration, which every training shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.learning.calibration import isotonic, platt, platt_of_scores, temperature
from pipelines.learning.folds import grouped_folds, out_of_fold


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_a_patient_is_in_one_fold_and_labels_are_spread(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = [str(random.integers(0, 60)) for _ in range(120)]
    truth = (random.random((120, 3)) < (0.4, 0.2, 0.1)).astype(float)
    truth[random.random((120, 3)) < 0.1] = np.nan
    folds = grouped_folds(truth, groups, count, seed)
    assert {len({fold for fold, g in zip(folds, groups, strict=True) if g == group}) for group in groups} == {1}
    assert set(folds) == set(range(count))
    for label in range(3):
        held = [int(np.nansum(truth[folds == fold, label])) for fold in range(count)]
        assert max(held) - min(held) <= 3 + np.nansum(truth[:, label]) / count / 2
    assert (folds == grouped_folds(truth, groups, count, seed)).all()


def test_more_folds_than_patients_are_refused_and_every_record_is_told_by_its_own_fold() -> None:
    with pytest.raises(ValueError, match="2 patients"):
        grouped_folds(np.zeros(4), ["a", "a", "b", "b"], 3)
    folds = np.array([0, 1, 0, 1])
    told = out_of_fold(folds, lambda fold, learned, held: np.array([[fold * 100.0 + h, learned.sum()] for h in held]))
    assert told.tolist() == [[0, 4], [101, 2], [2, 4], [103, 2]]


def test_calibrations_find_what_made_the_data() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(-1, 2, 4000)
    truth = (random.random(4000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))).astype(float)
    curve = platt(logits, truth)
    assert (curve.slope, curve.offset) == (pytest.approx(0.5, abs=0.06), pytest.approx(-1, abs=0.15))
    again = platt_of_scores(logits * 10 + 3, truth)
    np.testing.assert_allclose(again.probability(logits * 10 + 3), curve.probability(logits), atol=0.03)
    stairs = isotonic(logits, truth)
    np.testing.assert_allclose(stairs.probability(np.array([-4.0, 0, 4])), curve.probability(np.array([-4.0, 0, 4])),
                               atol=0.12)
    classes = random.normal(size=(4000, 3)) * 2
    likely = np.exp(classes / 1.7) / np.exp(classes / 1.7).sum(axis=1, keepdims=True)
    drawn = (likely.cumsum(axis=1) > random.random((4000, 1))).argmax(axis=1)
    assert temperature(classes, drawn) == pytest.approx(1.7, abs=0.15)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=25))
def test_isotonic_never_falls_and_keeps_the_mean(rows: list[tuple[int, bool]]) -> None:
    score, truth = np.array([float(s) for s, _ in rows]), np.array([float(t) for _, t in rows])
    told = isotonic(score, truth).probability(score)
    assert (np.diff(told[np.argsort(score, kind="stable")]) >= -1e-12).all()
    assert told.mean() == pytest.approx(truth.mean())
