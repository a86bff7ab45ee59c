"""A site's thresholds: chosen for a wanted sensitivity or specificity, in the form that the configuration takes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.validation.operating import OperatingPoint
from pipelines.validation.proportions import Counts, wilson
from pipelines.validation.records import Numbers, Scored

FEW = 10
"""Positives below which a threshold for a sensitivity is a matter of luck."""


def operating_point(scored: Scored, point: OperatingPoint) -> dict[str, Any]:
    """`wanted`, and label → threshold with what it gives on these very records.

    `unset`: label → why no threshold could be chosen. `few`: labels whose threshold rests on less than ten positives.
    """
    labels: dict[str, Any] = {}
    unset: dict[str, str] = {}
    for label in scored.labels:
        truth, score = scored.column(label)
        said = ~(np.isnan(truth) | np.isnan(score))
        level = point.threshold(truth[said], score[said])
        if level is None:
            unset[label] = "no positives" if point.kind == "sens" else "no negatives"
        elif _model_of(scored, label) is None:
            unset[label] = "it has no threshold of its own"
        else:
            labels[label] = _told(truth[said], score[said], _rounded(level, point))
    return {"wanted": f"{point.kind}={point.share:g}", "labels": labels, "unset": unset,
            "few": [label for label, told in labels.items() if told["positives"] < FEW]}


def _rounded(level: float, point: OperatingPoint) -> float:
    """To six digits, towards the side that keeps what was wanted."""
    turn = math.floor if point.kind == "sens" else math.ceil
    return min(1.0, turn(level * 1e6) / 1e6)


def _told(truth: Numbers, score: Numbers, level: float) -> dict[str, Any]:
    counts = Counts.at(truth, score, level)
    positives, negatives = int((truth > 0.5).sum()), int((truth <= 0.5).sum())
    return {"threshold": level, "positives": positives, "negatives": negatives,
            "sensitivity": counts.sensitivity, "sensitivity_ci95": list(wilson(counts.true_positive, positives)),
            "specificity": counts.specificity, "specificity_ci95": list(wilson(counts.true_negative, negatives))}


def _model_of(scored: Scored, label: str) -> str | None:
    """The model among whose thresholds the label is."""
    for release in scored.models:
        if label in json.loads(release.parameters.get("thresholds", "{}")):
            return release.name
    return None


def as_settings(scored: Scored, chosen: Mapping[str, Any]) -> str:
    """YAML for the configuration's key `models`, with the file each threshold was chosen for."""
    lines = [f"# Thresholds of this site for {chosen['wanted']}, chosen by `triage-gateway validate {scored.pipeline}`",
             f"# on {len(scored.records)} records of its own. Goes into the configuration file as it stands."]
    if chosen["few"]:
        lines.append(f"# Chosen on less than {FEW} positives, so uncertain: {', '.join(chosen['few'])}.")
    lines += [f"# Left as it is: {label} ({why})." for label, why in chosen["unset"].items()]
    lines.append("models:" if chosen["labels"] else "models: {}")
    for release in scored.models:
        own = {label: told for label, told in chosen["labels"].items() if _model_of(scored, label) == release.name}
        if own:
            lines += [f"  {release.name}:", f'    sha256: "{release.sha256[:16]}"', "    thresholds:"]
            lines += [f"      {json.dumps(label)}: {told['threshold']:.6f}" for label, told in own.items()]
    return "\n".join(lines) + "\n"
