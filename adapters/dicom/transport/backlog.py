"""Objects that have been answered and wait for what they need besides: their file, their place in the index."""

from __future__ import annotations

import collections
import time

import structlog

from adapters.dicom.transport.channel import Answered
from gateway.errors import GatewayError

LONGEST_WAIT_SECONDS = 3.0
"""How long one waits while others come."""
MOST_WAITING, MOST_BYTES = 4_000, 192 * 1024 * 1024
"""What is known of them is in memory, what they are is in the store's journal."""
_PAUSE_SECONDS = 0.25


class Backlog:
    """First in, first out. In the dispatcher's thread alone; a channel is known by its descriptor."""

    def __init__(self) -> None:
        self._answered: collections.deque[tuple[float, Answered, int]] = collections.deque()
        """Since when, and whose: the descriptor of the channel, which is there until it has none any more."""
        self._waiting: collections.Counter[int] = collections.Counter()
        """How many of them each channel has."""
        self._bytes = 0
        self._not_before = 0.0
        """When what could not get its file is tried again."""

    def __len__(self) -> int:
        return len(self._answered)

    def add(self, now: float, descriptor: int, answered: Answered) -> None:
        self._answered.append((now, answered, descriptor))
        self._waiting[descriptor] += 1
        self._bytes += answered.size

    @property
    def since(self) -> float:
        """How long there has been the oldest; there is one."""
        return self._answered[0][0]

    def can_be_filed(self, now: float) -> bool:
        return bool(self._answered) and now >= self._not_before

    def is_late(self, now: float) -> bool:
        """Whether it may not grow any more."""
        return (now - self.since > LONGEST_WAIT_SECONDS or len(self._answered) > MOST_WAITING
                or self._bytes > MOST_BYTES)

    def has_left(self, descriptor: int) -> bool:
        """Whether nothing of the channel is here any more."""
        if self._waiting[descriptor]:
            return False
        del self._waiting[descriptor]
        return True

    def file(self, count: int) -> None:
        """So many at most."""
        for _ in range(min(count, len(self._answered))):
            try:
                self._answered[0][1].abort()
            except GatewayError as error:
                structlog.get_logger().warning("object_waits_for_its_file", reason=str(error))
                self._not_before = time.monotonic() + _PAUSE_SECONDS
                self._answered.rotate(-1)  # whatever stands in its way may not stand in that of the others
                return
            except Exception:
                structlog.get_logger().exception("object_not_filed")  # its file is found at the next start
            _, answered, descriptor = self._answered.popleft()
            self._waiting[descriptor] -= 1
            self._bytes -= answered.size
