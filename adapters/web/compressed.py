"""Text is sent compressed where the browser takes it; pictures, DICOM and streams go as they are."""

from __future__ import annotations

import gzip
from os import PathLike, stat_result

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TEXTS = ("text/html", "text/css", "text/javascript", "application/javascript", "application/json", "image/svg+xml")
_SHORTEST = 1024
_LEVEL = 5


class Compressed:
    """ASGI middleware for bodies that are sent at once; what comes in pieces passes through unchanged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "gzip" not in Headers(scope=scope).get("accept-encoding", ""):
            await self._app(scope, receive, send)
            return
        held: Message | None = None

        async def packing(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _is_text(Headers(raw=message["headers"])):
                held = message
                return
            if held is not None and message["type"] == "http.response.body":
                start, held = held, None
                message = _packed(start, message)
                await send(start)
            await send(message)

        await self._app(scope, receive, packing)


def _is_text(headers: Headers) -> bool:
    return headers.get("content-type", "").startswith(_TEXTS) and "content-encoding" not in headers


def _packed(start: Message, body: Message) -> Message:
    """The body packed, and its headers with it; as it is where it is short or only the first of several."""
    content = body.get("body", b"")
    headers = MutableHeaders(raw=start["headers"])
    headers.add_vary_header("Accept-Encoding")
    start["headers"] = headers.raw
    if body.get("more_body") or len(content) < _SHORTEST:
        return body
    packed = gzip.compress(content, _LEVEL, mtime=0)
    headers["Content-Encoding"], headers["Content-Length"] = "gzip", str(len(packed))
    return {**body, "body": packed}


class Assets(StaticFiles):
    """Scripts and styles: kept by the browser, and asked for whether they are still the same."""

    def file_response(self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope,
                      status_code: int = 200) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        return response
