"""Case, Run and their states: a case is stable for life, a run is one reading of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.completion import Missing
from gateway.phrases import phrase
from gateway.pipeline import Selection
from gateway.result import Result
from gateway.segmentation import Segmentation
from gateway.study import Study

_MOST_TOLD = 5
"""Lacks of a study that are told one by one."""


class CaseState(StrEnum):
    """What the worklist shows (docs: CONTRACT, `state`)."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    ANALYSING = "analysing"
    REPORTED = "reported"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    CANCELLED = "cancelled"


TRANSITIONS: dict[CaseState, frozenset[CaseState]] = {
    CaseState.RECEIVING: frozenset({CaseState.WAITING, CaseState.UNSUPPORTED, CaseState.CANCELLED, CaseState.FAILED}),
    CaseState.WAITING: frozenset({CaseState.ANALYSING, CaseState.RECEIVING, CaseState.CANCELLED, CaseState.FAILED,
                                  CaseState.REPORTED}),
    CaseState.ANALYSING: frozenset({CaseState.REPORTED, CaseState.FAILED, CaseState.CANCELLED, CaseState.WAITING,
                                    CaseState.RECEIVING}),
    CaseState.REPORTED: frozenset({CaseState.RECEIVING, CaseState.WAITING}),
    CaseState.FAILED: frozenset({CaseState.RECEIVING, CaseState.WAITING, CaseState.UNSUPPORTED}),
    CaseState.UNSUPPORTED: frozenset({CaseState.RECEIVING, CaseState.WAITING, CaseState.FAILED}),
    CaseState.CANCELLED: frozenset({CaseState.RECEIVING, CaseState.WAITING}),
}


class Completeness(StrEnum):
    """How sure we are that the study is whole: by evidence, known to lack something, or by silence alone."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Run:
    """One reading of a case. `run_id` is a hash (see gateway.identity.run_identity); times come from the run.

    `created_at`: aware UTC; the content date and time of every document of the run.
    `predecessor`: the run this one supersedes, with the SOP Instance UID of its SR, where there is one.
    """

    run_id: str
    case_id: str
    number: int
    created_at: datetime
    predecessor_run_id: str = ""
    predecessor_sr_uid: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """All that an encoder needs for one document: the run, the study as it stood, what was read, and the result."""

    run: Run
    study: Study
    selection: Selection
    result: Result
    facility: str
    timezone: str = "UTC"
    language: str = "en"
    completeness: Completeness = Completeness.ASSUMED
    procedure: tuple[str, str, str] | None = None
    """The pipeline's Procedure Reported (value, scheme, meaning); None: the encoder goes by the modality."""
    missing: tuple[Missing, ...] = ()
    segmentation: Segmentation | None = None
    """What was outlined, where the pipeline outlines anything."""

    @property
    def incomplete(self) -> str:
        """The sentence (without a full stop) that a study is incomplete, and what it lacks; "" where it is not."""
        if self.completeness is not Completeness.PARTIAL:
            return ""
        told = [one.told(self.language) for one in self.missing[:_MOST_TOLD]]
        more = ["…"] if len(self.missing) > _MOST_TOLD else []
        return ": ".join([phrase(self.language, "partial"), *(["; ".join(told + more)] if told else [])])
