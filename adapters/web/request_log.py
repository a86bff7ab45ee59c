"""One log line and one count for each request, with the route's template only: never the path or the query as sent."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.web.problems import problem

log = structlog.get_logger()
Observe = Callable[[str, str, int, float], None]
"""(method, route template, status, seconds). Status 0: the asker left before there was an answer."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def template_of(scope: Scope) -> str:
    """`/api/cases/{case_id}`, whatever was asked; a mount's own path; `unmatched` where no route took it."""
    return getattr(scope.get("route"), "path", None) or scope.get("root_path") or "unmatched"


class RequestLog:
    """ASGI middleware: also answers 500 for whatever no handler expected, and tells where it broke."""

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        started = time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except ClientDisconnect:  # in the middle of the body: nothing of ours has failed, and nobody is there to answer
            log.warning("http_asker_left", route=template_of(scope), address=(scope.get("client") or ("",))[0])
        except Exception as error:
            log.error("http_handler_failed", route=template_of(scope), error=type(error).__name__, at=_place(error))
            if status:
                raise
            await problem(500, "The gateway failed on this request; its log says where.")(scope, receive, noting)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = template_of(scope)
        self._observe(method, route, status, seconds)
        log.debug("http_request", method=method, route=route, status=status, milliseconds=round(seconds * 1000, 1))


def _place(error: Exception) -> str:
    """File and line of the innermost frame: enough to find it, with none of the text that was worked on."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
