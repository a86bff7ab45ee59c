"""`/events`: a notice to every open page that something changed. Pages then ask for what they show.

One look a second at the database's change token, whatever the number of pages, and none while no page listens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from adapters.web.problems import Refusal
from gateway.errors import GatewayError

MOST_LISTENERS = 200
LOOK_SECONDS = 1.0
ALIVE_SECONDS = 15.0


class Changes:
    """Belongs to one event loop, that of its listeners; `close` may be called from any thread."""

    def __init__(self, token: Callable[[], object], look_seconds: float = LOOK_SECONDS) -> None:
        self._token, self._look_seconds = token, look_seconds
        self._listeners: set[asyncio.Event] = set()
        self._watch: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._number = 0
        self._closed = False

    @property
    def number(self) -> int | None:
        """Grows with every change that was seen; None while nobody looks."""
        return self._number if self._listeners else None

    def close(self) -> None:
        """Every stream ends, so that the server need not wait for its pages."""
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events (HTML 9.2): `change` with a growing number, `alive` where there is none for long."""
        self._loop = asyncio.get_running_loop()
        mine = asyncio.Event()
        self._listeners.add(mine)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look())
        try:
            yield "retry: 5000\n\n"
            while not self._closed:
                yield await self._next(mine)
        finally:
            self._listeners.discard(mine)

    def full(self) -> bool:
        return self._closed or len(self._listeners) >= MOST_LISTENERS

    async def _next(self, mine: asyncio.Event) -> str:
        try:
            await asyncio.wait_for(mine.wait(), ALIVE_SECONDS)
        except TimeoutError:
            return "event: alive\ndata:\n\n"
        mine.clear()
        return f"event: change\ndata: {self._number}\n\n"

    async def _look(self) -> None:
        seen = await run_in_threadpool(self._asked, None)
        while self._listeners and not self._closed:
            await asyncio.sleep(self._look_seconds)
            now = await run_in_threadpool(self._asked, seen)
            if now != seen:
                seen = now
                self._wake()

    def _asked(self, seen: object) -> object:
        """What was seen before, where the database does not answer."""
        try:
            return self._token()
        except GatewayError:
            return seen

    def _wake(self) -> None:
        self._number += 1
        for listener in self._listeners:
            listener.set()


def router(changes: Changes) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/events")
    async def events() -> StreamingResponse:
        if changes.full():
            raise Refusal(503, "Too many pages are listening for changes; this one will ask from time to time.")
        return StreamingResponse(changes.stream(), media_type="text/event-stream",
                                 headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    return routes
