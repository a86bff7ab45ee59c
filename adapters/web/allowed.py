"""A refused method is answered with those that are possible at that address, whichever route refused it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Description = Callable[[], Mapping[str, Any]]
_PARAMETER = re.compile(r"\\{\w+\\}")


class Allowed:
    """ASGI middleware: the Allow header of each 405 (RFC 9110 15.5.6), from the description of the API."""

    def __init__(self, app: ASGIApp, description: Description) -> None:
        self._app, self._description = app, description

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                methods = self.methods(scope["path"])
                if methods:
                    MutableHeaders(scope=message)["Allow"] = ", ".join(methods)
            await send(message)

        await self._app(scope, receive, telling if scope["type"] == "http" else send)

    def methods(self, path: str) -> list[str]:
        """Of that address, in alphabetical order; empty where nothing is described. A concrete path goes before
        those with parameters (OpenAPI 3.1, 4.8.8.2)."""
        return next((methods for pattern, methods in self._table if pattern.fullmatch(path)), [])

    @cached_property
    def _table(self) -> list[tuple[re.Pattern[str], list[str]]]:
        """Those with fewer parameters first."""
        paths = sorted(self._description()["paths"].items(), key=lambda described: described[0].count("{"))
        return [(re.compile(_PARAMETER.sub("[^/]+", re.escape(path))), sorted(method.upper() for method in told))
                for path, told in paths]
