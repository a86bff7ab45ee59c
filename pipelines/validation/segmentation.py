"""How well regions agree: Dice of masks, and volumes told against volumes drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.validation.ranking import Draws, interval
from pipelines.validation.records import Numbers, Record


def dice(told: NDArray[np.bool_], drawn: NDArray[np.bool_]) -> float:
    """2 |A and B| / (|A| + |B|); 1 where both are empty."""
    total = int(told.sum()) + int(drawn.sum())
    return 2 * int((told & drawn).sum()) / total if total else 1.0


def median_interval(figures: Numbers, groups: Sequence[str], *, draws: int = 1000,
                    seed: int = 0) -> tuple[float, float]:
    """95 % interval of the median by bootstrap over groups (patients)."""
    order = np.argsort(figures)
    drawn = Draws.of(groups, draws=draws, seed=seed)
    reached = np.cumsum(drawn.of_records(np.ones(len(figures), bool))[:, order], axis=1)
    counts = reached[:, -1:]
    middle = [np.argmax(reached > np.floor(place), axis=1) for place in ((counts - 1) / 2, counts / 2)]
    return interval(figures[order][np.stack(middle)].mean(axis=0))


def volumes(told: Numbers, drawn: Numbers) -> dict[str, float]:
    """Mean difference (told - drawn), limits of agreement (Bland-Altman), and Pearson's correlation."""
    difference = told - drawn
    spread = 1.96 * float(difference.std(ddof=1)) if difference.size > 1 else float("nan")
    middle = float(difference.mean())
    alike = told.std() == 0 or drawn.std() == 0
    return {"mean_difference": middle, "limit_low": middle - spread, "limit_high": middle + spread,
            "correlation": float("nan") if alike else float(np.corrcoef(told, drawn)[0, 1])}


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Of the records' measures: median, quartiles and interval of each; `volume_ml` against `volume_truth_ml`."""
    names = sorted({name for record in records for name in record.measures})
    told: dict[str, Any] = {name: _spread(records, name) for name in names}
    both = [r for r in records if {"volume_ml", "volume_truth_ml"} <= r.measures.keys()]
    if both:
        told["volume_agreement"] = volumes(np.array([r.measures["volume_ml"] for r in both]),
                                           np.array([r.measures["volume_truth_ml"] for r in both]))
    return told


def _spread(records: Sequence[Record], name: str) -> dict[str, Any]:
    held = [(record.measures[name], record.group) for record in records if name in record.measures]
    figures: Numbers = np.array([figure for figure, _ in held], np.float64)
    low, median, high = np.percentile(figures, (25, 50, 75))
    return {"n": len(held), "median": float(median), "median_ci95": list(
        median_interval(figures, [group for _, group in held])), "quartiles": [float(low), float(high)],
        "mean": float(figures.mean())}
