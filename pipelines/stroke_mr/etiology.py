"""Etiology of an infarct, a demonstration: rules after textbook patterns, learned from no patient, validated on none.

No open data with etiology exist. What is told is how well a lesion fits three patterns, never a diagnosis; every number
of it is named a demonstration wherever it is shown.
"""

from __future__ import annotations

import math

from gateway.codes import Code
from gateway.result import Measurement
from pipelines.stroke_mr.measures import COUNT, Extent

KINDS = ("atherothrombotic", "cardioembolic", "cryptogenic")
_CODES = {"atherothrombotic": "STROKEETATH", "cardioembolic": "STROKEETCARD", "cryptogenic": "STROKEETCRYP"}


def etiology(extent: Extent) -> dict[str, float]:
    """Share of each pattern, together 1: several territories or both sides, the insula and large lesions speak for the
    heart; one territory with several pieces (border zones, artery to artery) for the arteries; a small single lesion
    for neither."""
    arteries = {name for (_, name), ml in extent.by_territory.items() if ml >= 0.5}
    scattered = len(arteries) > 1 or len(extent.sides) > 1
    size = math.log10(max(extent.volume, 0.1))
    weights = {
        "cardioembolic": 0.9 * scattered + 0.6 * bool(extent.insula) + 0.5 * max(size - 0.7, 0),
        "atherothrombotic": 0.7 * (not scattered) + 0.5 * (extent.spots >= 3 and not scattered) + 0.2 * (size > 0.3),
        "cryptogenic": 0.5 + 0.5 * (size < 0.5 and extent.spots <= 2),
    }
    total = sum(math.exp(weight) for weight in weights.values())
    return {kind: math.exp(weights[kind]) / total for kind in KINDS}


def measurements_of(extent: Extent) -> tuple[Measurement, ...]:
    told = etiology(extent)
    return tuple(Measurement(Code(_CODES[kind], "99TRIAGE", f"Etiology (demonstration): {kind} pattern"),
                             round(told[kind], 2), COUNT) for kind in KINDS)
