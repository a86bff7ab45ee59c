"""An association of the library that waits for events where it would look a thousand times a second.

The library's two threads for an association (upper layer, services) sleep 1 ms between two looks at the socket and at
their queues. Here the first waits for the socket or for something to send, the second for a message or an indication.
"""

from __future__ import annotations

import os
import queue
import select
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

LOOK_SECONDS = 0.25
"""How often timers and flags that tell nobody are looked at."""


class TellingQueue(queue.Queue[Any]):
    """A queue that tells when something was put in."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._tell()

    def put_all(self, items: Sequence[Any]) -> None:
        """With nothing of anybody else between them."""
        with self.mutex:
            self.queue.extend(items)
            self.not_empty.notify()
        self._tell()


class Checkpoint:
    """Where the services' thread of an association stops on each round: until it may go on, and there is a reason to.

    Takes the place of the library's `threading.Event`, which only says that it may go on.
    """

    def __init__(self, has_news: Callable[[], bool], rests: Callable[[], None]) -> None:
        """`rests` is called when the thread has nothing to do any more."""
        self._condition = threading.Condition()
        self._open = True
        self._has_news, self._rests = has_news, rests
        self.waiting = False
        """Whether the thread is here, with nothing to do."""

    def set(self) -> None:
        with self._condition:
            self._open = True
            self._condition.notify_all()

    def clear(self) -> None:
        with self._condition:
            self._open = False

    def is_set(self) -> bool:
        return self._open

    def tell(self) -> None:
        """There may be news."""
        with self._condition:
            self._condition.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """`timeout` is not asked for by the library."""
        with self._condition:
            self.waiting = True
            if not self._has_news():
                self._rests()
            self._condition.wait_for(lambda: self._open and self._has_news(), LOOK_SECONDS)
            self._condition.wait_for(lambda: self._open, timeout)
            self.waiting = False
            return True


class Wakeup:
    """Waits for a socket to become readable, or to be woken."""

    def __init__(self) -> None:
        self._flag = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._close = weakref.finalize(self, os.close, self._flag)
        self._lock = threading.Lock()
        self._poll, self._only_flag = select.poll(), select.poll()
        for poll in (self._poll, self._only_flag):
            poll.register(self._flag, select.POLLIN)

    def watch(self, descriptor: int) -> None:
        self._poll.register(descriptor, select.POLLIN)

    def wake(self) -> None:
        """From any thread; also after `close`."""
        with self._lock:
            if self._close.alive:
                os.eventfd_write(self._flag, 1)

    def wait(self, seconds: float) -> bool:
        """Whether the socket has something; False when woken or after `seconds`."""
        ready = [descriptor for descriptor, _ in self._poll.poll(seconds * 1000)]
        if self._flag in ready:
            os.eventfd_read(self._flag)
        return any(descriptor != self._flag for descriptor in ready)

    def wait_woken(self, seconds: float) -> None:
        """Until woken; what the socket has is somebody else's."""
        if self._only_flag.poll(seconds * 1000):
            os.eventfd_read(self._flag)

    def close(self) -> None:
        with self._lock:
            self._close()


def without_polling(association: Any) -> Wakeup:
    """Make an association that has not been started yet wait for events. The caller closes what is returned."""
    upper_layer, wakeup = association.dul, Wakeup()

    def has_news() -> bool:
        return not (association.dimse.msg_queue.empty() and upper_layer.to_user_queue.empty())

    checkpoint = Checkpoint(has_news, wakeup.wake)
    association._reactor_checkpoint = checkpoint
    upper_layer._run_loop_delay = 0  # between two rounds: each waits for an event by itself
    association.dimse.msg_queue = TellingQueue(checkpoint.tell)
    upper_layer.to_user_queue = TellingQueue(checkpoint.tell)
    upper_layer.to_provider_queue = TellingQueue(wakeup.wake)
    return wakeup
