"""How well sites are told, as one number: the mean of their F1."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipelines.ecg_mi.labels import MI, SITES
from pipelines.validation.proportions import f1_draws
from pipelines.validation.ranking import Draws, interval
from pipelines.validation.records import Numbers, Scored


def sites(scored: Scored) -> dict[str, Any]:
    """`macro_f1` of the trained sites at the served thresholds with its interval (bootstrap over patients), whatever
    the first stage says; `macro_f1_reported`: the same where a site counts only with an infarction, as it is reported.
    `untrained`: sites of which nothing is said."""
    known = [label.name for label in SITES if label.name in scored.labels]
    drawn = Draws.of([record.group for record in scored.records])
    called = _called(scored, MI.name)
    every, reported = ([_measures(scored, name, only, drawn) for name in known] for only in (None, called))
    missing = [label.name for label in SITES if label.name not in known]
    return {"macro_f1": _mean(every)[0], "macro_f1_ci95": list(interval(_mean(every)[1:])),
            "macro_f1_reported": _mean(reported)[0], "macro_f1_reported_ci95": list(interval(_mean(reported)[1:])),
            "untrained": missing}


def _called(scored: Scored, label: str) -> Numbers:
    score = scored.column(label)[1]
    return (np.nan_to_num(score, nan=-1.0) >= scored.thresholds[label]).astype(np.float64)


def _measures(scored: Scored, label: str, only: Numbers | None, drawn: Draws) -> Numbers:
    """F1 of all records, then of each draw; records that were not scored or not labelled take no part."""
    truth, score = scored.column(label)
    said = ~(np.isnan(truth) | np.isnan(score))
    called = _called(scored, label) * (1.0 if only is None else only)
    weights = np.vstack([np.ones((1, int(said.sum()))), drawn.of_records(said)])
    return f1_draws(truth[said], called[said], 0.5, weights)


def _mean(measures: list[Numbers]) -> Numbers:
    """Over the sites; one without positives and calls is left out."""
    stacked = np.stack(measures)
    known = ~np.isnan(stacked)
    counts = known.sum(axis=0)
    mean: Numbers = np.divide(np.nansum(stacked, axis=0), counts, out=np.full(stacked.shape[1], np.nan),
                              where=counts > 0)
    return mean
