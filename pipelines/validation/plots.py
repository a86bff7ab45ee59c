"""ROC and reliability curves of a report as pictures, a small panel for each label."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Report = Mapping[str, Any]
_INK, _LINE, _GREY, _MARK = "#1b2a33", "#0b6e99", "#9aa5ab", "#c2410c"
_ACROSS = 6
_STYLE: Any = {"font.size": 7, "font.family": "DejaVu Sans", "axes.linewidth": 0.6, "axes.edgecolor": _GREY,
          "xtick.color": _INK, "ytick.color": _INK, "text.color": _INK, "axes.labelcolor": _INK,
          "xtick.major.width": 0.5, "ytick.major.width": 0.5, "xtick.major.size": 2, "ytick.major.size": 2,
          "svg.hashsalt": "triage-gateway", "xtick.labelsize": 6, "ytick.labelsize": 6}
Draw = Callable[[Any, str, Mapping[str, Any]], None]


def save(report: Report, folder: Path) -> list[Path]:
    """`roc.png` and `reliability.png` in `folder`, for the labels that have such a curve; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in ("roc", "reliability"):
        content = picture(report, name, "png")
        if content:
            (folder / f"{name}.png").write_bytes(content)
            written.append(folder / f"{name}.png")
    return written


def picture(report: Report, name: str, form: str) -> bytes:
    """The panels of `roc` or `reliability` as `png` or `svg`; empty where no label has such a curve. The same report
    gives the same bytes."""
    labels = [(label, told) for label, told in _every(report) if told.get(name)]
    if not labels:
        return b""
    return _drawn(labels, _roc if name == "roc" else _reliability, form)


def _every(report: Report) -> list[tuple[str, Mapping[str, Any]]]:
    """Labels in their order, then what stands apart of them."""
    apart = [(key, told) for key, told in report.items() if isinstance(told, Mapping) and "auc_ci95" in told]
    return [*report["labels"].items(), *apart]


def _drawn(labels: Sequence[tuple[str, Mapping[str, Any]]], draw: Draw, form: str) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    across = min(_ACROSS, len(labels))
    down = -(-len(labels) // across)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(1.25 * across + 0.1, 1.5 * down), layout="constrained")
        panels = figure.subplots(down, across, squeeze=False)
        for panel, (label, told) in zip(panels.flat, labels, strict=False):
            _frame(panel)
            draw(panel, label, told)
        for panel in panels.flat[len(labels):]:
            panel.set_visible(False)
        out = io.BytesIO()
        dates = {"Date": None} if form == "svg" else {"Software": None}
        figure.savefig(out, format=form, dpi=200, metadata=dates)
    return out.getvalue()


def _frame(panel: Any) -> None:
    panel.plot([0, 1], [0, 1], color=_GREY, linewidth=0.5, linestyle=(0, (3, 3)))
    panel.set_xlim(-0.02, 1.02)
    panel.set_ylim(-0.02, 1.02)
    panel.set_aspect("equal")
    panel.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    panel.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
    panel.spines[["top", "right"]].set_visible(False)


def _roc(panel: Any, label: str, told: Mapping[str, Any]) -> None:
    panel.plot(*zip(*told["roc"], strict=True), color=_LINE, linewidth=1.1)
    if told["specificity"] is not None and told["sensitivity"] is not None:
        panel.plot([1 - told["specificity"]], [told["sensitivity"]], "o", color=_MARK, markersize=3)
    low, high = told["auc_ci95"]
    told_interval = "" if low is None else f"{low:.3f}–{high:.3f}"
    panel.set_title(f"{label}  {told['auc']:.3f}\n{told_interval}", fontsize=6.5, linespacing=1.3)


def _reliability(panel: Any, label: str, told: Mapping[str, Any]) -> None:
    bins = told["reliability"]
    panel.plot([b["told"] for b in bins], [b["found"] for b in bins], color=_LINE, linewidth=0.7)
    largest = max(b["n"] for b in bins)
    panel.scatter([b["told"] for b in bins], [b["found"] for b in bins],
                  s=[3 + 22 * b["n"] / largest for b in bins], color=_LINE, linewidths=0)
    panel.set_title(f"{label}\nECE {told['calibration_error']:.3f}", fontsize=6.5, linespacing=1.3)
