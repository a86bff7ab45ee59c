"""DICOMweb's way of answering: refusals in words (RFC 9457), bodies in parts that are never in memory as a whole."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import Path as InPath
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.routing import APIRoute

from adapters.dicom.content.media import NotAcceptable
from gateway.errors import GatewayError, Transient, Unreadable, Unusable

PREFIX = "/dicom-web"
Uid = Annotated[str, InPath(pattern=r"^[0-9.]{1,64}$", description="A UID.", examples=["1.2.840.113619.2.1"])]
NO_FRAMES = "Frames are named by their numbers from 1, separated by commas."
RETRY_AFTER_SECONDS = "5"
_PROBLEM = "application/problem+json"
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotAcceptable, 406), (Unreadable, 400), (Unusable, 406), (Transient, 503), (GatewayError, 500))

log = structlog.get_logger()


class Refusal(Exception):
    """A refusal with a status of its own."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class DicomWebRoute(APIRoute):
    """A route whose refusals are problem objects. Logged by route template, never by what was asked."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except (Refusal, NotAcceptable, GatewayError) as error:
                status = status_of(error)
                log.info("dicomweb_refused", route=self.path, status=status)
                return problem(status, str(error))
            except RequestValidationError as error:
                return problem(400, _what_is_invalid(error))

        return answered


def _what_is_invalid(error: RequestValidationError) -> str:
    """Of the URL: its parts are UIDs, but for the numbers of frames."""
    named = error.errors()[0]["loc"][-1]
    return NO_FRAMES if named == "numbers" else "A UID has 1 to 64 digits and dots."


def base_url(request: Request) -> str:
    """Of the DICOMweb service, without a slash at the end.

    Some clients leave the port out of Host: where Host is the very address that they connected to, it is put back.
    """
    url, server = request.base_url, request.scope.get("server") or ("", None)
    if url.port is None and url.scheme == "http" and server[1] not in (None, 80) and url.hostname in (
            server[0], "localhost"):
        url = url.replace(port=server[1])
    return str(url).rstrip("/") + PREFIX


def status_of(error: Exception) -> int:
    """400 unreadable request, 406 nothing that is accepted can be given, 503 out of reach."""
    if isinstance(error, Refusal):
        return error.status
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def problem(status: int, detail: str) -> JSONResponse:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    headers = {"Retry-After": RETRY_AFTER_SECONDS} if status == 503 else None
    return JSONResponse(body, status, headers, _PROBLEM)


def documented(success: Mapping[int, tuple[str, tuple[str, ...]]], *refused: int) -> dict[int | str, dict[str, Any]]:
    """`responses` for the API's description. `success`: status → (sentence, media types)."""
    told: dict[int | str, dict[str, Any]] = {
        status: {"description": sentence, "content": {kind: {} for kind in kinds}} if kinds else {
            "description": sentence} for status, (sentence, kinds) in success.items()}
    for status in (*refused, 500):
        told[status] = {"description": HTTPStatus(status).phrase, "content": {_PROBLEM: {}}}
    return told


# ---------------------------------------------------------------- multipart/related


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the body. `pieces` are asked for when the parts before it have been sent."""

    media_type: str
    pieces: Iterable[bytes]
    transfer_syntax: str = ""
    location: str = ""

    @property
    def content_type(self) -> str:
        return f"{self.media_type}; transfer-syntax={self.transfer_syntax}" if self.transfer_syntax else self.media_type


def multipart(media_type: str, parts: Iterable[Part], status: int = 200) -> StreamingResponse:
    """multipart/related (RFC 2387) with parts of that type, sent while they are read."""
    boundary = secrets.token_hex(16)
    kind = f'multipart/related; type="{media_type}"; boundary={boundary}'
    return StreamingResponse(pieces_of(parts, boundary), status, media_type=kind)


def single(part: Part, status: int = 200) -> StreamingResponse:
    return StreamingResponse(iter(part.pieces), status, media_type=part.content_type)


def pieces_of(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    """The body. Where reading fails half-way the closing boundary never comes, and the client knows that it lacks some.
    """
    for part in parts:
        location = f"Content-Location: {part.location}\r\n" if part.location else ""
        yield f"--{boundary}\r\nContent-Type: {part.content_type}\r\n{location}\r\n".encode()
        yield from part.pieces
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
