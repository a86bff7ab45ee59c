"""One thread that receives for all associations which bring objects: what they bring together waits for one sync.

It reads every socket that has something, writes what is whole to the store, waits once for the disk, and answers. What
an object needs besides (a file of its own, its place in the index) is done when nothing has come, or has waited long.
"""

from __future__ import annotations

import collections
import mmap
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import structlog

from adapters.dicom.transport import express
from adapters.dicom.transport.backlog import Backlog
from adapters.dicom.transport.channel import Channel
from adapters.dicom.transport.express import Express, Told
from adapters.dicom.transport.lull import Lull
from adapters.dicom.transport.processors import Processors
from adapters.dicom.transport.reactor import LOOK_SECONDS
from gateway.ports import ReceptionTogether

BUFFER = 1024 * 1024
IDLE_SECONDS = 0.002
"""How long nothing comes until answered objects get their files: longer than a sender takes from one to the next."""
_LEAVING_SECONDS = 10.0
_NOTHING = memoryview(b"")


class _Leaving(NamedTuple):
    """A channel that is read no more, and is told when its objects have their files."""

    channel: Channel
    left: threading.Event
    since: float


class Dispatcher:
    """`join` and `leave` may be called by any thread. Runs from `start` to `stop`."""

    def __init__(self, may_put_off: Callable[[], bool], together: ReceptionTogether | None = None) -> None:
        """`may_put_off`: see `Lull`. `together`: where what lies like something before may go, see `express`."""
        self._poll = select.epoll()
        self._express = Express(self._poll.fileno(), together) if together and express.compiled() else None
        self._flag = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._flag, select.EPOLLIN)
        self._channels: dict[int, Channel] = {}
        self._orders: collections.deque[Callable[[], None]] = collections.deque()
        self._whole: list[Channel] = []
        """With an object that has come whole and is not answered."""
        self._backlog = Backlog()
        self._leaving: list[_Leaving] = []
        self._processors = Processors()
        self._lull = Lull(self._processors, may_put_off)
        self._idle = False
        self._stopping = self._over = False
        self._lock = threading.Lock()
        self._looked = 0.0
        self._thread = threading.Thread(target=self._work, name="dispatch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """All channels have left."""
        if self._thread.is_alive():
            self._order(self._end)
            self._thread.join()
        with self._lock:
            self._over = True
            if self._express is not None:
                self._express.close()
            self._poll.close()
            self._processors.close()
            os.close(self._flag)

    def _end(self) -> None:
        self._stopping = True

    def read_as_always(self, seconds: float) -> None:
        """What its channels are amid is theirs when this returns, or after so long: nothing is compared any more."""
        if self._order(self._end_express) and self._order((done := threading.Event()).set):
            done.wait(seconds)

    def _end_express(self) -> None:
        if self._express is None:
            return
        ended, self._express = self._express, None
        for channel in list(self._channels.values()):
            come = ended.forget(channel)
            if come and not channel.take(memoryview(come)):
                self._unwatch(channel)
        ended.close()

    def join(self, channel: Channel) -> None:
        """Read its socket from now on, until it does not want that any more; nothing of a channel that is over."""
        self._order(lambda: self._watch(channel))

    def leave(self, channel: Channel) -> bool:
        """Returns when its socket is read no more and its objects have their files, or after a while (False)."""
        left = threading.Event()

        def leave() -> None:
            self._unwatch(channel)
            self._leaving.append(_Leaving(channel, left, time.monotonic()))

        return not self._order(leave) or left.wait(_LEAVING_SECONDS)

    def recall(self, channel: Channel) -> None:
        """Have it leave as soon as what is whole is answered: its own thread has something to write to its socket."""
        self._order(partial(self._recall, channel))

    def is_whole(self, channel: Channel) -> None:
        """By a channel in `take`: it has something to answer."""
        self._whole.append(channel)

    def answer(self) -> None:
        """Answer all that is whole: one wait for the disk, where they came together."""
        whole, self._whole = self._whole, []
        now = time.monotonic()
        for channel in whole:
            try:
                answered = channel.answer()
            except Exception:
                structlog.get_logger().exception("object_not_answered")
                continue
            if answered is not None:
                self._backlog.add(now, channel.descriptor, answered)
                if self._express is not None:
                    self._express.learn(channel, answered)

    def _order(self, order: Callable[[], None]) -> bool:
        """False where nobody follows orders any more."""
        with self._lock:
            if self._over:
                return False
            self._orders.append(order)
            os.eventfd_write(self._flag, 1)
            return True

    # ------------------------------------------------------------ the thread

    def _work(self) -> None:
        buffer = memoryview(mmap.mmap(-1, BUFFER))
        while not self._stopping:
            try:
                self._round(buffer)
            except Exception:  # whatever it is must not end receiving
                structlog.get_logger().exception("dispatch_failed")

    def _round(self, buffer: memoryview) -> None:
        can_file = self._backlog.can_be_filed(time.monotonic())
        ready, brought, has_come = self._wait((0 if self._idle else IDLE_SECONDS) if can_file else LOOK_SECONDS)
        if has_come:
            self._idle, self._lull.came = False, time.monotonic()
        elif can_file and not self._idle:
            leaving_since = self._leaving[0].since if self._leaving else None
            self._idle = self._lull.is_here(time.monotonic(), self._backlog.since, len(self._backlog), leaving_since)
        self._act(ready, buffer)
        count = len(self._whole)
        if count:
            self.answer()
        if can_file and (self._idle or self._backlog.is_late(time.monotonic())):
            self._backlog.file(count + brought + 1)
        if self._leaving:
            self._let_go()
        self._look_for_quiet()

    def _act(self, ready: Sequence[Told], buffer: memoryview) -> None:
        """Orders last: who is made to leave has got all that was read by then. One that fails keeps nobody from his."""
        for descriptor, what, come in sorted(ready, key=lambda told: told[0] == self._flag):
            try:
                if descriptor == self._flag:
                    self._obey()
                elif what == express.AS_ALWAYS:
                    self._read(descriptor, buffer)
                else:
                    self._go_on(descriptor, what, come)
            except Exception:
                structlog.get_logger().exception("dispatch_failed")

    def _obey(self) -> None:
        os.eventfd_read(self._flag)
        while self._orders:
            try:
                self._orders.popleft()()
            except Exception:
                structlog.get_logger().exception("dispatch_failed")

    def _wait(self, seconds: float) -> tuple[Sequence[Told], int, bool]:
        """What has come, as `Express.poll` tells; how many objects were answered meanwhile; whether anything came."""
        if self._express is None:
            ready = [(descriptor, express.AS_ALWAYS, b"") for descriptor, _ in self._poll.poll(seconds)]
            return ready, 0, bool(ready)
        told, brought, has_come = self._express.poll(seconds, IDLE_SECONDS)
        now = time.monotonic()
        for channel, received in brought:
            self._backlog.add(now, channel.descriptor, received)
        return told, len(brought), has_come

    def _go_on(self, descriptor: int, what: int, come: bytes) -> None:
        """With what `Express` has read, or could not say."""
        channel = self._channels.get(descriptor)
        if channel is None:
            return
        if what == express.UNSENT:
            channel.say_rest(come)
        elif not ((not come or channel.take(memoryview(come))) and (what == express.CAME or channel.take(_NOTHING))):
            self._unwatch(channel)

    def _read(self, descriptor: int, buffer: memoryview) -> None:
        channel = self._channels.get(descriptor)
        if channel is None:
            return
        try:
            count = os.readv(descriptor, (buffer,))
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not channel.take(buffer[:count]):
            self._unwatch(channel)

    def _let_go(self) -> None:
        for one in self._leaving:
            if self._backlog.has_left(one.channel.descriptor):
                one.left.set()
        self._leaving = [one for one in self._leaving if not one.left.is_set()]

    def _look_for_quiet(self) -> None:
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            for channel in [one for one in self._channels.values() if one.is_quiet()]:
                self._unwatch(channel)

    def _watch(self, channel: Channel) -> None:
        if channel.over:
            return
        self._channels[channel.descriptor] = channel
        self._poll.register(channel.descriptor, select.EPOLLIN)
        if self._express is not None:
            self._express.watch(channel)

    def _recall(self, channel: Channel) -> None:
        if self._channels.get(channel.descriptor) is channel:
            self.answer()
            come = self._unwatch(channel)
            if not come or channel.take(memoryview(come)):
                self.answer()
                channel.recalled()
        elif channel.dispatched and not channel.over:
            self.recall(channel)  # it joins at this moment

    def _unwatch(self, channel: Channel) -> bytes:
        """What has come of a message, and the channel has not got."""
        if self._channels.get(channel.descriptor) is not channel:
            return b""
        del self._channels[channel.descriptor]
        self._poll.unregister(channel.descriptor)
        return self._express.forget(channel) if self._express is not None else b""
