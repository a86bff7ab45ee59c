"""The HTTP application, put together from our ports; it starts no server and opens no database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import Response
from prometheus_client import CollectorRegistry

from adapters.web import (
    cases,
    deliveries,
    docs,
    events,
    metrics,
    models,
    openapi,
    pages,
    pages_case,
    pages_operations,
    pages_worklist,
    uploads,
    viewing,
    worklist,
)
from adapters.web import health as health_routes
from adapters.web import problems as problem_details
from adapters.web.allowed import Allowed
from adapters.web.compressed import Assets, Compressed
from adapters.web.entity_tags import EntityTags
from adapters.web.guard import Guard, allowed_networks
from adapters.web.principal import EVERY_HANDLER
from adapters.web.rendering import Renderer
from adapters.web.request_log import RequestLog
from adapters.web.rule_tester import RuleTester
from adapters.web.security_headers import SecurityHeaders
from adapters.web.spoken import Spoken
from adapters.web.uploads import Door
from gateway.operations import Console
from gateway.ports import Commands, Health, Inference, Queries
from gateway.settings import Settings


def build_app(queries: Queries, commands: Commands, health: Health, inference: Inference, door: Door,
              settings: Settings, routers: Sequence[APIRouter], model_cards: Callable[[str], str | None],
              explain: Callable[[Iterable[bytes]], Any] | None, console: Console, case_parts: pages_case.CaseParts,
              registry: CollectorRegistry | None = None) -> FastAPI:
    """All routes of the contract and the pages, with `routers` (FHIR, DICOMweb) beside them.

    `door`: what uploads go through. `model_cards`: model name → its MODEL.md. `explain`: what `check --explain` says
    of an upload's objects, or None. `console`: what the pages look at besides; `case_parts`: the case page. `registry`:
    metrics of others, shown beside ours. Before the server stops, `app.state.changes.close()` ends the streams that
    pages listen to.
    Raises ConfigurationError for a bind to other machines without an allow-list. Serve it with the server's own
    access log off (it writes paths) and without trusting forwarded addresses.
    """
    allowed_networks(settings.http)
    app = FastAPI(title="Triage Gateway", version=version("triage-gateway"), docs_url=None, redoc_url=None,
                  dependencies=EVERY_HANDLER)
    renderer = Renderer(settings)
    app.state.changes = changes = events.Changes(console.change)
    own = CollectorRegistry()
    own.register(metrics.GatewayCollector(queries, health))
    served = [
        worklist.router(queries, renderer.zone), cases.router(queries, commands), deliveries.router(queries, commands),
        models.router(inference, model_cards), uploads.router(door, commands, explain),
        health_routes.router(health), metrics.router([own, *([registry] if registry else [])]),
        pages.router(queries, commands, inference, model_cards, renderer), docs.router(app, renderer), *routers,
        events.router(changes), viewing.router(case_parts.viewer),
        pages_case.router(queries, commands, case_parts, renderer),
        pages_worklist.router(pages_worklist.WorklistPage(queries, health, console.views, renderer, renderer.zone, {}),
                              changes),
        pages_operations.router(
            pages_operations.OperationsPage(queries, health, inference, model_cards, console, settings, renderer),
            commands, explain and RuleTester(door, explain, settings.site.language, uploads.Turns())),
    ]
    for router in served:
        app.include_router(router)
    app.mount("/static", Assets(directory=Path(__file__).parent / "static"), name="static")
    problem_details.install(app, lambda status, detail: _error_page(renderer, status, detail))
    openapi.describe(app)
    _surround(app, settings, metrics.HttpMetrics(own))
    return app


def _surround(app: FastAPI, settings: Settings, measured: metrics.HttpMetrics) -> None:
    """The innermost first: what the guard refuses is logged, and carries the headers too."""
    app.add_middleware(Guard, settings=settings.http)
    app.add_middleware(EntityTags)
    app.add_middleware(Allowed, description=app.openapi)
    app.add_middleware(Compressed)
    app.add_middleware(RequestLog, observe=measured.observe)
    app.add_middleware(Spoken, language=settings.site.language)
    app.add_middleware(SecurityHeaders)


def _error_page(renderer: Renderer, status: int, detail: str) -> Response:
    return renderer.html("error.html", status, title=status, detail=detail)
