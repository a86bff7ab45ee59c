"""`/api/worklist`: sickest first, one item per study, in the order the database keeps."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from adapters.web.schemas import CaseForm, CasePage
from gateway.ports import Queries

Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=500)]
DEFAULT_LIMIT = 100


def router(queries: Queries) -> APIRouter:
    routes = APIRouter(prefix="/api", tags=["worklist"])

    @routes.get("/worklist", response_model=CasePage)
    def worklist(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> CasePage:
        """One item per study, told by its most urgent current case. `next`: the cursor of the following page."""
        page = queries.worklist(limit, cursor)
        return CasePage(items=[CaseForm.of(view) for view in page.items], total=page.total, next=page.next)

    return routes
