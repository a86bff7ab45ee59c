"""Implements gateway.feedback.FeedbackStore: one row for each time somebody said something."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapters.database.connection import writing
from adapters.database.tables import cases, feedback, runs
from gateway.errors import Unusable
from gateway.feedback import Feedback, GivenFeedback, Opinion
from gateway.result import Verdict


class FeedbackRows:
    """Rows are added and read, never changed."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, said: Feedback, now: datetime) -> GivenFeedback:
        with writing(self._engine) as connection:
            run_id = _run_looked_at(connection, said)
            written = connection.execute(sa.insert(feedback).values(
                case_id=said.case_id, run_id=run_id, given_by=said.given_by.strip(), comment=said.comment.strip(),
                verdict=said.verdict.value if said.verdict else "", given_at=now,
                findings={label: opinion.value for label, opinion in said.findings.items()}).returning(feedback))
            return _given(written.one())

    def of_case(self, case_id: str) -> tuple[GivenFeedback, ...]:
        return self._rows(sa.select(feedback).where(feedback.c.case_id == case_id).order_by(feedback.c.id.desc()))

    def all(self, after_id: int = 0, limit: int = 500) -> tuple[GivenFeedback, ...]:
        return self._rows(sa.select(feedback).where(feedback.c.id > after_id).order_by(feedback.c.id).limit(limit))

    def _rows(self, query: sa.Select[Any]) -> tuple[GivenFeedback, ...]:
        with self._engine.connect() as connection:
            return tuple(_given(row) for row in connection.execute(query))


def _run_looked_at(connection: sa.Connection, said: Feedback) -> str:
    """The run the feedback is about; Unusable where there is no such case, run or finding."""
    shown = connection.execute(sa.select(cases.c.run_id).where(cases.c.case_id == said.case_id)).first()
    if shown is None:
        raise Unusable("There is no such case.", element="case_id")
    run_id = said.run_id or shown.run_id
    read = connection.execute(sa.select(runs.c.result).where(
        runs.c.run_id == run_id, runs.c.case_id == said.case_id)).first()
    if read is None and said.run_id:
        raise Unusable("The case has no such version.", element="run_id")
    result = (read.result if read else None) or {}
    unknown = said.findings.keys() - {finding["label"] for finding in result.get("findings", ())}
    if unknown:
        raise Unusable("The result has no finding of that label.", element="findings")
    return str(run_id or "")


def _given(row: Any) -> GivenFeedback:
    findings = {label: Opinion(opinion) for label, opinion in row.findings.items()}
    verdict = Verdict(row.verdict) if row.verdict else None
    return GivenFeedback(row.id, Feedback(row.case_id, row.given_by, row.run_id, findings, verdict, row.comment),
                         row.given_at)
