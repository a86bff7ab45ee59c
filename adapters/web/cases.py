"""`/api/cases`: every case, one case in full, its documents and picture, and what can be ordered for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from adapters.web.entity_tags import matches
from adapters.web.paging import DEFAULT_LIMIT, CaseId, Cursor, Limit
from adapters.web.picture import png_of
from adapters.web.principal import Asker
from adapters.web.problems import Refusal, not_found, problems_of
from adapters.web.schemas import CaseDetailForm, CaseForm, CasePage, Ordered, PriorityChange
from gateway.delivery import MEDIA_TYPES, Kind
from gateway.errors import Unusable
from gateway.ports import CaseDetail, Commands, Queries, StoredDocument

log = structlog.get_logger()
SUFFIXES = {"application/dicom": "dcm", "application/hl7-v2": "hl7", "application/fhir+json": "fhir.json",
            "application/json": "json", "application/octet-stream": "bin"}


def router(queries: Queries, commands: Commands) -> APIRouter:
    routes = APIRouter(prefix="/api/cases", tags=["cases"])
    _add_reads(routes, queries)
    _add_orders(routes, queries, commands)
    return routes


def existing(queries: Queries, case_id: str) -> CaseDetail:
    """Raises Refusal 404."""
    detail = queries.case(case_id)
    if detail is None:
        raise not_found("case")
    return detail


def existing_now(queries: Queries, case_id: str) -> CaseDetail:
    """As `existing`; a case that stood for a study being received gives its place, and so its id, to a reader's."""
    return queries.case(case_id) or existing(queries, queries.successor(case_id))


@contextmanager
def as_conflict() -> Iterator[None]:
    """A command that the thing's state does not allow is a conflict (409), not a bad request."""
    try:
        yield
    except Unusable as error:
        raise Refusal(409, error.reason) from error


def _add_reads(routes: APIRouter, queries: Queries) -> None:
    @routes.get("", response_model=CasePage, summary="List cases", responses=problems_of(422))
    def cases(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> CasePage:
        """All cases of the studies on this page of the worklist; `limit` and `total` count studies."""
        page = queries.worklist(limit, cursor)
        items = [CaseForm.of(view) for view in page.items]
        others = [CaseForm.of(detail.case) for item in items for case_id in item.cases if case_id != item.case_id
                  if (detail := queries.case(case_id)) is not None]
        order = {case_id: place for place, case_id in enumerate(c for item in items for c in item.cases)}
        return CasePage(items=sorted(items + others, key=lambda c: order.get(c.case_id, 0)),
                        total=page.total, next=page.next)

    @routes.get("/{case_id}", response_model=CaseDetailForm, summary="Read a case", responses=problems_of(404, 422))
    def case(case_id: CaseId) -> CaseDetailForm:
        """One case with its full result, order, versions, deliveries and documents. The id that a study had in the
        list while it was being received goes on leading to the study's case: `case_id` is then that case's own."""
        return CaseDetailForm.of_detail(existing_now(queries, case_id))

    @routes.get("/{case_id}/documents/{kind}", response_class=Response, summary="Download a document",
                responses=problems_of(404, 422) | {200: {"description": "The bytes sent.", "content": {
                    media_type: {"schema": {} if "json" in media_type else {"type": "string", "format": "binary"}}
                    for media_type in sorted(SUFFIXES)}}})
    def document(case_id: CaseId, kind: Kind) -> Response:
        """The bytes sent, as they were sent."""
        media_type = MEDIA_TYPES[kind]
        name = f"{case_id}-{kind}.{SUFFIXES[media_type]}"
        return Response(_document(queries, case_id, kind).content, media_type=media_type,
                        headers={"Content-Disposition": f'attachment; filename="{name}"'})

    @routes.get("/{case_id}/picture.png", response_class=Response, summary="Show a case's picture",
                responses=problems_of(404, 422) | {200: {"description": "The picture that was sent.", "content": {
                    "image/png": {"schema": {"type": "string", "format": "binary"}}}},
                    304: {"description": "The picture is still that of the ETag that was sent."}})
    def picture(case_id: CaseId, request: Request) -> Response:
        """The secondary capture as PNG. Its tag is the run: the same run has the same picture."""
        found = _document(queries, case_id, Kind.SC)
        headers = {"ETag": f'"{found.run_id}"', "Cache-Control": "private, no-cache"}
        if matches(request.headers.get("if-none-match", ""), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(png_of(found.content), media_type="image/png", headers=headers)


def _document(queries: Queries, case_id: str, kind: Kind) -> StoredDocument:
    found = queries.document(case_id, kind)
    if found is None:
        raise not_found("document of this kind for this case")
    return found


def _add_orders(routes: APIRouter, queries: Queries, commands: Commands) -> None:
    def obey(event: str, case_id: str, by: str, action: Callable[[str], str | None]) -> Ordered:
        existing(queries, case_id)
        with as_conflict():
            run_id = action(case_id)
        log.info(event, case_id=case_id, by=by)
        return Ordered(case_id=case_id, run_id=run_id or "")

    refusals = problems_of(404, 409, 422)

    @routes.post("/{case_id}/cancel", response_model=Ordered, summary="Cancel a case", responses=refusals)
    def cancel(case_id: CaseId, asker: Asker) -> Ordered:
        """Stop waiting for or reading this case."""
        return obey("case_cancel_ordered", case_id, asker.name, commands.cancel)

    @routes.post("/{case_id}/replay", response_model=Ordered, summary="Replay a case", responses=refusals)
    def replay(case_id: CaseId, asker: Asker) -> Ordered:
        """The same version again: a failed or cancelled case is read again, a reported one delivered again."""
        return obey("case_replay_ordered", case_id, asker.name, commands.replay)

    @routes.post("/{case_id}/rerun", response_model=Ordered, summary="Read a case anew", responses=refusals)
    def rerun(case_id: CaseId, asker: Asker) -> Ordered:
        """Plan the study with the models and rules of now; the new run supersedes. Nothing newer is refused (409)."""
        return obey("case_rerun_ordered", case_id, asker.name, commands.rerun)

    @routes.post("/{case_id}/read", response_model=Ordered, summary="Mark a case as read", responses=refusals)
    def read(case_id: CaseId, asker: Asker) -> Ordered:
        """A person has opened this case to the end."""
        return obey("case_marked_read", case_id, asker.name, commands.mark_read)

    @routes.post("/{case_id}/unread", response_model=Ordered, summary="Mark a case as unread", responses=refusals)
    def unread(case_id: CaseId, asker: Asker) -> Ordered:
        """Nobody has read this case after all."""
        return obey("case_marked_unread", case_id, asker.name, commands.mark_unread)

    @routes.put("/{case_id}/priority", response_model=Ordered, summary="Change a case's priority", responses=refusals)
    def priority(case_id: CaseId, change: PriorityChange, asker: Asker) -> Ordered:
        """Read this case sooner or later."""
        return obey("case_priority_ordered", case_id, asker.name,
                    lambda same: commands.set_priority(same, change.priority))
