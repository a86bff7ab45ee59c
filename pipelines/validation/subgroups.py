"""The same figures for parts of the records: age, sex, device, site, and whatever else the data tell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.validation.proportions import Counts, share
from pipelines.validation.ranking import auc
from pipelines.validation.records import Numbers, Scored

LEAST = 5
"""Positives, and negatives, from which on a label's AUC in a group is told."""
MOST_GROUPS = 8
"""The largest groups of an attribute are told; the others are one."""
UNKNOWN = "not told"


def subgroups(scored: Scored) -> dict[str, dict[str, Any]]:
    """Attribute → group → figures: number, AUC by label, and sensitivity and specificity over all labels together."""
    columns = {label: scored.column(label) for label in scored.labels}
    told: dict[str, dict[str, Any]] = {}
    for name in sorted({name for record in scored.records for name in record.attributes}):
        values = _merged(np.array([record.attributes.get(name, UNKNOWN) for record in scored.records], dtype=str))
        told[name] = {value: _figures(scored, columns, values == value) for value in _ordered(values)}
    return told


def _ordered(values: NDArray[np.str_]) -> list[str]:
    """By name, the youngest first, what is not told last."""
    return sorted(map(str, np.unique(values)), key=lambda value: (
        value in ("others", UNKNOWN), not value.startswith("under "), value))


def _merged(values: NDArray[np.str_]) -> NDArray[np.str_]:
    names, counts = np.unique(values, return_counts=True)
    small = names[np.argsort(-counts, kind="stable")][MOST_GROUPS:]
    return np.where(np.isin(values, small), "others", values) if small.size else values


def _figures(scored: Scored, columns: dict[str, tuple[Numbers, Numbers]], inside: NDArray[np.bool_]) -> dict[str, Any]:
    areas: dict[str, float] = {}
    total = np.zeros(4, int)
    for label, (truth, given) in columns.items():
        said = inside & ~(np.isnan(truth) | np.isnan(given))
        counts = Counts.at(truth[said], given[said], scored.thresholds[label])
        total += (counts.true_positive, counts.false_positive, counts.true_negative, counts.false_negative)
        if min(counts.true_positive + counts.false_negative, counts.true_negative + counts.false_positive) >= LEAST:
            areas[label] = auc(truth[said], given[said])
    chosen = [record for record, taken in zip(scored.records, inside, strict=True) if taken]
    together = Counts(*(int(number) for number in total))
    return {"n": len(chosen), "patients": len({record.group for record in chosen}), "auc": areas,
            "macro_auc": float(np.mean(list(areas.values()))) if areas else float("nan"),
            "sensitivity": together.sensitivity, "specificity": together.specificity,
            "undetermined_share": share(sum(r.verdict == "undetermined" for r in chosen), len(chosen))}
