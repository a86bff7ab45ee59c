"""STOW-RS: the Store transaction of DICOMweb (PS3.18 10.5) onto the common intake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool

from adapters.dicom.content import part10, stow_response, tags
from adapters.dicom.content.stow_response import Outcome
from adapters.dicom.transport.parts import Part, PartReader
from adapters.dicom.transport.scp import DATA_SET_DOES_NOT_MATCH, PROCESSING_FAILURE, failure_status
from gateway.errors import GatewayError, Rejected, StorageFull, Transient, Unreadable, Unusable
from gateway.ports import Intake
from gateway.study import Principal, Sender

MEDIA_TYPE = "application/dicom+json"
RETRY_AFTER_SECONDS = "30"


def build_router(intake: Intake, principal_of: Callable[[Request], Principal], maximum_bytes: int) -> APIRouter:
    """`POST /dicom-web/studies` and `/dicom-web/studies/{study}`: multipart/related of application/dicom.

    Parts are taken one by one while the body comes in; each is durable before the response names it as stored.
    200 all stored, 202 some, 409 none; 400 no multipart body, 413 longer than `maximum_bytes`, 415 another media type,
    503 with Retry-After while nothing may be taken in.
    """
    router = APIRouter(prefix="/dicom-web", tags=["DICOMweb"])
    door = _Door(intake, maximum_bytes)

    @router.post("/studies", summary="Store instances (STOW-RS)")
    async def store(request: Request, principal: Principal = Depends(principal_of)) -> Response:
        return await door.receive(request, _sender(request, principal), "")

    @router.post("/studies/{study}", summary="Store instances of one study (STOW-RS)")
    async def store_study(study: str, request: Request, principal: Principal = Depends(principal_of)) -> Response:
        return await door.receive(request, _sender(request, principal), study)

    return router


def _sender(request: Request, principal: Principal) -> Sender:
    return Sender("dicomweb", principal.name, request.client.host if request.client else "")


@dataclass(frozen=True, slots=True)
class _Door:
    intake: Intake
    maximum_bytes: int

    async def receive(self, request: Request, sender: Sender, study: str) -> Response:
        reader = PartReader(_boundary(request))
        try:
            self.intake.check()
            outcomes = await self._take_all(request, reader, sender, study)
        except StorageFull as error:
            raise HTTPException(503, str(error), {"Retry-After": RETRY_AFTER_SECONDS}) from error
        except Unreadable as error:
            raise HTTPException(400, error.reason) from error
        finally:
            reader.close()
        status = stow_response.status(outcomes)
        headers = {"Retry-After": RETRY_AFTER_SECONDS} if status == 503 else None
        return JSONResponse(stow_response.body(outcomes), status, headers, MEDIA_TYPE)

    async def _take_all(self, request: Request, reader: PartReader, sender: Sender, study: str) -> list[Outcome]:
        if int(request.headers.get("content-length") or 0) > self.maximum_bytes:
            raise self._too_long()
        outcomes: list[Outcome] = []
        received = 0
        async for piece in request.stream():
            received += len(piece)
            if received > self.maximum_bytes:
                raise self._too_long()
            for part in reader.feed(piece):
                outcomes.append(await run_in_threadpool(self._take, part, sender, study))
        if not reader.finished:
            raise Unreadable("The body ends before its closing boundary.")
        if not outcomes:
            raise Unreadable("The body has no part.")
        return outcomes

    def _too_long(self) -> HTTPException:
        return HTTPException(413, f"The body is longer than {self.maximum_bytes} bytes; send fewer instances at once.")

    def _take(self, part: Part, sender: Sender, study: str) -> Outcome:
        """Store one part; never raises, so that the others are unharmed."""
        try:
            if part.media_type not in {"", "application/dicom"}:
                return Outcome("", "", DATA_SET_DOES_NOT_MATCH, "Only parts of type application/dicom are taken.")
            with part.opened() as (header, dataset):
                return self._take_object(sender, header, dataset, study)
        except Rejected as error:
            return Outcome("", "", failure_status(error), error.reason)
        finally:
            part.close()

    def _take_object(self, sender: Sender, header: bytes, dataset: list[bytes], study: str) -> Outcome:
        meta = part10.parse(header)
        sop_class, instance = meta.sop_class_uid, meta.sop_instance_uid
        try:
            found = tags.identity(header, dataset)
            sop_class, instance = found.get("SOPClassUID", sop_class), found.get("SOPInstanceUID", instance)
            if study and found.get("StudyInstanceUID") != study:
                raise Unusable("The instance is not of the study that the URL names.", element="StudyInstanceUID")
            self.intake.take(sender, header, dataset)
        except GatewayError as error:
            return Outcome(sop_class, instance, failure_status(error), str(error), isinstance(error, Transient))
        except Exception:
            structlog.get_logger().exception("object_failed", sender=sender.name)
            return Outcome(sop_class, instance, PROCESSING_FAILURE, "The gateway failed to process the object.")
        return Outcome(sop_class, instance)


def _boundary(request: Request) -> bytes:
    """Raises HTTPException 415 for another media type, 400 without a boundary."""
    kind, parameters = parse_options_header(request.headers.get("content-type", ""))
    inner = parameters.get(b"type", b"application/dicom").lower()
    if kind.lower() != b"multipart/related" or inner != b"application/dicom":
        raise HTTPException(415, 'Content-Type must be multipart/related; type="application/dicom".')
    boundary = parameters.get(b"boundary", b"")
    if not boundary:
        raise HTTPException(400, "Content-Type names no boundary.")
    return boundary
