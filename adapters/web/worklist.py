"""`/api/worklist`: sickest first, one item per study, filtered and counted, in the order the database keeps."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from fastapi.responses import Response

from adapters.web.problems import problems_of
from adapters.web.schemas import CasePage, FacetCounts, page_json
from adapters.web.worklist_filter import FacetQuery, ListQuery, SearchForm
from gateway.browsing import WorklistFilter
from gateway.ports import Queries

Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=500)]
DEFAULT_LIMIT = 100


def router(queries: Queries, zone: ZoneInfo) -> APIRouter:
    routes = APIRouter(prefix="/api/worklist", tags=["worklist"])

    def listed(asked: ListQuery, where: WorklistFilter) -> Response:
        return Response(page_json(queries.worklist(asked.limit, asked.cursor, where)), media_type="application/json")

    @routes.get("", response_model=CasePage, summary="List studies, the sickest first",
                responses=problems_of(422) | {304: {"description": "Nothing changed since the `ETag` that was sent."}})
    def worklist(asked: Annotated[ListQuery, Query()]) -> Response:
        """One item per study, told by its most urgent case that passes the filter. `next`: cursor of the next page."""
        return listed(asked, asked.where(zone))

    @routes.post("/search", response_model=CasePage, summary="Find studies by name, id or accession number",
                 responses=problems_of(422))
    def search(asked: SearchForm) -> Response:
        """The same list, narrowed by what no address may hold. Nothing is changed."""
        return listed(asked, asked.everything(zone))

    @routes.get("/facets", response_model=FacetCounts, summary="Count what a filter would find",
                responses=problems_of(422))
    def facets(asked: Annotated[FacetQuery, Query()]) -> FacetCounts:
        """Studies of the filtered list by value; each field counted without its own condition."""
        return FacetCounts(**{name: dict(found) for name, found in queries.facets(asked.where(zone)).items()})

    return routes
