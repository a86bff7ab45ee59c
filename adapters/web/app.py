"""The HTTP application, put together from our ports; it starts no server and opens no database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import Response
from prometheus_client import CollectorRegistry
from starlette.staticfiles import StaticFiles

from adapters.web import cases, deliveries, docs, metrics, models, pages, uploads, worklist
from adapters.web import health as health_routes
from adapters.web import problems as problem_details
from adapters.web.guard import Guard, allowed_networks
from adapters.web.principal import EVERY_HANDLER
from adapters.web.recordings import Wrap
from adapters.web.rendering import Renderer
from adapters.web.request_log import RequestLog
from adapters.web.security_headers import SecurityHeaders
from gateway.ports import Commands, Health, Inference, Intake, Queries
from gateway.settings import Settings


def build_app(queries: Queries, commands: Commands, health: Health, inference: Inference, intake: Intake,
              settings: Settings, routers: Sequence[APIRouter], model_cards: Callable[[str], str | None],
              split: Callable[[bytes], tuple[bytes, bytes]], explain: Callable[[bytes], Any] | None,
              wrap: Wrap, registry: CollectorRegistry | None = None) -> FastAPI:
    """All routes of the contract and the pages, with `routers` (FHIR, DICOMweb) beside them.

    `split`: Part 10 bytes → (preamble to file meta, data set). `model_cards`: model name → its MODEL.md.
    `explain`: what `check --explain` says of one object, or None. `wrap`: a WFDB record → DICOM Part 10 bytes.
    `registry`: metrics of others, shown beside ours.
    Raises ConfigurationError for a bind to other machines without an allow-list. Serve it with the server's own
    access log off (it writes paths) and without trusting forwarded addresses.
    """
    allowed_networks(settings.http)
    app = FastAPI(title="Triage Gateway", version=version("triage-gateway"), docs_url=None, redoc_url=None,
                  dependencies=EVERY_HANDLER)
    renderer = Renderer(settings)
    own = CollectorRegistry()
    own.register(metrics.GatewayCollector(queries, health))
    served = [
        worklist.router(queries), cases.router(queries, commands), deliveries.router(queries, commands),
        models.router(inference, model_cards),
        uploads.router(intake, commands, split, explain, settings.http.maximum_upload_bytes, wrap),
        health_routes.router(health), metrics.router([own, *([registry] if registry else [])]),
        pages.router(queries, commands, health, inference, model_cards, renderer), docs.router(app, renderer), *routers,
    ]
    for router in served:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    problem_details.install(app, lambda status, detail: _error_page(renderer, status, detail))
    app.add_middleware(Guard, settings=settings.http)
    app.add_middleware(RequestLog, observe=metrics.HttpMetrics(own).observe)
    app.add_middleware(SecurityHeaders)
    return app


def _error_page(renderer: Renderer, status: int, detail: str) -> Response:
    return renderer.html("error.html", status, title=status, detail=detail)
