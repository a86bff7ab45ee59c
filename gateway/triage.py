"""Where in the worklist? Sort keys are values, computed when something changes and stored, not at each look.

Order: unread pathology by risk raised by the order's priority; then what needs a person; then what is not read by a
model yet; then normals; then what was cancelled; then what a person has read. Waiting time breaks ties: `due_at`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from gateway.case import CaseState
from gateway.result import Verdict
from gateway.study import Priority


class Band(IntEnum):
    """Smaller is higher in the list."""

    PATHOLOGY = 0
    NEEDS_A_PERSON = 1
    NOT_ANALYSED = 2
    NORMAL = 3
    CANCELLED = 4
    READ = 5


BOOST = {Priority.STAT: 0.5, Priority.URGENT: 0.25, Priority.ROUTINE: 0.0}
"""Added to the risk of a pathology: a STAT study with risk 0.4 goes before a routine one with 0.85."""

BUDGET = {Priority.STAT: timedelta(minutes=15), Priority.URGENT: timedelta(hours=1),
          Priority.ROUTINE: timedelta(hours=24)}
"""Time in which a person should have looked, counted from the first object."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Ascending order is the worklist's order. `weight`: smaller is more urgent within the band."""

    band: int
    weight: float
    due_at: datetime


def band_of(state: CaseState, verdict: Verdict | None, *, read: bool, late: bool = False, failed: bool = False) -> Band:
    """Nothing that was not analysed to the end ever lands among the normals.

    `late`: objects came after the result that is shown; `failed`: and their reading failed.
    """
    if state is CaseState.CANCELLED:
        return Band.CANCELLED
    if state in (CaseState.FAILED, CaseState.UNSUPPORTED):
        return Band.READ if read else Band.NEEDS_A_PERSON
    if state is not CaseState.REPORTED or verdict is None:
        return Band.NOT_ANALYSED
    if late and verdict is Verdict.NORMAL:
        return Band.NEEDS_A_PERSON if failed else Band.NOT_ANALYSED
    if read and not late:
        return Band.READ
    return {Verdict.PATHOLOGY: Band.PATHOLOGY, Verdict.NORMAL: Band.NORMAL,
            Verdict.UNDETERMINED: Band.NEEDS_A_PERSON}[verdict]


def place(state: CaseState, verdict: Verdict | None, risk: float | None, priority: Priority, received_at: datetime, *,
          read: bool = False, late: bool = False, failed: bool = False) -> Place:
    """The stored sort key of a case."""
    band = band_of(state, verdict, read=read, late=late, failed=failed)
    weight = -((risk or 0.0) + BOOST[priority])
    return Place(int(band), round(weight, 6), received_at + BUDGET[priority])
