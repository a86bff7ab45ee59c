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
    """What the reader tells besides: single figures, and small groups of them."""
    known = {"pipeline", "records", "patients", "macro_auc", "intervals", "labels", "models", "undetermined",
             "subgroups", "verdicts", "measures", "operating_point"}
    besides = {name: value for name, value in report.items() if name not in known}
    besides |= {name: value for name, value in report.get("measures", {}).items() if "median" not in value}
    told = {name.replace("_", " "): _in_words(value) for name, value in besides.items()}
    return {name: words for name, words in told.items() if words}


def _in_words(value: Any) -> str:
    """Empty where it is more than a figure, a sentence, or a few of these by name."""
    if isinstance(value, Mapping):
        parts = {str(name).replace("_", " "): _in_words(part) for name, part in value.items()
                 if not isinstance(part, Mapping)}
        return "" if "auc_ci95" in value else ", ".join(f"{name} {words}" for name, words in parts.items() if words)
    if isinstance(value, float):
        return figure(value)
    return str(value) if isinstance(value, int | str) else ""


def _measures(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name.replace("_", " "): told for name, told in report.get("measures", {}).items() if "median" in told}
