"""Everything that `triage-gateway validate` writes of a scored set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.validation import plots, predictions
from pipelines.validation.operating import OperatingPoint
from pipelines.validation.page import page
from pipelines.validation.records import Scored
from pipelines.validation.report import DRAWS, finite, report
from pipelines.validation.site import as_settings, operating_point


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to write where; None: not. `thresholds` goes with `point`."""

    json_out: Path
    predictions: Path | None = None
    page: Path | None = None
    plots: Path | None = None
    point: OperatingPoint | None = None
    thresholds: Path | None = None


def write(scored: Scored, wanted: Wanted, *, title: str, data: str, made_at: datetime,
          draws: int = DRAWS) -> dict[str, Any]:
    """The report, after it and the rest have been written."""
    told = report(scored, draws=draws)
    if wanted.point is not None:
        chosen = operating_point(scored, wanted.point)
        told["operating_point"] = finite(chosen)
        if wanted.thresholds is not None:
            _put(wanted.thresholds, as_settings(scored, chosen))
    _put(wanted.json_out, json.dumps(told, indent=2, allow_nan=False))
    if wanted.predictions is not None:
        wanted.predictions.parent.mkdir(parents=True, exist_ok=True)
        predictions.write(wanted.predictions, scored)
    if wanted.page is not None:
        _put(wanted.page, page(told, title=title, data=data, made_at=made_at))
    if wanted.plots is not None:
        plots.save(told, wanted.plots)
    return told


def _put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
