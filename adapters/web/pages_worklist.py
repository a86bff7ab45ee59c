"""The worklist page: filtered, searched, paged, live. All of it works without scripts.

A filter stands in the address. A searched text is patient data: it comes in a form's body and stays there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from adapters.web.events import Changes
from adapters.web.filters import choices, counts, finding_names
from adapters.web.fragments import Fragment, Fragments, fragment
from adapters.web.health import not_ready
from adapters.web.principal import Asker
from adapters.web.rendering import Renderer, utc_now
from adapters.web.schemas import CaseForm
from adapters.web.worklist_filter import FilterForm, ListForm, PageQuery, ViewForm, address
from gateway.ports import Health, Queries
from gateway.views import SavedViews

PAGE_SIZE = 100
_TRAIL = 10
_FRAGMENT = "/fragments/worklist"
_UNREAD = {"read": ["false"]}
_MINUTES_GROW_SECONDS = 30
"""A kept list is made anew after so long without any change: waiting times stand in it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One page of the list to turn to: what its address or its form says besides the filter."""

    pairs: tuple[tuple[str, str], ...]
    address: str


@dataclass(frozen=True, slots=True)
class View:
    """A saved view to go to. `view_id` 0: one that is always there."""

    view_id: int
    name: str
    address: str
    current: bool


@dataclass(frozen=True, slots=True)
class WorklistPage:
    """Everything the templates of the list print, from one look at the rows."""

    queries: Queries
    health: Health
    views: SavedViews
    renderer: Renderer
    zone: ZoneInfo
    names: dict[str, str]
    """Display of each finding's label, as rows told it so far: there are a few dozen."""

    def values(self, asked: PageQuery, text: str) -> dict[str, Any]:
        where = asked.where(self.zone, text=text)
        page = self.queries.worklist(PAGE_SIZE, asked.cursor, where)
        facets = self.queries.facets(where)
        items = [CaseForm.of(view).model_dump() for view in page.items]
        self.names.update(finding_names(items))
        ready, parts = self.health.ready()
        first = (asked.page - 1) * PAGE_SIZE
        t = self.renderer.t
        return {
            "lines": [self.renderer.line(item) for item in items], "total": page.total, "first": first + 1,
            "last": first + len(items), "not_ready": "" if ready else not_ready(parts), "text": text, "asked": asked,
            "query": asked.query(), "choices": choices(asked, facets, self.names, t),
            "pressed": counts(asked, facets, t), "dead": self.queries.counts().get("deliveries.dead", 0),
            "list_address": address(_FRAGMENT, asked.query(), _place(asked)), "place": urlencode(_place(asked)),
            "next": _next(asked, page.next), "back": _back(asked), "filtered": bool(asked.query() or text),
            "to_first": Turn((), address("/", asked.query())) if asked.cursor else None}

    def html(self, asked: PageQuery, text: str, owner: str) -> HTMLResponse:
        """The whole page: the list's values, and what is one owner's."""
        as_of, values = utc_now().timestamp(), self.values(asked, text)
        views = [View(view.view_id, view.name, address("/", view.query), asked.query() == view.query)
                 for view in self.views.list(owner)]
        fixed = [View(0, self.renderer.t("views.all"), "/", not asked.query()),
                 View(0, self.renderer.t("views.unread"), address("/", _UNREAD), asked.query() == _UNREAD)]
        return self.renderer.html("worklist.html", views=[*fixed, *views], as_of=f"{as_of:.3f}", **values)


def _place(asked: PageQuery) -> tuple[tuple[str, str], ...]:
    if not asked.cursor:
        return ()
    return (("cursor", asked.cursor), *(("trail", cursor) for cursor in asked.trail), ("page", str(asked.page)))


def _turn(asked: PageQuery, cursor: str, trail: list[str], page: int) -> Turn:
    pairs = _place(PageQuery(cursor=cursor, trail=trail[-_TRAIL:], page=page))
    return Turn(pairs, address("/", asked.query(), pairs))


def _next(asked: PageQuery, cursor: str | None) -> Turn | None:
    if cursor is None:
        return None
    return _turn(asked, cursor, [*asked.trail, asked.cursor] if asked.cursor else [], asked.page + 1)


def _back(asked: PageQuery) -> Turn | None:
    """To the page before: by its cursor, or to the first page. None where the way back is not known any more."""
    if asked.trail:
        return _turn(asked, asked.trail[-1], asked.trail[:-1], asked.page - 1)
    return Turn((), address("/", asked.query())) if asked.page == 2 else None


def router(page: WorklistPage, changes: Changes) -> APIRouter:
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    _add_lists(routes, page)
    _add_fragments(routes, page, changes)
    _add_views(routes, page)
    return routes


def _add_lists(routes: APIRouter, page: WorklistPage) -> None:
    @routes.get("/")
    def worklist(asked: Annotated[PageQuery, Query()], asker: Asker) -> HTMLResponse:
        return page.html(asked, "", asker.name)

    @routes.post("/")
    def search(asked: Annotated[ListForm, Form()], asker: Asker) -> Response:
        """The form of the filter, without scripts: a filter alone gets an address of its own."""
        wanted = asked.pressed() if asked.only else asked
        if not wanted.text.strip():
            return RedirectResponse(address("/", wanted.query(), _place(wanted)), 303)
        return page.html(wanted, wanted.text, asker.name)


def _add_fragments(routes: APIRouter, page: WorklistPage, changes: Changes) -> None:
    kept = Fragments()

    def made(asked: PageQuery, text: str) -> Fragment:
        at = utc_now().timestamp()
        return fragment(bytes(page.renderer.html("_worklist.html", **page.values(asked, text)).body), at)

    @routes.get(_FRAGMENT)
    def rows(asked: Annotated[PageQuery, Query()], request: Request) -> Response:
        """The changing part of the page: what its script asks for. One rendering serves all who ask for the same."""
        number = changes.number
        version = None if number is None else (number, int(utc_now().timestamp() // _MINUTES_GROW_SECONDS))
        told = kept.get(asked.model_dump_json(), version, lambda: made(asked, ""))
        return _answer(told, request.headers.get("if-none-match"))

    @routes.post(_FRAGMENT)
    def found(asked: Annotated[ListForm, Form()]) -> Response:
        wanted = asked.pressed() if asked.only else asked
        return _answer(made(wanted, wanted.text), None)


def _answer(told: Fragment, known: str | None) -> Response:
    headers = {"ETag": told.tag, "X-As-Of": f"{told.made_at:.3f}"}
    if known == told.tag:
        return Response(status_code=304, headers=headers)
    return HTMLResponse(told.body, headers=headers)


def _add_views(routes: APIRouter, page: WorklistPage) -> None:
    def to_list(query: Callable[[], dict[str, list[str]]]) -> RedirectResponse:
        return RedirectResponse(address("/", query()), 303)

    @routes.post("/views")
    def save(view: Annotated[ViewForm, Form()], asker: Asker) -> RedirectResponse:
        page.views.save(asker.name, view.name, view.query())
        return to_list(view.query)

    @routes.post("/views/{view_id}/delete")
    def delete(view_id: int, asked: Annotated[FilterForm, Form()], asker: Asker) -> RedirectResponse:
        page.views.delete(asker.name, view_id)
        return to_list(asked.query)
