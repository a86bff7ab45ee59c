"""Where the messages of all connections meet: read, stored together (group commit), then answered in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from adapters.hl7.content.faults import INTERNAL, Location, UnusableMessage
from adapters.hl7.content.framing import Block, Event
from adapters.hl7.content.header import salvage
from adapters.hl7.content.receive import Accepted, Refused, Site, receive, refuse
from gateway.errors import Permanent, Transient
from gateway.orders import MessageLog

Outcome = Accepted | Refused
_GATHER_SECONDS = 0.002
_READ_AT_ONCE_BYTES = 64 * 1024
"""Longer messages are read in the worker thread, so that they hold up nobody's bytes."""
_BATCH_MESSAGES = 512
_BATCH_BYTES = 64 * 1024 * 1024

logger = structlog.get_logger()


class Peer(Protocol):
    """A connection that waits for answers."""

    address: str

    def reply(self, item: Item, answer: bytes) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One event of one connection. `size`: bytes that it holds in memory. `at`: aware UTC."""

    peer: Peer
    event: Event
    size: int
    at: datetime


class Desk:
    """`submit` from the event loop; one worker thread stores whatever has gathered meanwhile.

    A commit waits at most `_GATHER_SECONDS` for the peers that the last commits answered: they will be back at once,
    and one disk write then serves them all. A lone sender waits for nobody.
    """

    def __init__(self, site: Site, log: MessageLog) -> None:
        self._site = site
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Item, Outcome | None]] = []
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._last: set[Peer] = set()
        self._quorum = 1
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, item: Item) -> None:
        """Answered later through `item.peer.reply`, in the order submitted."""
        self._waiting.append((item, self._read(item) if item.size <= _READ_AT_ONCE_BYTES else None))
        self._idle.clear()
        self._arm()

    async def drained(self) -> None:
        """Returns when everything submitted is answered."""
        await self._idle.wait()

    async def run(self) -> None:
        """Work until cancelled."""
        with ThreadPoolExecutor(1, "mllp-store") as worker:
            while True:
                await self._due.wait()
                batch = self._next_batch()
                answers = await self._loop.run_in_executor(worker, self._settle, batch)
                for (item, _), answer in zip(batch, answers, strict=True):
                    item.peer.reply(item, answer)
                self._rearm({item.peer for item, _ in batch})

    def _rearm(self, answered: set[Peer]) -> None:
        self._quorum, self._last = len(answered | self._last), answered
        self._due.clear()
        if self._waiting:
            self._arm()
        else:
            self._idle.set()

    def _arm(self) -> None:
        """Due when everybody expected is here, or when the time to gather is over."""
        if len(self._waiting) >= self._quorum:
            self._due.set()
        elif self._timer is None:
            self._timer = self._loop.call_later(_GATHER_SECONDS, self._time_is_over)

    def _time_is_over(self) -> None:
        self._timer = None
        if self._waiting:
            self._due.set()

    def _next_batch(self) -> list[tuple[Item, Outcome | None]]:
        size = count = 0
        for item, _ in self._waiting[:_BATCH_MESSAGES]:
            size += item.size
            if count and size > _BATCH_BYTES:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _settle(self, batch: Sequence[tuple[Item, Outcome | None]]) -> list[bytes]:
        """One answer for each, in order; what is accepted is on disk when this returns."""
        outcomes = [outcome or self._read(item) for item, outcome in batch]
        accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
        stored = iter(self._store(accepted))
        return [next(stored) if isinstance(outcome, Accepted) else outcome.answer for outcome in outcomes]

    def _read(self, item: Item) -> Outcome:
        try:
            outcome = receive(item.event, item.peer.address, item.at, self._site)
        except Exception as error:
            logger.error("hl7_message_not_understood", address=item.peer.address, error=type(error).__name__)
            raw = item.event.content if isinstance(item.event, Block) else item.event.head
            fault = UnusableMessage("The message could not be processed.", Location("MSH", 1), INTERNAL)
            return refuse(salvage(raw), self._site, item.at, fault)
        if isinstance(outcome, Refused):
            logger.warning("hl7_message_refused", address=item.peer.address, code=outcome.fault.code,
                           element=outcome.fault.element)
        return outcome

    def _store(self, accepted: Sequence[Accepted]) -> list[bytes]:
        """The log's answers. When a batch fails, each message is tried alone, so that none suffers for another."""
        if not accepted:
            return []
        try:
            answers = self._log.record([outcome.message for outcome in accepted])
            if len(answers) != len(accepted):
                raise Permanent("the message log answered another number of messages than it was given")
            return answers
        except Exception as error:
            if len(accepted) > 1 and not isinstance(error, Transient):
                return [answer for outcome in accepted for answer in self._store([outcome])]
            logger.error("hl7_messages_not_stored", messages=len(accepted), error=type(error).__name__)
            return [outcome.not_stored() for outcome in accepted]
