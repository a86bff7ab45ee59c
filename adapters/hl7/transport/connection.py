"""One MLLP connection of the server: bytes in, events to the desk, answers out in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

import structlog

from adapters.hl7.content.framing import Block, Event, Framer, TooLong
from adapters.hl7.transport.desk import Item

_WAITING_MESSAGES = 256
_WAITING_BYTES = 4 * 1024 * 1024
"""With so much unanswered, a connection is not read from until answers have gone out."""
_STRAY_BYTES = 64 * 1024
_LINGER_SECONDS = 5.0
"""How long the rest of a refused message is read and dropped, so that its sender gets to see the answer."""

logger = structlog.get_logger()


class Connection(asyncio.Protocol):
    """`submit` takes each event; `reply` writes its answer. Idle connections end after `idle_timeout` seconds."""

    def __init__(self, submit: Callable[[Item], None], limit: int, idle_timeout: float,
                 admit: Callable[[Connection], bool], gone: Callable[[Connection], None]) -> None:
        """`admit`: whether this peer may talk to us; called once its address is known."""
        self.address = ""
        self._submit = submit
        self._framer = Framer(limit)
        self._idle_timeout = idle_timeout
        self._admit = admit
        self._gone = gone
        self._messages = 0
        self._bytes = 0
        self._heard = 0.0
        self._ending = False
        self._write_paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    # ------------------------------------------------------------ called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        self._heard = self._loop.time()
        if not self._admit(self):
            self._transport.abort()
            return
        self._timer = self._loop.call_later(self._idle_timeout, self._look_at_clock)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if self._ending:
            return
        for event in self._framer.feed(data):
            self._hand_over(event)
        if self._framer.strays > _STRAY_BYTES:
            self.finish()
        self._regulate()

    def eof_received(self) -> bool:
        """The peer may close its half after its last message and still read our answers."""
        for event in self._framer.end():
            self._hand_over(event)
        self.finish()
        return True

    def connection_lost(self, _: Exception | None) -> None:
        self._ending = True
        if self._timer is not None:
            self._timer.cancel()
        self._gone(self)

    def pause_writing(self) -> None:
        self._write_paused = True
        self._regulate()

    def resume_writing(self) -> None:
        self._write_paused = False
        self._regulate()

    # ------------------------------------------------------------ called by the desk and the server

    def reply(self, item: Item, answer: bytes) -> None:
        """Write the answer to one event (nothing where the sender wants none)."""
        self._messages -= 1
        self._bytes -= item.size
        if self._transport.is_closing():
            return
        self._transport.write(answer)
        if isinstance(item.event, TooLong):
            self._linger()
        elif self._ending and not self._messages:
            self._transport.close()
        self._regulate()

    def finish(self) -> None:
        """Take no more; close once everything taken is answered."""
        self._ending = True
        if not self._messages and not self._transport.is_closing():
            self._transport.close()

    def abort(self) -> None:
        """Close at once, answered or not."""
        self._transport.abort()

    # ------------------------------------------------------------ own

    def _hand_over(self, event: Event) -> None:
        size = len(event.content) if isinstance(event, Block) else len(event.head)
        self._messages += 1
        self._bytes += size
        self._submit(Item(self, event, size, datetime.now(UTC)))

    def _regulate(self) -> None:
        """Stop reading while too much is unanswered or the peer does not read its answers."""
        if self._transport.is_closing():
            return
        if self._write_paused or self._messages >= _WAITING_MESSAGES or self._bytes >= _WAITING_BYTES:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _linger(self) -> None:
        self._ending = True
        self._transport.write_eof()
        self._loop.call_later(_LINGER_SECONDS, self._transport.abort)

    def _look_at_clock(self) -> None:
        """Ends a connection that said nothing for the idle time; half a message is answered first."""
        left = self._heard + self._idle_timeout - self._loop.time()
        if left > 0 or self._messages:
            self._timer = self._loop.call_later(max(left, 1.0), self._look_at_clock)
            return
        if self._write_paused:
            self._transport.abort()
            return
        for event in self._framer.end():
            self._hand_over(event)
        logger.info("mllp_connection_idle", address=self.address)
        self.finish()
