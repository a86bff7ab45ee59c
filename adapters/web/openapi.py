"""The description of the API (OpenAPI 3.1), made whole: every status that an address may answer, tags, examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from adapters.web.examples import VALUES, example_of, fits
from adapters.web.problems import MEDIA_TYPE

Json = dict[str, Any]
_FHIR, _DICOM = "application/fhir+json", "application/dicom+json"
_ALWAYS = (400, 403, 500, 503)
"""A foreign Host name or a damaged request, a foreign address or page, a fault of ours, a database that is away."""
_WITH_BODY = (408, 413, 422)
_FHIR_STATUSES = (400, 403, 404, 405, 406, 409, 410, 412, 413, 415, 422, 500, 503, 507)
_SAYS = {
    400: "The Host header does not name this server.", 403: "A request that changes something must come from the "
    "gateway's own page.", 404: "There is no such thing.", 408: "The body stopped coming.",
    409: "The state of the thing does not allow this.", 412: "It was changed since it was read: read it again.",
    413: "The body is longer than the 1048576 bytes taken here, where forms and little JSON come; studies are sent to "
         "/api/studies.", 415: "The body is of a kind that is not taken here.",
    422: "limit: Input should be less than or equal to 1000.", 428: "Tell which version is to be changed: If-Match.",
    500: "The gateway failed on this request; its log says where.", 503: "The gateway is busy; try again later.",
    507: "The storage is full."}
_PROBLEM: Json = {
    "type": "object", "title": "Problem", "description": "RFC 9457; `detail` is one sentence that says what is wrong.",
    "required": ["type", "title", "status", "detail"],
    "properties": {"type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
                   "detail": {"type": "string"}, "element": {"type": "string", "description": "What it is about."}}}
_OUTCOME: Json = {
    "type": "object", "title": "OperationOutcome", "description": "FHIR R4 2.28.",
    "required": ["resourceType", "issue"],
    "properties": {"resourceType": {"const": "OperationOutcome"}, "issue": {"type": "array", "items": {
        "type": "object", "required": ["severity", "code"], "properties": {
            "severity": {"type": "string"}, "code": {"type": "string"}, "diagnostics": {"type": "string"}}}}}}
_ORDER: Json = {
    "resourceType": "ServiceRequest", "status": "active", "intent": "order", "priority": "urgent",
    "identifier": [{"system": "urn:oid:1.2.3", "value": "A4711"}],
    "subject": {"identifier": {"system": "urn:oid:1.2.4", "value": "P00017"}}}
_STOW = {"200": "All stored.",
         "202": "Some stored, or kept beside other content of their UID (Warning Reason B00E).",
         "409": "None stored; why, for each."}
_RESOURCE: Json = {"type": "object", "title": "Resource", "description": "A FHIR R4 resource.",
                   "required": ["resourceType"], "properties": {"resourceType": {"type": "string"}}}
METHODS = ("get", "put", "post", "delete", "patch")


def describe(app: FastAPI) -> None:
    """`app.openapi()` gives the whole description from now on."""
    made: Callable[[], Json] = app.openapi

    def whole() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = complete(made())
        return app.openapi_schema

    app.openapi = whole  # type: ignore[method-assign]


def complete(openapi: Json) -> Json:
    """What FastAPI made of the routes, with all that it does not know."""
    schemas = openapi.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {"Problem": _PROBLEM, "OperationOutcome": _OUTCOME, "Resource": _RESOURCE}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    openapi["info"]["description"] = (
        "Refusals are problem objects (RFC 9457), under /fhir OperationOutcomes. Lists are paged by `cursor`. "
        "GET answers carry an ETag; If-None-Match is answered 304. Addresses hold ids of our own, never patient data.")
    for path, method, operation in operations(openapi):
        _add_refusals(path, method, operation)
        if path.startswith("/fhir"):
            _speak_fhir(path, method, operation)
        if path.startswith("/dicom-web/studies") and method == "post":
            _speak_stow(operation)
        if method == "get" and path.startswith("/api/"):
            _add_tags(operation)
        _add_examples(operation, schemas)
    return openapi


def operations(openapi: Mapping[str, Any]) -> Iterator[tuple[str, str, Json]]:
    for path, methods in openapi["paths"].items():
        yield from ((path, method, operation) for method, operation in methods.items() if method in METHODS)


def _add_refusals(path: str, method: str, operation: Json) -> None:
    responses: Json = operation["responses"]
    media_type, schema = (_FHIR, "OperationOutcome") if path.startswith("/fhir") else (MEDIA_TYPE, "Problem")
    statuses = {*_ALWAYS, *(_WITH_BODY if "requestBody" in operation or method in {"post", "put", "patch"} else ())}
    statuses |= {404, 422} if "{" in path else set()
    statuses |= {422} if operation.get("parameters") else set()
    statuses |= set(_FHIR_STATUSES) if path.startswith("/fhir") else set()
    statuses |= {406, 415} if path.startswith("/dicom-web") else set()
    statuses |= {int(status) for status in responses if status.isdigit() and int(status) >= 400}
    for status in sorted(statuses):
        told = responses.setdefault(str(status), {})
        told["description"] = told.get("description") or HTTPStatus(status).phrase
        content = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
        told["content"] = {media_type: content | {"example": _refusal(media_type, status)}}
    operation["responses"] = dict(sorted(responses.items()))


def _refusal(media_type: str, status: int) -> Json:
    says = _SAYS.get(status, HTTPStatus(status).phrase)
    if media_type == _FHIR:
        return {"resourceType": "OperationOutcome", "issue": [
            {"severity": "error", "code": "processing", "diagnostics": says}]}
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": says}


def _speak_fhir(path: str, method: str, operation: Json) -> None:
    """What FastAPI took for plain JSON is a resource; a body is one too, or the form of a search."""
    if method in {"post", "put"} and "requestBody" not in operation:
        form = {"schema": {"type": "object", "additionalProperties": {"type": "string"}}, "example": {"_count": "10"}}
        body = {"schema": {"$ref": "#/components/schemas/Resource"}, "example": _ORDER}
        operation["requestBody"] = {"required": True, "content": {
            "application/x-www-form-urlencoded": form} if path.endswith("/_search") else {_FHIR: body}}
    responses = operation["responses"]
    for status in ("200", "201"):
        told = responses.setdefault(status, {"description": HTTPStatus(int(status)).phrase})
        told["content"] = {_FHIR: {"schema": {"$ref": "#/components/schemas/Resource"},
                                   "example": {"resourceType": "Bundle", "type": "searchset", "total": 0}}}


def _speak_stow(operation: Json) -> None:
    """Store transaction (PS3.18 10.5): OpenAPI has no words for the parts of multipart/related."""
    operation["description"] = ('The body is multipart/related; type="application/dicom", one Part 10 file in each '
                                "part (PS3.18 8.7.3.5); the answer tells what became of each instance.")
    for status, says in _STOW.items():
        operation["responses"][status] = {"description": says, "content": {
            _DICOM: {"schema": {"type": "object"}, "example": {}}}}


def _add_tags(operation: Json) -> None:
    told = operation["responses"].get("200", {})
    if "application/json" in told.get("content", {}):
        told.setdefault("headers", {})["ETag"] = {
            "description": "Of this answer; for If-None-Match.", "schema": {"type": "string"}}
        operation["responses"].setdefault("304", {"description": "What the asker has is still so (If-None-Match)."})


def _add_examples(operation: Json, schemas: Mapping[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        schema = parameter.get("schema", {})
        if "example" not in parameter and fits(parameter["name"], schema) and "examples" not in schema:
            parameter["example"] = VALUES[parameter["name"]]
    contents = [operation.get("requestBody", {}).get("content", {})]
    contents += [told.get("content", {}) for told in operation["responses"].values()]
    for content in contents:
        for media_type, told in content.items():
            if "json" in media_type and "example" not in told and "examples" not in told and told.get("schema"):
                told["example"] = example_of(told["schema"], schemas)
