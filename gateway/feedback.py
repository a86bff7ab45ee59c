"""What physicians say of a result: labels for those who improve the readers. It never changes what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gateway.errors import Unusable
from gateway.result import Verdict

LONGEST_COMMENT = 4000
LONGEST_NAME = 100


class Opinion(StrEnum):
    """Of one finding."""

    AGREE = "agree"
    DISAGREE = "disagree"


@dataclass(frozen=True, slots=True)
class Feedback:
    """One person's word on one reading.

    `run_id`: the version that was looked at, "" for the one shown. `findings`: label → opinion. `verdict`: the one it
    should have been, None where nothing is said of it. Raises Unusable where nothing is said or a text is too long.
    """

    case_id: str
    given_by: str
    run_id: str = ""
    findings: Mapping[str, Opinion] = field(default_factory=dict, hash=False)
    verdict: Verdict | None = None
    comment: str = ""

    def __post_init__(self) -> None:
        if not self.findings and self.verdict is None and not self.comment.strip():
            raise Unusable("Nothing is said: agree or disagree with a finding, correct the verdict or write a comment.",
                           element="feedback")
        if len(self.comment) > LONGEST_COMMENT:
            raise Unusable(f"The comment is longer than {LONGEST_COMMENT} characters: shorten it.", element="comment")
        if not self.given_by.strip():
            raise Unusable("Feedback needs the name of who gives it.", element="given_by")
        if len(self.given_by) > LONGEST_NAME:
            raise Unusable(f"The name is longer than {LONGEST_NAME} characters: shorten it.", element="given_by")


@dataclass(frozen=True, slots=True)
class GivenFeedback:
    """Feedback as it is kept. `given_at`: aware UTC. `said.run_id` is never empty for a case that was read."""

    feedback_id: int
    said: Feedback
    given_at: datetime


class FeedbackStore(Protocol):
    """Port: append only; what two people say of one case are two rows."""

    def add(self, feedback: Feedback, now: datetime) -> GivenFeedback:
        """Raises Unusable where the case, the run or a label is not there."""
        ...

    def of_case(self, case_id: str) -> tuple[GivenFeedback, ...]:
        """Newest first; of every version of the case."""
        ...

    def all(self, after_id: int = 0, limit: int = 500) -> tuple[GivenFeedback, ...]:
        """In the order given, those with a greater id than `after_id`: a page of an export."""
        ...
