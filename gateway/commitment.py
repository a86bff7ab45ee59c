"""Storage commitment (PS3.4 Annex J): what is promised to whom, and what peers promise us. Types and pure decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any

MOST_REFERENCES = 50_000
"""Of one request; a whole day of a scanner has fewer."""
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(hours=24)


class Reason(IntEnum):
    """Failure Reason (0008,1197), PS3.3 C.14.1.1."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    CLASS_NOT_SUPPORTED = 0x0122
    DUPLICATE_TRANSACTION = 0x0131
    RESOURCE_LIMITATION = 0x0213


@dataclass(frozen=True, slots=True)
class Reference:
    """One entry of a Referenced SOP Sequence."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Request:
    """An N-ACTION: `peer` asks for a commitment to all of `references` (each once, never none)."""

    transaction_uid: str
    peer: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """A reference that is not committed to, with its Failure Reason."""

    reference: Reference
    reason: int


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a request: event type 1 when nothing failed, else 2 (PS3.4 J.3.3)."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[Failed, ...] = ()

    @property
    def event_type(self) -> int:
        return 2 if self.failed else 1


@dataclass(frozen=True, slots=True)
class Copy:
    """A stored object of a SOP Instance UID: its class, and whether its file is there and is what was received."""

    sop_class_uid: str
    intact: bool


def judge(request: Request, stored: Mapping[str, Sequence[Copy]]) -> Report:
    """Commit to what is held intact under the same SOP class. `stored`: copies by SOP Instance UID.

    There are several copies where the same UID came with other content: all of them have to be intact.
    """
    committed: list[Reference] = []
    failed: list[Failed] = []
    for reference in request.references:
        reason = _objection(reference, stored.get(reference.sop_instance_uid, ()))
        if reason is None:
            committed.append(reference)
        else:
            failed.append(Failed(reference, reason))
    return Report(request.transaction_uid, tuple(committed), tuple(failed))


def _objection(reference: Reference, copies: Sequence[Copy]) -> Reason | None:
    if not copies:
        return Reason.NO_SUCH_OBJECT
    of_class = [copy for copy in copies if copy.sop_class_uid == reference.sop_class_uid]
    if not of_class:
        return Reason.CLASS_INSTANCE_CONFLICT
    return None if all(copy.intact for copy in of_class) else Reason.PROCESSING_FAILURE


def lacks(report: Report) -> bool:
    """Whether an object is named that is not known: it may have been acknowledged a moment ago and be indexed soon."""
    return any(failed.reason == Reason.NO_SUCH_OBJECT for failed in report.failed)


def report_again(attempts: int, asked_at: datetime, now: datetime) -> timedelta | None:
    """After the `attempts`-th report (≥ 1) that did not arrive: doubling from 5 s to an hour; None once it is given up,
    a day after it was asked for."""
    if now - asked_at >= GIVE_UP_AFTER:
        return None
    return min(FIRST_RETRY * 2.0 ** min(attempts - 1, 20), LONGEST_RETRY)


# ---------------------------------------------------------------- what peers promise us


class Promise(StrEnum):
    """What a destination has said of a delivered object."""

    ASKED = "asked"
    COMMITTED = "committed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of ours for one delivered object, and what came of it. Times are aware UTC."""

    transaction_uid: str
    asked_at: datetime
    promise: Promise = Promise.ASKED
    answered_at: datetime | None = None
    reason: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """The peer has not said anything yet, and still may."""

    left: timedelta


class Verdict(StrEnum):
    """What a delivery becomes once there is no more waiting."""

    PROVEN = "proven"
    UNPROVEN = "unproven"
    SEND_AGAIN = "send again"
    REFUSED = "refused"


_FOR_GOOD = (Reason.CLASS_INSTANCE_CONFLICT, Reason.CLASS_NOT_SUPPORTED)


def weigh(asked: Asked, now: datetime, timeout: timedelta) -> Wait | Verdict:
    """Committed → proven; failed → sent again unless the reason cannot go away; no answer in `timeout` → unproven."""
    match asked.promise:
        case Promise.COMMITTED:
            return Verdict.PROVEN
        case Promise.FAILED:
            return Verdict.REFUSED if asked.reason in _FOR_GOOD else Verdict.SEND_AGAIN
        case Promise.ASKED:
            left = asked.asked_at + timeout - now
            return Wait(left) if left > timedelta() else Verdict.UNPROVEN


def answer_about(report: Report, reference: Reference) -> tuple[Promise, int] | None:
    """(promise, failure reason) that a report gives on one object; None where it does not name it.

    An object that is named in both lists, or under another SOP class, is not committed to.
    """
    for failed in report.failed:
        if failed.reference.sop_instance_uid == reference.sop_instance_uid:
            return Promise.FAILED, failed.reason
    named = [one for one in report.committed if one.sop_instance_uid == reference.sop_instance_uid]
    if not named:
        return None
    return (Promise.COMMITTED, 0) if reference in named else (Promise.FAILED, Reason.CLASS_INSTANCE_CONFLICT)


def proof(asked: Asked, sop_instance_uid: str) -> dict[str, Any]:
    """The receipt of an object that a peer has committed to."""
    facts: dict[str, Any] = {"sop_instance_uid": sop_instance_uid, "transaction_uid": asked.transaction_uid}
    if asked.promise is Promise.COMMITTED and asked.answered_at is not None:
        facts["committed_at"] = asked.answered_at.isoformat()
    return facts
