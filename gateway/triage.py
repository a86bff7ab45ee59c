"""Where in the worklist? A pure function of what is known of a case, the policy and the clock.

The order, from the top:

1. unread pathologies, and whatever a person must look at that is overdue;
2. what needs a person: failed, unsupported, undetermined, a normal verdict that cannot be relied on, and what is
   overdue without having been read by a model;
3. what is not read by a model yet;
4. normals;
5. what was cancelled; 6. what a person has read.

Within each, the heavier first. Weight is the risk (never less than the assumed one where the reader could not tell),
plus a boost for the order's priority, plus a step each time the waiting time passes 1, 2, 4 and 8 times the budget of
its priority, plus a little where a normal verdict was a narrow one, less a little where a demonstration model spoke.
Equal weights go by the time when they are due, then by case id: the order is total, and stable.

Everything that makes a case sicker, more urgent or older can only raise it: tests/unit/test_triage.py says so with
properties. Sort keys are stored values, computed when something changes; `Place.rises_at` says when waiting alone will
change it next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from gateway.case import CaseState, Completeness
from gateway.result import Verdict
from gateway.settings import TriageSettings
from gateway.study import Priority

STEPS = (1, 2, 4, 8)
"""Multiples of the time budget at which a waiting case rises."""
_NARROW = 0.9
"""A finding that came this near to its threshold (as a share of it) makes a normal verdict a narrow one."""


class Band(IntEnum):
    """Smaller is higher in the list."""

    PATHOLOGY = 0
    NEEDS_A_PERSON = 1
    NOT_ANALYSED = 2
    NORMAL = 3
    CANCELLED = 4
    READ = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a case. `late`: objects came after the result that is shown; `failed`: their reading failed.

    `conflict`: an object of the study came twice with different content. `narrow`: see `is_narrow`.
    """

    state: CaseState
    verdict: Verdict | None
    risk: float | None
    priority: Priority
    received_at: datetime
    read: bool = False
    late: bool = False
    failed: bool = False
    completeness: Completeness | None = None
    conflict: bool = False
    demonstration: bool = False
    narrow: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Ascending order is the worklist's order. `weight`: smaller is more urgent within the band.

    `rises_at`: when waiting changes this place next; None where it never does.
    """

    band: int
    weight: float
    due_at: datetime
    rises_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Reason:
    """One answer to "why here?": a code that every language has words for, and what stands in them."""

    code: str
    values: Mapping[str, str | float | int]


def is_narrow(findings: Sequence[Mapping[str, Any]]) -> bool:
    """Whether some absent finding ({probability, threshold, present} each) came within a tenth of its threshold."""
    return any(not f["present"] and f["threshold"] > 0 and f["probability"] >= _NARROW * f["threshold"]
               for f in findings)


def budget(priority: Priority, policy: TriageSettings) -> timedelta:
    """Time in which a person should have looked, counted from the first object."""
    return timedelta(minutes=getattr(policy.budget_minutes, priority.value))


def steps_passed(case: Standing, now: datetime, policy: TriageSettings) -> int:
    """How many of `STEPS` the waiting time has passed."""
    waited, allowed = now - case.received_at, budget(case.priority, policy)
    return sum(waited >= allowed * step for step in STEPS)


def place(case: Standing, now: datetime, policy: TriageSettings) -> Place:
    """The stored sort key of a case."""
    steps = steps_passed(case, now, policy)
    band = _band(case, steps)
    allowed = budget(case.priority, policy)
    over = band in (Band.CANCELLED, Band.READ)
    rises = None if over or steps == len(STEPS) else case.received_at + allowed * STEPS[steps]
    return Place(int(band), round(-_weight(case, 0 if over else steps, policy), 6), case.received_at + allowed, rises)


def explain(case: Standing, now: datetime, policy: TriageSettings) -> tuple[Reason, ...]:
    """Why the case stands where it does, the weightiest first. Codes: `band.*`, `risk`, `assumed`, `priority`,
    `overdue`, `in_time`, `narrow`, `demonstration`; each has words in every language of the site.

    Waiting is told as the time since when, so that the reasons stay the same until the place changes.
    """
    steps = steps_passed(case, now, policy)
    band = _band(case, steps)
    told = [Reason(f"band.{_why_band(case, band, steps)}", {})]
    if band in (Band.CANCELLED, Band.READ):
        return tuple(told)
    told.append(_risk_reason(case, policy))
    boost = getattr(policy.boost, case.priority.value)
    if boost:
        told.append(Reason("priority", {"priority": case.priority.value, "boost": boost}))
    told.append(Reason("overdue" if steps else "in_time", {
        "since": case.received_at.isoformat(), "budget": budget(case.priority, policy).total_seconds(),
        "boost": round(steps * policy.overdue_step, 6)}))
    if _narrow_normal(case):
        told.append(Reason("narrow", {"boost": policy.narrow_boost}))
    if case.demonstration and policy.demonstration_penalty:
        told.append(Reason("demonstration", {"penalty": policy.demonstration_penalty}))
    return tuple(told)


def _risk_reason(case: Standing, policy: TriageSettings) -> Reason:
    risk = _risk(case, policy)
    known = case.risk is not None and case.verdict is not None and risk == case.risk
    return Reason("risk" if known else "assumed", {"risk": risk})


def _weight(case: Standing, steps: int, policy: TriageSettings) -> float:
    boost: float = getattr(policy.boost, case.priority.value)
    narrow = policy.narrow_boost if _narrow_normal(case) else 0.0
    penalty = policy.demonstration_penalty if case.demonstration else 0.0
    return _risk(case, policy) + boost + steps * policy.overdue_step + narrow - penalty


def _risk(case: Standing, policy: TriageSettings) -> float:
    """What no reader could tell is not harmless: it counts as the assumed risk at least."""
    told = case.risk or 0.0
    return told if _told(case) else max(told, policy.assumed_risk)


def _told(case: Standing) -> bool:
    return case.state is CaseState.REPORTED and case.verdict in (Verdict.NORMAL, Verdict.PATHOLOGY)


def _narrow_normal(case: Standing) -> bool:
    return case.narrow and case.verdict is Verdict.NORMAL


def _band(case: Standing, steps: int) -> Band:
    """Nothing that was not analysed to the end, or not relied on, ever lands among the normals."""
    if case.state is CaseState.CANCELLED:
        return Band.CANCELLED
    if _settled_by_a_person(case):
        return Band.READ
    waiting_for = _unread_band(case)
    if waiting_for is Band.NORMAL or not steps:
        return waiting_for
    return Band(max(Band.PATHOLOGY, waiting_for - min(steps, 2)))


def _settled_by_a_person(case: Standing) -> bool:
    if case.state in (CaseState.FAILED, CaseState.UNSUPPORTED):
        return case.read
    return case.read and not case.late and case.state is CaseState.REPORTED and case.verdict is not None


def _unread_band(case: Standing) -> Band:
    """Without regard to waiting. A pathology stays one while it is read again."""
    if case.verdict is Verdict.PATHOLOGY and case.state is not CaseState.UNSUPPORTED:
        return Band.PATHOLOGY
    if case.state in (CaseState.FAILED, CaseState.UNSUPPORTED):
        return Band.NEEDS_A_PERSON
    if case.state is not CaseState.REPORTED or case.verdict is None:
        return Band.NOT_ANALYSED
    if case.late and case.verdict is Verdict.NORMAL:
        return Band.NEEDS_A_PERSON if case.failed else Band.NOT_ANALYSED
    if case.verdict is Verdict.NORMAL:
        unreliable = case.conflict or case.completeness is Completeness.PARTIAL
        return Band.NEEDS_A_PERSON if unreliable else Band.NORMAL
    return Band.NEEDS_A_PERSON


def _why_band(case: Standing, band: Band, steps: int) -> str:
    """Which sentence says why the case is in its band."""
    if band is Band.PATHOLOGY and case.verdict is not Verdict.PATHOLOGY:
        return "risen"
    if band is Band.NEEDS_A_PERSON and steps and _unread_band(case) is Band.NOT_ANALYSED:
        return "not_analysed_overdue"
    return band.name.lower()
