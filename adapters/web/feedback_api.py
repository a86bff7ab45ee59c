"""`/api/feedback` and `/api/cases/{case_id}/feedback`: what people said of results, given and exported as labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from adapters.web.cases import existing
from adapters.web.paging import CaseId, Limit
from adapters.web.principal import Asker
from adapters.web.problems import problems_of
from adapters.web.schemas import Time
from adapters.web.tables_out import csv_lines
from gateway.feedback import LONGEST_COMMENT, LONGEST_NAME, Feedback, FeedbackStore, GivenFeedback, Opinion
from gateway.ports import Queries
from gateway.result import Verdict

log = structlog.get_logger()
_PAGE = 500
_COLUMNS = ("feedback_id", "given_at", "given_by", "case_id", "run_id", "label", "opinion", "verdict", "comment")
Label = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]{1,64}$")]


class NewFeedback(BaseModel):
    """At least one of an opinion, a verdict (the one it should be) and a comment. `findings`: label → opinion."""

    model_config = ConfigDict(extra="forbid")

    findings: Annotated[dict[Label, Opinion], Field(max_length=200, examples=[{"AFIB": "agree"}])] = {}
    verdict: Verdict | None = None
    comment: Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=LONGEST_COMMENT, examples=["P waves in II."])] = ""
    given_by: Annotated[str, Field(pattern=r"^[^\x00-\x1f]*$", max_length=LONGEST_NAME, examples=["Dr Petrova"],
                                   description="Left out: the address that asks.")] = ""
    run_id: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{0,64}$", description="Left out: the version shown.")] = ""


class FeedbackForm(BaseModel):
    feedback_id: int
    case_id: str
    run_id: str
    given_by: str
    given_at: Time
    findings: dict[str, str]
    verdict: str | None
    comment: str

    @classmethod
    def of(cls, given: GivenFeedback) -> FeedbackForm:
        said = given.said
        return cls(feedback_id=given.feedback_id, case_id=said.case_id, run_id=said.run_id, given_by=said.given_by,
                   given_at=given.given_at, findings={k: v.value for k, v in said.findings.items()},
                   verdict=said.verdict.value if said.verdict else None, comment=said.comment)


class FeedbackList(BaseModel):
    items: list[FeedbackForm]


class FeedbackPage(FeedbackList):
    next: str | None


def router(store: FeedbackStore, queries: Queries) -> APIRouter:
    routes = APIRouter(prefix="/api", tags=["feedback"])

    @routes.post("/cases/{case_id}/feedback", response_model=FeedbackForm, status_code=201,
                 summary="Say what you think of a result", responses=problems_of(404, 422))
    def add(case_id: CaseId, told: NewFeedback, asker: Asker) -> FeedbackForm:
        """Kept as labels, beside what others said; nothing that was sent is changed."""
        existing(queries, case_id)
        said = Feedback(case_id, told.given_by or asker.name, told.run_id, told.findings, told.verdict, told.comment)
        given = store.add(said, datetime.now(UTC))
        log.info("feedback_given", case_id=case_id, feedback=given.feedback_id, by=asker.name)
        return FeedbackForm.of(given)

    @routes.get("/cases/{case_id}/feedback", response_model=FeedbackList, summary="List what was said of a case",
                responses=problems_of(404))
    def of_case(case_id: CaseId) -> FeedbackList:
        """The newest first; of every version of the case."""
        existing(queries, case_id)
        return FeedbackList(items=[FeedbackForm.of(given) for given in store.of_case(case_id)])

    @routes.get("/feedback", response_model=FeedbackPage, summary="List all feedback", responses=problems_of(422))
    def every(limit: Limit = 100, cursor: Annotated[str | None, Query(pattern="^[0-9]{1,15}$")] = None) -> FeedbackPage:
        """In the order in which it was given."""
        found = store.all(int(cursor or 0), limit + 1)
        items = [FeedbackForm.of(given) for given in found[:limit]]
        return FeedbackPage(items=items, next=str(items[-1].feedback_id) if len(found) > limit else None)

    @routes.get("/feedback/export", response_class=Response, summary="Export all feedback as labels",
                responses=problems_of(422) | {200: {"description": "One line for each label, or for each feedback.",
                                                    "content": {"text/csv": {}, "application/jsonl": {}}}})
    def export(format: Literal["csv", "jsonl"] = "csv") -> StreamingResponse:
        """CSV: one row for each finding that somebody spoke of. JSON lines: one object for each feedback."""
        lines = csv_lines(_COLUMNS, _rows(store)) if format == "csv" else _objects(store)
        return StreamingResponse(lines, media_type="text/csv" if format == "csv" else "application/jsonl", headers={
            "Content-Disposition": f'attachment; filename="feedback.{format}"'})

    return routes


def _all(store: FeedbackStore) -> Iterator[GivenFeedback]:
    after = 0
    while page := store.all(after, _PAGE):
        yield from page
        after = page[-1].feedback_id


def _rows(store: FeedbackStore) -> Iterator[list[object]]:
    for given in _all(store):
        said = given.said
        start: list[object] = [given.feedback_id, given.given_at.isoformat(), said.given_by, said.case_id, said.run_id]
        end: list[object] = [said.verdict.value if said.verdict else "", said.comment]
        opinions = said.findings.items() or [("", "")]
        yield from ([*start, label, str(opinion), *end] for label, opinion in opinions)


def _objects(store: FeedbackStore) -> Iterator[str]:
    for given in _all(store):
        yield json.dumps(FeedbackForm.of(given).model_dump(mode="json"), ensure_ascii=False) + "\n"


