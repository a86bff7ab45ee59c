"""Where what was measured and what the network says are not the same: what is made of it, and how it is told. Pure.

The limits lie beyond those of the definitions (60 and 100 a minute, 200 ms, -30 and 90 degrees, 120 ms), so that a
difference within what measuring errs is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.result import Finding, Problem
from pipelines.ecg.delineation import Delineation


@dataclass(frozen=True, slots=True)
class _Rule:
    """`says_no`, `says_yes`: inclusive ranges of the measurement (low, high) that exclude the syndrome, and that make
    it."""

    measured: str
    unit: str
    says_no: tuple[float, float]
    says_yes: tuple[float, float] | None = None


_RULES: Mapping[str, _Rule] = {
    "SBRAD": _Rule("heart rate", "/min", (66, 999), (0, 49)),
    "STACH": _Rule("heart rate", "/min", (0, 94), (111, 999)),
    "1AVB": _Rule("PR interval", " ms", (0, 184), (226, 999)),
    "LAD": _Rule("QRS axis", "\u00b0", (0, 180), (-90, -40)),
    "RAD": _Rule("QRS axis", "\u00b0", (-60, 70), (110, 180)),
    "CLBBB": _Rule("QRS duration", " ms", (0, 104)),
    "CRBBB": _Rule("QRS duration", " ms", (0, 98)),
}
_SINUS = frozenset({"SBRAD", "STACH", "1AVB"})
"""What is told of sinus rhythm alone: with fibrillation a rate or a PR makes none of them."""
_LOOKS_LIKE_SINUS = 0.7
"""Steadiness of what precedes the QRS, from which on a rate is that of the sinus node."""


USUAL: Mapping[str, tuple[str, float]] = {
    "QTc interval": (" ms", 470), "QRS duration": (" ms", 120), "angle between QRS and T axis": ("\u00b0", 100)}
"""Unit, and from where on it is not that of a normal ECG, whatever the network says (QTc after Fridericia): of the 956
normal ECGs of PTB-XL two have one of these, of 544 abnormal ones without any of the eleven 150."""
EXCLUDED = 0.3
"""What is left of a probability where the measurement excludes the syndrome. Not nothing: measuring errs too."""


def measured_of(waves: Delineation | None) -> dict[str, float]:
    """What syndromes are defined by, as far as it could be measured."""
    if waves is None:
        return {}
    values = {"heart rate": waves.heart_rate, "PR interval": waves.pr, "QRS axis": waves.qrs_axis,
              "QRS duration": waves.qrs}
    return {name: value for name, value in values.items() if value is not None}


def weighed(probabilities: Mapping[str, float], measured: Mapping[str, float]) -> dict[str, float]:
    """The network's probabilities by label, less where `measured` excludes the syndrome."""
    return {label: value * EXCLUDED if _excluded(label, measured) else value for label, value in probabilities.items()}


def _excluded(label: str, measured: Mapping[str, float]) -> bool:
    rule = _RULES.get(label)
    value = None if rule is None else measured.get(rule.measured)
    return rule is not None and value is not None and _within(round(value), rule.says_no)


def disagreements(findings: tuple[Finding, ...], waves: Delineation | None) -> tuple[Problem, ...]:
    """Findings that the measurement excludes, and measurements that make a syndrome which was not found."""
    if waves is None:
        return ()
    fibrillates = any(finding.label == "AFIB" and finding.present for finding in findings)
    told = (_of(finding, waves, fibrillates) for finding in findings if finding.label in _RULES)
    return tuple(problem for problem in told if problem is not None)


def unusual(waves: Delineation | None) -> tuple[Problem, ...]:
    """What was measured that no normal ECG has, beside the syndromes."""
    if waves is None:
        return ()
    turned = None if waves.qrs_axis is None or waves.t_axis is None else (
        abs((waves.qrs_axis - waves.t_axis + 180) % 360 - 180))
    values = zip(USUAL.items(), (waves.qtc_fridericia, waves.qrs, turned), strict=True)
    return tuple(Problem("measured-abnormal", f"Measured as no normal ECG has it: {name} {value:.0f}{unit}.")
                 for (name, (unit, limit)), value in values if value is not None and value >= limit)


def measured_abnormal(problems: tuple[Problem, ...]) -> bool:
    """Whether one of them says that something was measured which was not found, or which no normal ECG has."""
    return any(problem.code in ("measured-not-found", "measured-abnormal") for problem in problems)


def _of(finding: Finding, waves: Delineation, fibrillates: bool) -> Problem | None:
    rule = _RULES[finding.label]
    known = measured_of(waves).get(rule.measured)
    if known is None:
        return None
    value = round(known)
    what = f"{rule.measured} {value}{rule.unit}"
    if finding.present:
        if not _within(value, rule.says_no):
            return None
        return Problem("found-not-measured", f"Found but not measured: {finding.display}, {what}.")
    if rule.says_yes is None or not _within(value, rule.says_yes):
        return None
    if finding.label in _SINUS and (fibrillates or waves.before.steady < _LOOKS_LIKE_SINUS):
        return None
    return Problem("measured-not-found", f"Measured but not found: {finding.display}, {what}.")


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]
