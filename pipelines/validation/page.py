"""The report of a validation as one HTML page that stands alone: pictures inline, no scripts, fit to be printed."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.validation.plots import picture

_HERE = Path(__file__).parent
DASH = "–"


def page(report: Mapping[str, Any], *, title: str, data: str, made_at: datetime) -> str:
    """HTML of a report (`report.report`). `title`: the reader's; `data`: what it was scored on, for people."""
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"figure": figure, "interval": interval, "share": share}
    pictures = {name: _inline(picture(report, name, "svg")) for name in ("roc", "reliability")}
    labels = [*report["labels"].items(),
              *((key, told) for key, told in report.items() if isinstance(told, Mapping) and "auc_ci95" in told)]
    return environment.get_template("page.html").render(
        report=report, title=title, data=data, made_at=made_at, pictures=pictures, labels=labels,
        others=_plain(report), measures=_measures(report), chosen=report.get("operating_point"))


def figure(value: float | None, digits: int = 3) -> str:
    return DASH if value is None else f"{value:.{digits}f}"


def interval(limits: Sequence[float | None], digits: int = 3) -> str:
    low, high = limits
    return "" if low is None or high is None else f"{low:.{digits}f}{DASH}{high:.{digits}f}"


def share(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.1f} %"


def _inline(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}" if svg else ""


def _plain(report: Mapping[str, Any]) -> dict[str, str]:
    """Single figures that the reader tells besides."""
    known = {"pipeline", "records", "patients", "macro_auc", "intervals"}
    return {name.replace("_", " "): figure(value) if isinstance(value, float) else str(value)
            for name, value in report.items() if name not in known and isinstance(value, int | float | str)}


def _measures(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name.replace("_", " "): told for name, told in report.get("measures", {}).items() if "median" in told}
