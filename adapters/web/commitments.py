"""`/api/commitments`: storage commitment that peers ask of the gateway, and that it asks of destinations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from adapters.web.problems import problems_of

Shown = Callable[[int], Sequence[Mapping[str, Any]]]
"""How many at most → the newest commitments."""


class CommitmentForm(BaseModel):
    """`in`: `peer` (an AE title) asks and is told; `out`: `peer` (a destination) is asked and tells.

    `objects`: how many are named, `failed`: how many of them are not committed to.
    """

    direction: Literal["in", "out"]
    peer: str
    state: Literal["asked", "verified", "reported", "given_up", "committed", "failed"]
    transaction_uid: str
    objects: int
    failed: int
    attempts: int
    last_error: str
    asked_at: datetime
    answered_at: datetime | None
    next_attempt_at: datetime | None


class CommitmentList(BaseModel):
    items: list[CommitmentForm]


def router(shown: Shown) -> APIRouter:
    routes = APIRouter(prefix="/api/commitments", tags=["deliveries"])

    @routes.get("", response_model=CommitmentList, summary="List storage commitments", responses=problems_of(422))
    def commitments(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> CommitmentList:
        """The newest first. A report that could not be brought to its peer is `given_up`, with the reason."""
        return CommitmentList(items=[CommitmentForm(**one) for one in shown(limit)])

    return routes
