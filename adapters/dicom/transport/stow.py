"""STOW-RS: the Store transaction of DICOMweb (PS3.18 10.5) onto the common intake."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool

from adapters.dicom.content import media, stow_response
from adapters.dicom.content.stow_response import Outcome
from adapters.dicom.transport.answers import PREFIX, DicomWebRoute, Uid, base_url
from adapters.dicom.transport.parts import PartReader
from adapters.dicom.transport.shelf import Target
from adapters.dicom.transport.stow_part import StowPart
from gateway.errors import StorageFull, Unreadable
from gateway.intake import SenderLeft
from gateway.ports import Intake
from gateway.study import Principal, Sender

RETRY_AFTER_SECONDS = "30"
MOST_PARTS = 50_000
"""Instances of a request: each is named in its response."""
_AT_ONCE = 256 * 1024
"""Bytes of a body that go to the intake in one step."""


def build_router(intake: Intake, principal_of: Callable[[Request], Principal], maximum_bytes: int,
                 left: Callable[[SenderLeft], None] = lambda _: None) -> APIRouter:
    """`POST /dicom-web/studies` and `/dicom-web/studies/{study}`: multipart/related of application/dicom.

    Each part is written to disk while it comes in, and is durable before the response names it as stored.
    200 all stored, 202 some or beside other content of their UID, 409 none; 400 no multipart body, or no UID in the
    URL, 406 (before anything is stored) no DICOM JSON accepted, 413 longer than `maximum_bytes`, 415 another media
    type, 503 with Retry-After while nothing may be taken in. `left` is called when a request that brought objects is
    over.
    """
    router = APIRouter(prefix=PREFIX, tags=["DICOMweb"], route_class=DicomWebRoute)
    door = _Door(intake, maximum_bytes, left)

    @router.post("/studies", summary="Store instances (STOW-RS)")
    async def store(request: Request, principal: Principal = Depends(principal_of)) -> Response:
        return await door.receive(request, _sender(request, principal), "")

    @router.post("/studies/{study}", summary="Store instances of one study (STOW-RS)")
    async def store_study(study: Uid, request: Request, principal: Principal = Depends(principal_of)) -> Response:
        return await door.receive(request, _sender(request, principal), study)

    return router


def _sender(request: Request, principal: Principal) -> Sender:
    return Sender("dicomweb", principal.name, request.client.host if request.client else "")


@dataclass(frozen=True, slots=True)
class _Door:
    intake: Intake
    maximum_bytes: int
    left: Callable[[SenderLeft], None]
    open: set[_Upload] = field(default_factory=set)

    async def receive(self, request: Request, sender: Sender, study: str) -> Response:
        media.json(media.ranges(request.headers.get("accept", ""), request.query_params.get("accept", "")))
        upload = _Upload(self.intake, sender, study, _boundary(request))
        self.open.add(upload)
        whole = False
        try:
            self.intake.check()
            await self._take_all(request, upload)
            whole = True
        except StorageFull as error:
            raise HTTPException(503, str(error), {"Retry-After": RETRY_AFTER_SECONDS}) from error
        except Unreadable as error:
            raise HTTPException(400, error.reason) from error
        finally:
            self.open.discard(upload)
            await run_in_threadpool(upload.close)
            self._tell_end(upload, sender, whole)
        status = stow_response.status(upload.outcomes)
        headers = {"Retry-After": RETRY_AFTER_SECONDS} if status == 503 else None
        told = stow_response.body(upload.outcomes, base_url(request), _study_path(study, upload.studies))
        return JSONResponse(told, status, headers, media.JSON)

    def _tell_end(self, upload: _Upload, sender: Sender, whole: bool) -> None:
        if upload.studies:
            elsewhere = frozenset(study for other in self.open for study in list(other.studies))
            self.left(SenderLeft(sender, frozenset(upload.studies), whole, elsewhere))

    async def _take_all(self, request: Request, upload: _Upload) -> None:
        if int(request.headers.get("content-length") or 0) > self.maximum_bytes:
            raise self._too_long()
        received = 0
        gathered = bytearray()
        async for piece in request.stream():
            received += len(piece)
            if received > self.maximum_bytes:
                raise self._too_long()
            gathered += piece
            if len(gathered) >= _AT_ONCE:
                await run_in_threadpool(upload.feed, bytes(gathered))
                gathered.clear()
        await run_in_threadpool(upload.feed, bytes(gathered))
        upload.require_whole()

    def _too_long(self) -> HTTPException:
        return HTTPException(413, f"The body is longer than {self.maximum_bytes} bytes: send fewer instances at once, "
                                  "or raise http.maximum_upload_bytes in the configuration.")


class _Upload:
    """The parts of one request, each on its way to the intake as its bytes come; what was stored before a fault of the
    request stays."""

    def __init__(self, intake: Intake, sender: Sender, study: str, boundary: bytes) -> None:
        self.outcomes: list[Outcome] = []
        self.studies: set[str] = set()
        self._intake, self._sender, self._study = intake, sender, study
        self._reader = PartReader(boundary, self._open)
        self._part: StowPart | None = None

    def feed(self, piece: bytes) -> None:
        """Raises Unreadable where the body is no multipart message."""
        self._reader.feed(piece)

    def require_whole(self) -> None:
        """Raises Unreadable where the body ends too early or holds nothing."""
        self._reader.require_whole()
        if not self.outcomes:
            raise Unreadable("The body has no part.")

    def close(self) -> None:
        """Drop what has not been completed."""
        if self._part is not None:
            self._part.close()

    def _open(self, media_type: str) -> StowPart:
        self.close()
        if len(self.outcomes) >= MOST_PARTS:
            raise Unreadable(f"The body has more than {MOST_PARTS} parts; send fewer instances at once.")
        self._part = StowPart(self._intake, self._sender, self._study, media_type, self.outcomes.append,
                              self.studies.add)
        return self._part


def _study_path(named: str, stored: Collection[str]) -> str:
    """Of the study that the URL names, else of the only one that was stored into; empty where there are several."""
    study = named or (next(iter(stored)) if len(stored) == 1 else "")
    return Target(study).path if study else ""


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
