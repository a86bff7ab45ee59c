"""Which pipeline reads a study, and where its results go: rules over DICOM attributes, order fields and the sender.

A rule's `when` maps a name to a condition; all must hold. Names: a DICOM keyword (holds when one series satisfies every
DICOM condition of the rule together), `order.FIELD` (an attribute of the order or an HL7 field, `order.OBR-4.1`),
`sender`. Conditions: a value (equal, case ignored for text; multi-valued attributes: any value), a list (any of them),
`/regular expression/`, a glob with `*` or `?`, a comparison (`">= 1.5"`, `"< 3"`, `"!= CT"`), `present`, `absent`, or a
mapping of these under `all:`, `any:`, `not:`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from gateway.settings import Route
from gateway.study import Order, Priority, Study, Tags

_COMPARISON = re.compile(r"^\s*(<=|>=|!=|==|<|>)\s*(.+?)\s*$")
_ORDERED = ("<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says of one study. `reason`: why it takes it or why not, one sentence."""

    route: Route
    taken: bool
    reason: str


def matches(value: Any, condition: Any) -> bool:
    """Whether an attribute's value (None when missing; a list when multi-valued) satisfies a condition."""
    if isinstance(condition, Mapping):
        return _matches_mapping(value, condition)
    if isinstance(condition, list | tuple):
        return any(matches(value, one) for one in condition)
    if condition in ("present", "absent"):
        return (value not in (None, "", [])) is (condition == "present")
    values = value if isinstance(value, list | tuple) else [value]
    comparison = _COMPARISON.match(condition) if isinstance(condition, str) else None
    if comparison and comparison[1] == "!=":
        return all(not _equal(one, comparison[2]) for one in values)
    return any(_matches_one(one, condition, comparison) for one in values if one is not None)


def _matches_mapping(value: Any, condition: Mapping[str, Any]) -> bool:
    checks = {
        "all": lambda wanted: all(matches(value, one) for one in wanted),
        "any": lambda wanted: any(matches(value, one) for one in wanted),
        "not": lambda wanted: not matches(value, wanted),
    }
    return all(checks[name](wanted) for name, wanted in condition.items())


def _matches_one(value: Any, condition: Any, comparison: re.Match[str] | None) -> bool:
    if comparison:
        return _compare(value, comparison[1], comparison[2])
    if isinstance(condition, str):
        if len(condition) > 2 and condition.startswith("/") and condition.endswith("/"):
            return re.search(condition[1:-1], str(value), re.IGNORECASE) is not None
        if "*" in condition or "?" in condition:
            return fnmatchcase(str(value).casefold(), condition.casefold())
    return _equal(value, condition)


def _equal(value: Any, wanted: Any) -> bool:
    left, right = _number(value), _number(wanted)
    if left is not None and right is not None:
        return left == right
    return str(value).strip().casefold() == str(wanted).strip().casefold()


def _compare(value: Any, sign: str, wanted: str) -> bool:
    left, right = _number(value), _number(wanted)
    if sign == "==":
        return _equal(value, wanted)
    if left is None or right is None:
        return False
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign]


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def check_condition(condition: Any) -> None:
    """Raise ValueError with a sentence when a condition cannot be understood (used when configuration is read)."""
    if isinstance(condition, Mapping):
        unknown = set(condition) - {"all", "any", "not"}
        if unknown or not condition:
            told = ", ".join(sorted(unknown)) or "none"
            raise ValueError(f"a mapping condition has the keys all, any, not; not {told}")
        for name, wanted in condition.items():
            for one in wanted if name != "not" else [wanted]:
                check_condition(one)
    elif isinstance(condition, list):
        for one in condition:
            check_condition(one)
    elif condition is None:
        raise ValueError("a condition may not be empty; write `absent` for a missing attribute")
    elif isinstance(condition, str):
        _check_text(condition)


def _check_text(condition: str) -> None:
    if len(condition) > 2 and condition.startswith("/") and condition.endswith("/"):
        try:
            re.compile(condition[1:-1])
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
    comparison = _COMPARISON.match(condition)
    if comparison and comparison[1] in _ORDERED and _number(comparison[2]) is None:
        raise ValueError(f"{comparison[1]} compares with a number, {comparison[2]!r} is none")


def _order_field(order: Order | None, name: str) -> Any:
    if order is None:
        return None
    if name in order.fields:
        return order.fields[name]
    known = getattr(order, name, None)
    return known.value if isinstance(known, Priority) else known


def judge(route: Route, study: Study, sender: str = "") -> Verdict:
    """Whether a rule takes a study, and why (not). Reasons name attribute and condition, never patient data."""
    dicom: dict[str, Any] = {}
    for name, condition in route.when.items():
        if name == "sender":
            if not matches(sender, condition):
                return Verdict(route, False, f"sender is not {condition!r}")
        elif name.startswith("order."):
            if not matches(_order_field(study.order, name[6:]), condition):
                why = "there is no order" if study.order is None else f"{name} is not {condition!r}"
                return Verdict(route, False, why)
        else:
            dicom[name] = condition
    return _judge_series(route, study, dicom)


def _judge_series(route: Route, study: Study, dicom: Mapping[str, Any]) -> Verdict:
    fewest: list[str] | None = None
    for number, series in enumerate(study.series, 1):
        missed = _missed(series.tags, dicom)
        if not missed:
            return Verdict(route, True, f"series {number} of {len(study.series)} satisfies every condition")
        if fewest is None or len(missed) < len(fewest):
            fewest = missed
    return Verdict(route, False, "; ".join(fewest or ["no series"]))


def _missed(tags: Tags, conditions: Mapping[str, Any]) -> list[str]:
    return [f"{keyword} {_shown(keyword, tags)}, the rule wants {condition!r}"
            for keyword, condition in conditions.items() if not matches(tags.get(keyword), condition)]


_PERSONAL = ("Patient", "Accession", "Physician", "Operators")


def _shown(keyword: str, tags: Tags) -> str:
    if keyword not in tags:
        return "is missing"
    if any(word in keyword for word in _PERSONAL):
        return "has another value"
    return f"is {tags[keyword]!r}"


def route_study(routes: Sequence[Route], study: Study, sender: str = "") -> tuple[list[Route], list[Verdict]]:
    """(the first matching rule of each pipeline, in configuration order; what every rule said)."""
    verdicts = [judge(route, study, sender) for route in routes]
    chosen: dict[str, Route] = {}
    for verdict in verdicts:
        if verdict.taken:
            chosen.setdefault(verdict.route.pipeline, verdict.route)
    return list(chosen.values()), verdicts


def extra_keywords(routes: Sequence[Route]) -> tuple[str, ...]:
    """DICOM keywords that rules ask for, so that the tag reader reads them too."""
    return tuple(sorted({name for route in routes for name in route.when
                         if name != "sender" and not name.startswith("order.")}))
