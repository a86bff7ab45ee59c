"""`/fhir`: orders and ECG recordings in, reports out (FHIR R4, 4.0.1, JSON)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from adapters.fhir.content.capability import capability_statement
from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.refusals import InvalidStructure, Refused
from adapters.fhir.content.search import SEARCHABLE, parse_search, require_json
from adapters.fhir.content.search import answer as answer_search
from adapters.fhir.content.searchset import searchset
from adapters.fhir.content.stored import case_of, resources_of
from adapters.fhir.content.task import Site
from adapters.fhir.transport.answers import FhirRoute, answer, body_of, entity_tag, limited_body
from adapters.fhir.transport.media import MediaDesk
from adapters.fhir.transport.orders import OrderDesk, Placed
from adapters.fhir.transport.recordings import Kept, RecordingDesk, Split
from adapters.fhir.transport.tasks import TaskDesk
from gateway.media import MediaWriter
from gateway.orders import MessageLog
from gateway.ports import EcgWriter, Intake, Queries, ReportQuery
from gateway.study import Principal, Sender

PREFIX = "/fhir"
_FORM = "application/x-www-form-urlencoded"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_LARGEST_FORM = 64 * 1024
_LARGEST_RESOURCE = 64 * 1024 * 1024
"""Bytes; a resource is parsed in memory (a 12-lead recording of a minute at 1 kHz has 4 MB)."""
_EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]
PrincipalOf = Callable[[Request], Principal]


def build_router(queries: Queries, log: MessageLog, intake: Intake, ecg_writer: EcgWriter, facility: str,
                 principal_of: PrincipalOf, maximum_bytes: int, *, split: Split,
                 kept: Kept, media_writer: MediaWriter, systems: Mapping[str, str] | None = None,
                 now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> APIRouter:
    """The router under `/fhir`. `split`: Part 10 bytes → (header, data set). `kept`: control id → what was answered to
    that message. `media_writer`: attachments → DICOM objects. `maximum_bytes`: of a body, at most 64 MB. `systems`:
    issuer of ids as received → the URI that the EHR knows it by, as the reports name it.

    Every refusal is an OperationOutcome; every handler takes a Principal, whose name is the sender of what is posted.
    """
    api = FhirApi(queries, OrderDesk(queries, log, facility, now),
                  RecordingDesk(queries, intake, ecg_writer, split, facility, log, kept, now),
                  MediaDesk(queries, intake, media_writer, split, facility, log, kept, now),
                  TaskDesk(queries, Site(facility, dict(systems or {}))), principal_of,
                  min(maximum_bytes, _LARGEST_RESOURCE))

    def asker(request: Request) -> Principal:
        return principal_of(request)

    router = APIRouter(prefix=PREFIX, route_class=FhirRoute, tags=["fhir"], dependencies=[Depends(asker)])
    add = router.add_api_route
    add("/metadata", api.metadata, methods=["GET"], summary="CapabilityStatement")
    add("/ServiceRequest", api.place_order, methods=["POST"], summary="Place or change an order")
    add("/ServiceRequest", api.change_order, methods=["PUT"], summary="Change the order that has an identifier")
    add("/ServiceRequest/{order_id}", api.read_order, methods=["GET"], summary="Read an order")
    add("/ServiceRequest/{order_id}", api.update_order, methods=["PUT"], summary="Change an order")
    add("/Observation", api.take_recording, methods=["POST"], summary="Send a 12-lead ECG recording")
    add("/Media", api.take_media, methods=["POST"], summary="Send a breath sound or a photograph")
    add("/Media/{media_id}", api.read_media, methods=["GET"], summary="Read what was sent as Media")
    add("/{resource_type}", api.search, methods=["GET"], summary="Search what the gateway made")
    add("/{resource_type}/_search", api.search_by_form, methods=["POST"], summary="Search by a form")
    add("/{resource_type}/{resource_id}", api.read, methods=["GET"], summary="Read what the gateway made")
    add("", api.elsewhere, methods=_EVERY_METHOD, include_in_schema=False)
    add("/{rest:path}", api.elsewhere, methods=_EVERY_METHOD, include_in_schema=False)
    return router


@dataclass(frozen=True, slots=True)
class FhirApi:
    """The handlers: HTTP in, HTTP out; what blocks runs in the thread pool."""

    queries: Queries
    orders: OrderDesk
    recordings: RecordingDesk
    media: MediaDesk
    tasks: TaskDesk
    principal_of: PrincipalOf
    maximum_bytes: int

    async def metadata(self, request: Request) -> Response:
        require_json(request.query_params.get("_format", "json"))
        return answer(capability_statement(_base(request), version("triage-gateway")))

    # ------------------------------------------------------------ in

    async def place_order(self, request: Request) -> Response:
        body = await body_of(request, self.maximum_bytes)
        return _placed(request, await run_in_threadpool(self.orders.place, body, self._sender(request)))

    async def change_order(self, request: Request) -> Response:
        """Conditional update (R4 3.1.0.7.1) by identifier."""
        condition = request.query_params.get("identifier", "")
        if not condition or len(request.query_params.multi_items()) > 1:
            raise InvalidStructure("A conditional update is by identifier alone: PUT ServiceRequest?identifier=….",
                                   element="http.identifier")
        body = await body_of(request, self.maximum_bytes)
        return _placed(request, await run_in_threadpool(self.orders.place, body, self._sender(request),
                                                        condition=condition))

    async def update_order(self, request: Request, order_id: str) -> Response:
        body = await body_of(request, self.maximum_bytes)
        return _placed(request, await run_in_threadpool(self.orders.place, body, self._sender(request),
                                                        order_id=_checked_id(order_id)))

    async def read_order(self, order_id: str) -> Response:
        resource, told = await run_in_threadpool(self.orders.read, _checked_id(order_id))
        return answer(resource, headers={"ETag": entity_tag(told)})

    async def take_recording(self, request: Request) -> Response:
        body = await body_of(request, self.maximum_bytes)
        resource, new = await run_in_threadpool(self.recordings.take, body, self._sender(request))
        place = f"{_base(request)}/Observation/{resource['id']}"
        return answer(resource, 201 if new else 200, {"Location": place, "ETag": entity_tag("1")})

    async def take_media(self, request: Request) -> Response:
        body = await body_of(request, self.maximum_bytes)
        resource, new = await run_in_threadpool(self.media.take, body, self._sender(request))
        place = f"{_base(request)}/Media/{resource['id']}"
        return answer(resource, 201 if new else 200, {"Location": place, "ETag": entity_tag("1")})

    async def read_media(self, media_id: str) -> Response:
        resource = await run_in_threadpool(self.media.read, _checked_id(media_id))
        return answer(resource, headers={"ETag": entity_tag("1")})

    # ------------------------------------------------------------ out

    async def read(self, request: Request, resource_type: str, resource_id: str) -> Response:
        require_json(request.query_params.get("_format", "json"))
        _require_type(resource_type)
        found = await run_in_threadpool(self._find, resource_type, _checked_id(resource_id))
        version = found.get("meta", {}).get("versionId", "1")
        return answer(found, headers={"ETag": entity_tag(version)})

    def _find(self, resource_type: str, resource_id: str) -> Json:
        if resource_type == "Observation" and (sent := self.recordings.read(resource_id)) is not None:
            return sent
        if resource_type == "Task":
            return self.tasks.read(resource_id)
        documents, _ = self.queries.reports(ReportQuery(case_id=case_of(resource_id), limit=1))
        for resource in (r for document in documents for r in resources_of(document)):
            if (resource["resourceType"], resource["id"]) == (resource_type, resource_id):
                return resource
        raise Refused(404, "not-found", f"There is no such {resource_type}.")

    async def search(self, request: Request, resource_type: str) -> Response:
        return await self._search(request, resource_type, request.query_params.multi_items())

    async def search_by_form(self, request: Request, resource_type: str) -> Response:
        """POST _search (R4 3.1.1.1): keeps identifiers of patients out of addresses."""
        if request.headers.get("content-type", "").split(";", maxsplit=1)[0].strip().lower() != _FORM:
            raise Refused(415, "not-supported", f"The body must be {_FORM}.", element="http.content-type")
        form = (await limited_body(request, _LARGEST_FORM)).decode("utf-8", "replace")
        told = parse_qsl(form, keep_blank_values=True)
        return await self._search(request, resource_type, [*request.query_params.multi_items(), *told])

    async def _search(self, request: Request, resource_type: str, parameters: Sequence[tuple[str, str]]) -> Response:
        _require_type(resource_type)
        lenient = "handling=lenient" in request.headers.get("prefer", "").replace(" ", "").lower()
        if resource_type == "Task":
            return answer(await run_in_threadpool(self.tasks.search, parameters, _base(request), lenient=lenient))
        search = parse_search(resource_type, parameters, lenient=lenient)
        found = await run_in_threadpool(answer_search, search, self.queries.reports)
        return answer(searchset(search, found, _base(request)))

    async def elsewhere(self, request: Request, rest: str = "") -> Response:
        """404 or 405 as an OperationOutcome."""
        name = rest.split("/", maxsplit=1)[0]
        if name in SEARCHABLE or name in ("ServiceRequest", "Task", "Media", "metadata"):
            raise Refused(405, "not-supported", f"{request.method} is not possible here; GET metadata tells what is.")
        raise _unknown_type()

    def _sender(self, request: Request) -> Sender:
        return Sender("fhir", self.principal_of(request).name, request.client.host if request.client else "")


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/") + PREFIX


def _placed(request: Request, placed: Placed) -> Response:
    place = f"{_base(request)}/ServiceRequest/{placed.order_id}"
    headers = {"Location": place, "ETag": entity_tag(placed.version)}
    return answer(placed.content, 201 if placed.created else 200, headers)


def _require_type(resource_type: str) -> None:
    if resource_type == "ServiceRequest":
        raise Refused(405, "not-supported", "ServiceRequest is read by its id; it is not searched.")
    if resource_type not in (*SEARCHABLE, "Task"):
        raise _unknown_type()


def _unknown_type() -> Refused:
    known = ", ".join(["ServiceRequest", "Task", *SEARCHABLE])
    return Refused(404, "not-supported", f"There is nothing at this address; the resources here are {known}.")


def _checked_id(resource_id: str) -> str:
    if not _ID.fullmatch(resource_id):
        raise Refused(404, "not-found", "There is no such resource: this cannot be an id of FHIR R4.")
    return resource_id
