"""In which language an asker is answered, and refusals in that language."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.web.catalogue import STRINGS
from adapters.web.problems import MACHINE_PATHS, MEDIA_TYPE
from adapters.web.sayings import said_in_sentences
from adapters.web.sayings_api import TITLES
from gateway.translation import ENGLISH

_STATE = "language"


def language_asked(accept_language: str, otherwise: str) -> str:
    """The one of ours that Accept-Language likes best (RFC 9110 12.5.4); `otherwise` where it names none of them."""
    liked: dict[str, float] = {}
    for entry in accept_language.lower().split(","):
        name, _, weight = entry.strip().partition(";")
        language = name.strip().partition("-")[0]
        if language in STRINGS:
            liked[language] = max(liked.get(language, 0.0), _weight(weight))
    best = max(liked, key=lambda language: liked[language], default=otherwise)
    return best if liked.get(best) else otherwise


def _weight(parameter: str) -> float:
    try:
        return float(parameter.strip().removeprefix("q=") or 1)
    except ValueError:
        return 0.0


def language_of(request: Request) -> str:
    return str(getattr(request.state, _STATE, ENGLISH))


Language = Annotated[str, Depends(language_of)]
"""Of this request's answer."""


class Spoken:
    """ASGI middleware: problem objects in the asker's language. A program's is what its Accept-Language names, else
    the site's; the page's own is the site's, as all of the page."""

    def __init__(self, app: ASGIApp, language: str) -> None:
        self._app, self._language = app, language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        language, by_header = self._language, scope["path"].startswith(MACHINE_PATHS)
        if by_header:
            language = language_asked(Headers(scope=scope).get("accept-language", ""), language)
        scope.setdefault("state", {})[_STATE] = language
        await self._app(scope, receive, _Speaking(send, language, by_header))


class _Speaking:
    """Sends on; a problem object is held until it is whole, and sent in the language."""

    def __init__(self, send: Send, language: str, by_header: bool) -> None:
        self._send, self._language, self._by_header = send, language, by_header
        self._held: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if headers.get("content-type", "").startswith(MEDIA_TYPE):
                self._held = message
                return
        if self._held is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            await self._speak(self._held)

    async def _speak(self, start: Message) -> None:
        body = self._body and json.dumps(spoken(json.loads(self._body), self._language), ensure_ascii=False).encode()
        headers = MutableHeaders(scope=start)
        headers["Content-Length"], headers["Content-Language"] = str(len(body)), self._language
        if self._by_header:
            headers.add_vary_header("Accept-Language")
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def spoken(problem: dict[str, Any], language: str) -> dict[str, Any]:
    """Title, detail and reasons of a problem object; codes, names and elements stay."""
    if language == ENGLISH:
        return problem
    told = problem | {"title": TITLES.get(problem["status"], problem["title"]),
                      "detail": said_in_sentences(problem["detail"], language)}
    if "refused" in problem:
        told["refused"] = [file | {"reason": said_in_sentences(file["reason"], language)}
                           for file in problem["refused"]]
    return told
