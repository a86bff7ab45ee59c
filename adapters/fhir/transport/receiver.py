"""A small strict FHIR R4 server in memory: the EHR of the demonstration and of the tests."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response

from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.refusals import InvalidStructure, Refused
from adapters.fhir.content.transaction_store import ResourceStore
from adapters.fhir.transport.answers import FhirRoute, answer, body_of, entity_tag

_LARGEST_BODY = 64 * 1024 * 1024


def build_receiver(prefix: str = "/fhir") -> FastAPI:
    """POST `prefix` takes a transaction; GET `prefix`/metadata, /Type?identifier=…, /Type/id read what came.

    `app.state.resources`: resource type → id → resource. `app.state.documents`: the bytes of each transaction that
    changed something; one that is sent again changes nothing.
    """
    app = FastAPI(title="FHIR receiver", openapi_url=None)
    store = ResourceStore()
    app.state.resources = store.resources
    app.state.documents = []
    router = APIRouter(prefix=prefix, route_class=FhirRoute)

    @router.post("")
    async def transact(request: Request) -> Response:
        body = await body_of(request, _LARGEST_BODY)
        before = store.changes
        answered = store.transact(_bundle(body))
        if store.changes > before:
            app.state.documents.append(body)
        return answer(answered)

    @router.get("/metadata")
    async def metadata() -> Response:
        return answer(_CAPABILITIES)

    @router.get("/{resource_type}")
    async def search(request: Request, resource_type: str) -> Response:
        found = store.search(resource_type, request.url.query)
        return answer({"resourceType": "Bundle", "type": "searchset", "total": len(found)} | _entries(found))

    @router.get("/{resource_type}/{resource_id}")
    async def read(resource_type: str, resource_id: str) -> Response:
        found = store.resources.get(resource_type, {}).get(resource_id)
        if found is None:
            raise Refused(404, "not-found", f"There is no such {resource_type}.")
        return answer(found, headers={"ETag": entity_tag(found["meta"]["versionId"])})

    app.include_router(router)
    return app


def _bundle(body: bytes) -> Json:
    try:
        bundle: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidStructure("The body is no JSON.") from error
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise InvalidStructure("The body is no Bundle.", element="resourceType")
    return bundle


def _entries(found: list[Json]) -> Json:
    return {"entry": [{"resource": r, "search": {"mode": "match"}} for r in found]} if found else {}


_CAPABILITIES: Json = {
    "resourceType": "CapabilityStatement", "status": "active", "date": "2026-01-01", "kind": "instance",
    "software": {"name": "Triage Gateway FHIR receiver"}, "fhirVersion": "4.0.1", "format": ["application/fhir+json"],
    "implementation": {"description": "Keeps what it is sent in memory"},
    "rest": [{"mode": "server", "interaction": [{"code": "transaction"}]}]}
