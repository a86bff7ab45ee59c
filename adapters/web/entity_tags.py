"""JSON answers of the API carry an ETag, and a GET of what the asker has already is answered 304 (RFC 9110 13.1.2)."""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_JSON = "application/json"
_PREFIX = "/api/"


class EntityTags:
    """ASGI middleware: whole JSON answers are held back until their tag is known; everything else passes as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"} or not scope["path"].startswith(_PREFIX):
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Tagged(send, Headers(scope=scope).get("if-none-match", "")))


class _Tagged:
    def __init__(self, send: Send, known: str) -> None:
        self._send, self._known = send, known
        self._start: Message | None = None
        self._body: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _taggable(message):
            self._start = message
        elif self._start is not None and message["type"] == "http.response.body":
            self._body.append(message.get("body", b""))
            if not message.get("more_body"):
                await self._finish(self._start)
        else:
            await self._send(message)

    async def _finish(self, start: Message) -> None:
        body = b"".join(self._body)
        headers = MutableHeaders(scope=start)
        entity_tag = headers.setdefault("ETag", f'"{hashlib.sha256(body).hexdigest()[:20]}"')
        if matches(self._known, entity_tag):
            del headers["content-length"]
            del headers["content-type"]
            start["status"], body = 304, b""
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _taggable(start: Message) -> bool:
    return bool(start["status"] == 200) and Headers(scope=start).get("content-type", "").startswith(_JSON)


def matches(known: str, entity_tag: str) -> bool:
    """Whether If-None-Match names the tag; by weak comparison (RFC 9110 8.8.3.2)."""
    tags = {one.strip().removeprefix("W/") for one in known.split(",")}
    return "*" in tags or entity_tag.removeprefix("W/") in tags
