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
    the first stage says; `macro_f1_reported`: the same where a site counts only with an infarction, as it is reported;
    `macro_f1_in_infarctions`: among the records that have one, which is the second stage by itself. `untrained`: sites
    of which nothing is said."""
    known = [label.name for label in SITES if label.name in scored.labels]
    drawn = Draws.of([record.group for record in scored.records])
    every, called = np.ones(len(scored.records)), _called(scored, MI.name)
    infarctions = (scored.column(MI.name)[0] == 1).astype(np.float64)
    told = {name: _mean([_measures(scored, label, only, among, drawn) for label in known])
            for name, only, among in (("macro_f1", every, every), ("macro_f1_reported", called, every),
                                      ("macro_f1_in_infarctions", every, infarctions))}
    missing = [label.name for label in SITES if label.name not in known]
    return {**{key: value for name, mean in told.items()
               for key, value in ((name, mean[0]), (f"{name}_ci95", list(interval(mean[1:]))))}, "untrained": missing}


def _called(scored: Scored, label: str) -> Numbers:
    score = scored.column(label)[1]
    return (np.nan_to_num(score, nan=-1.0) >= scored.thresholds[label]).astype(np.float64)


def _measures(scored: Scored, label: str, only: Numbers, among: Numbers, drawn: Draws) -> Numbers:
    """F1 of the records `among` which it is asked, then of each draw; records that were not scored or not labelled take
    no part. A call counts `only` where that is 1."""
    truth, score = scored.column(label)
    said = ~(np.isnan(truth) | np.isnan(score)) & (among > 0)
    called = _called(scored, label) * only
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
