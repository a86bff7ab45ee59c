"""FHIR's way of answering: `application/fhir+json`, an OperationOutcome for every refusal."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.refusals import Refused, outcome, outcome_of, status_of
from gateway.errors import GatewayError

MEDIA_TYPE = "application/fhir+json"
_JSON_TYPES = frozenset({"application/fhir+json", "application/json", "text/json", "application/json+fhir"})
_READABLE = ("*/*", "application/*", *_JSON_TYPES)
_RETRY_AFTER = {"Retry-After": "5"}
_HTTP_ISSUES = {401: "login", 403: "forbidden", 404: "not-found"}

log = structlog.get_logger()


def answer(resource: Json | bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    content = resource if isinstance(resource, bytes) else encoded(resource)
    return Response(content, status, dict(headers or {}), f"{MEDIA_TYPE}; charset=utf-8")


def encoded(resource: Json) -> bytes:
    return json.dumps(resource, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def entity_tag(version: str) -> str:
    """ETag of a version (R4 3.1.0.5)."""
    return f'W/"{version}"'


class FhirRoute(APIRoute):
    """A route whose refusals are OperationOutcomes. Logged by route template and element, never by value."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                _require_readable(request)
                return await handler(request)
            except GatewayError as error:
                return self._refusal(error)
            except HTTPException as error:
                issue = _HTTP_ISSUES.get(error.status_code, "processing")
                return answer(outcome(issue, str(error.detail)), error.status_code, error.headers)

        return answered

    def _refusal(self, error: GatewayError) -> Response:
        status = status_of(error)
        log.info("fhir_refused", route=self.path, status=status, element=getattr(error, "element", ""))
        return answer(outcome_of(error), status, _RETRY_AFTER if status in (503, 507) else None)


def _require_readable(request: Request) -> None:
    """406 where the client reads no JSON (R4 3.1.0.1.9)."""
    told = request.headers.get("accept", "*/*")
    kinds = {part.split(";", maxsplit=1)[0].strip().lower() for part in told.split(",")}
    if "_format" not in request.query_params and not kinds & set(_READABLE):
        raise Refused(406, "not-supported", "Only JSON is spoken here (application/fhir+json).", element="http.accept")


async def body_of(request: Request, maximum_bytes: int) -> bytes:
    """The JSON body. Raises Refused: 415 for other media types, 413 above `maximum_bytes`."""
    kind = request.headers.get("content-type", "").split(";", maxsplit=1)[0].strip().lower()
    if kind not in _JSON_TYPES:
        raise Refused(415, "not-supported", "The body must be application/fhir+json.", element="http.content-type")
    return await limited_body(request, maximum_bytes)


async def limited_body(request: Request, maximum_bytes: int) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > maximum_bytes:
            raise Refused(413, "too-long", f"The body is larger than {maximum_bytes} bytes: send less at once.")
        pieces.append(piece)
    return b"".join(pieces)
