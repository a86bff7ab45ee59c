"""All figures of a validation as the JSON that `triage-gateway validate` writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from gateway.errors import Unusable
from pipelines.validation.proportions import Counts, f1_draws, share, wilson
from pipelines.validation.ranking import Draws, Ranking, interval
from pipelines.validation.records import Numbers, Scored
from pipelines.validation.reliability import bins, brier, calibration_error
from pipelines.validation.segmentation import summary
from pipelines.validation.subgroups import subgroups

DRAWS = 1000
_ROC_POINTS = 200


def report(scored: Scored, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """JSON-serialisable; what cannot be computed is null.

    `labels`: label → n, positives, auc, auc_ci95 (bootstrap over patients), average_precision with its interval,
    threshold, sensitivity and specificity with Wilson's intervals, confusion, f1, brier, calibration_error, the bins of
    the reliability curve and the points of the ROC curve. `macro_auc` is over the labels that are not `apart`.
    Raises Unusable without records.
    """
    if not scored.records:
        raise Unusable("there is no record to score in these data", element="data")
    drawn = Draws.of([record.group for record in scored.records], draws=draws, seed=seed)
    named = dict.fromkeys((*scored.labels, *scored.apart.values()))
    told = {label: _Label(scored, label, drawn) for label in named}
    averaged = [told[label] for label in scored.labels
                if label not in scored.apart.values() and not np.isnan(told[label].auc)]
    made = {
        "pipeline": scored.pipeline, "records": len(scored.records),
        "patients": len({record.group for record in scored.records}),
        "labels": {label: told[label].figures for label in scored.labels},
        "macro_auc": float(np.mean([label.auc for label in averaged])) if averaged else float("nan"),
        "macro_auc_ci95": list(_macro(averaged)),
        **{key: told[label].figures for key, label in scored.apart.items() if label not in scored.labels},
        "undetermined": undetermined(scored), "subgroups": subgroups(scored),
        "models": [{"name": m.name, "version": m.version, "sha256": m.sha256, "demonstration": m.demonstration,
                    "status": m.status} for m in scored.models],
        "intervals": f"95 %: AUC, average precision and F1 by bootstrap over patients ({draws} draws, seed {seed}); "
                     "sensitivity and specificity by Wilson's score",
    }
    if any(record.measures for record in scored.records):
        made["measures"] = summary(scored.records)
    return {key: finite(value) for key, value in {**made, **scored.further}.items()}


def undetermined(scored: Scored) -> dict[str, Any]:
    """How many got no verdict, and how often for which reason."""
    without = [record for record in scored.records if record.verdict == "undetermined"]
    reasons = Counter(reason for record in without for reason in dict.fromkeys(record.reasons))
    return {"n": len(without), "share": share(len(without), len(scored.records)),
            "reasons": dict(reasons.most_common())}


class _Label:
    """Figures of one label, and its AUC in every draw."""

    def __init__(self, scored: Scored, label: str, drawn: Draws) -> None:
        truth, score = scored.column(label)
        said = ~(np.isnan(truth) | np.isnan(score))
        weights = drawn.of_records(said)
        self._truth, self._score = truth[said], score[said]
        ranking = Ranking(self._truth, self._score)
        areas = ranking.areas(weights)
        self.auc, self.auc_draws = ranking.area()[0], areas.auc
        threshold = scored.thresholds[label]
        self.figures: dict[str, Any] = {
            "n": len(self._truth), "positives": int(self._truth.sum()), "auc": self.auc,
            "auc_ci95": list(interval(areas.auc)), "average_precision": ranking.area()[1],
            "average_precision_ci95": list(interval(areas.average_precision)), "threshold": threshold,
            **_at_threshold(self._truth, self._score, threshold),
            "f1_ci95": list(interval(f1_draws(self._truth, self._score, threshold, weights))),
            "brier": brier(self._truth, self._score),
            "calibration_error": calibration_error(self._truth, self._score),
            "reliability": [{"low": b.low, "high": b.high, "n": b.n, "told": b.told, "found": b.found}
                            for b in bins(self._truth, self._score)],
            "roc": _curve(ranking)}


def _at_threshold(truth: Numbers, score: Numbers, threshold: float) -> dict[str, Any]:
    c = Counts.at(truth, score, threshold)
    return {
        "sensitivity": c.sensitivity,
        "sensitivity_ci95": list(wilson(c.true_positive, c.true_positive + c.false_negative)),
        "specificity": c.specificity,
        "specificity_ci95": list(wilson(c.true_negative, c.true_negative + c.false_positive)),
        "confusion": {"true_positive": c.true_positive, "false_positive": c.false_positive,
                      "true_negative": c.true_negative, "false_negative": c.false_negative},
        "f1": c.f1, "positive_predictive_value": c.positive_predictive_value,
        "negative_predictive_value": c.negative_predictive_value}


def _curve(ranking: Ranking) -> list[list[float]]:
    """Corners of the ROC curve, at most so many that it can be drawn: (false, true positive rate)."""
    wrong, found, _ = ranking.roc()
    if np.isnan(wrong).any() or np.isnan(found).any():
        return []
    points = np.stack([wrong, found], axis=1)
    step = np.diff(points, axis=0)
    turns = np.abs(step[1:, 0] * step[:-1, 1] - step[1:, 1] * step[:-1, 0]) > 1e-12
    corners = points[np.r_[True, turns, True]] if len(points) > 2 else points
    if len(corners) > _ROC_POINTS:
        corners = corners[np.unique(np.linspace(0, len(corners) - 1, _ROC_POINTS).round().astype(int))]
    return [[round(float(x), 5), round(float(y), 5)] for x, y in corners]


def _macro(labels: list[_Label]) -> tuple[float, float]:
    """Interval of the mean AUC: the same draws for all labels; one without positives in a draw is left out of it."""
    if not labels:
        return float("nan"), float("nan")
    drawn = np.stack([label.auc_draws for label in labels])
    known = ~np.isnan(drawn)
    counts = known.sum(axis=0)
    total = np.where(known, drawn, 0.0).sum(axis=0)
    return interval(np.divide(total, counts, out=np.full(len(counts), np.nan), where=counts > 0))


def finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null instead, at any depth."""
    if isinstance(value, Mapping):
        return {str(key): finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
