"""Refusals as `application/problem+json` (RFC 9457) with one sentence that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from gateway.errors import Conflict, GatewayError, NotFound, Rejected, Stale, StorageFull, Transient, Unreadable

MEDIA_TYPE = "application/problem+json"
_STATUS: tuple[tuple[type[GatewayError], int], ...] = (
    (StorageFull, 507), (Transient, 503), (NotFound, 404), (Conflict, 409), (Stale, 412), (Unreadable, 400),
    (Rejected, 422), (GatewayError, 500))
_RETRY_AFTER_SECONDS = "5"
MACHINE_PATHS = ("/api", "/fhir", "/dicom-web", "/metrics", "/healthz", "/readyz")
_FHIR_ISSUES = {403: "forbidden", 404: "not-found", 405: "not-supported", 413: "too-long", 503: "transient"}
_WORDS = {404: "There is nothing at this address.", 405: "This address does not take that method."}
ErrorPage = Callable[[int, str], Response]


class Refusal(Exception):
    """A refusal with a status of its own. `extra`: further members of the problem object."""

    def __init__(self, status: int, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.extra = extra


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any) -> JSONResponse:
    """The problem object: `title` is the status' own name, `detail` the sentence."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail} | extra
    return JSONResponse(body, status, _with_retry(status, headers), media_type=MEDIA_TYPE)


def _with_retry(status: int, headers: Mapping[str, str] | None) -> dict[str, str]:
    return ({"Retry-After": _RETRY_AFTER_SECONDS} if status == 503 else {}) | dict(headers or {})


def refusal_at(path: str, status: int, detail: str, **extra: Any) -> JSONResponse:
    """In the words of the protocol at that address: an OperationOutcome (R4 2.28) under /fhir, elsewhere a problem."""
    if not path.startswith("/fhir/"):
        return problem(status, detail, **extra)
    issue = {"severity": "error", "code": _FHIR_ISSUES.get(status, "processing"), "diagnostics": detail}
    return JSONResponse({"resourceType": "OperationOutcome", "issue": [issue]}, status,
                        _with_retry(status, extra.get("headers")), media_type="application/fhir+json")


def status_of(error: GatewayError) -> int:
    """HTTP status of our tree of errors: what the asker can do about it."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def problems_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses` of a route: these statuses are answered with a problem."""
    return {status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {}}} for status in statuses}


def not_found(what: str) -> Refusal:
    return Refusal(404, f"There is no such {what}.")


def install(app: FastAPI, page: ErrorPage) -> None:
    """Answer every refusal of the handlers: as a problem, or as `page` where a browser asked for one of our pages."""

    def answer(request: Request, status: int, detail: str, **extra: Any) -> Response:
        if _wants_page(request):
            shown = page(status, detail)
            shown.headers.update(_with_retry(status, None))
            return shown
        return refusal_at(request.url.path, status, detail, **extra)

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return answer(request, error.status, error.detail, **error.extra)

    def gateway_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, GatewayError)
        element = getattr(error, "element", "")
        return answer(request, status_of(error), str(error), **({"element": element} if element else {}))

    def invalid_request(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        sentence, where = _what_is_invalid(error)
        return answer(request, 422, sentence, element=where)

    def http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = _WORDS.get(error.status_code, str(error.detail))
        return answer(request, error.status_code, detail, headers=error.headers)

    for kind, handler in ((Refusal, refused), (GatewayError, gateway_error), (RequestValidationError, invalid_request),
                          (HTTPException, http_exception)):
        app.add_exception_handler(kind, handler)


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(MACHINE_PATHS)


def _what_is_invalid(error: RequestValidationError) -> tuple[str, str]:
    """The sentence and the parameter's name; the value itself is not repeated."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "body"
    match first["type"]:
        case "json_invalid":
            return f"The body is no JSON: {first['ctx']['error']} at character {first['loc'][-1]}.", "body"
        case "extra_forbidden":
            return f"{where}: there is no such field here; /docs names those that are.", where
        case "model_attributes_type" if where == "body":
            return "The body must be a JSON object, sent with Content-Type: application/json.", where
    return f"{where}: {first['msg']}.", where
