"""Where connections wait until their A-ASSOCIATE-RQ has come: one thread for all of them, a bounded number of chairs.

What is only connected (health checks of load balancers, port scans) or sends its request byte by byte costs a
descriptor for a while, no thread and no place among the associations, and keeps nobody else out.
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import struct
import termios
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from adapters.dicom.content import association_request as requests

CHAIRS = 512
"""Connections that wait at the same time. Few enough for select(2), which the DICOM library uses."""
_PEEKED = 32 * 1024
"""Bytes of a request that are judged before it goes on; a socket holds at least as many unread."""
_ACCEPTED_AT_ONCE = 64
_DEFERRED_SECONDS = 1
_TOLD_EVERY_SECONDS = 5.0
_BREATH_SECONDS = 0.01
_SILENT, _HURRIED = "nothing came in time", "others wait"

Admit = Callable[[socket.socket, Any], bool]
"""Takes over a connection (blocking, nothing read) and its address; False: there is no room for it."""


@dataclass(frozen=True, slots=True)
class _Guest:
    connection: socket.socket
    address: Any
    until: float


class WaitingRoom:
    """Accepts on `listener` and hands on to `admit`, in its own thread, whoever has sent a whole request.

    Others are closed after `patience` seconds, the oldest sooner where all chairs are taken; what is no request is
    answered with A-ABORT (PS3.8 9.2, AA-1), what `admit` has no room for with A-ASSOCIATE-RJ "local limit exceeded".
    """

    def __init__(self, listener: socket.socket, admit: Admit, patience: float, chairs: int = CHAIRS) -> None:
        self._listener, self._admit, self._patience, self._chairs = listener, admit, patience, chairs
        self._guests: dict[int, _Guest] = {}
        self._poll = select.epoll()
        self._bell, self._ringer = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="dicom-waiting-room", daemon=True)
        self._report = _Report()

    @property
    def waiting(self) -> int:
        """Connections that have not sent a whole request yet."""
        return len(self._guests)

    def start(self) -> None:
        self._listener.setblocking(False)
        with contextlib.suppress(OSError, AttributeError):  # the kernel keeps to itself who says nothing at all
            self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFERRED_SECONDS)
        self._poll.register(self._listener, select.EPOLLIN)
        self._poll.register(self._bell, select.EPOLLIN)
        self._thread.start()

    def stop(self) -> None:
        """Close the listener and all who wait."""
        self._ringer.close()
        if self._thread.is_alive():
            self._thread.join()
        for connection in (self._listener, self._bell, *(guest.connection for guest in self._guests.values())):
            connection.close()
        self._guests.clear()
        self._poll.close()

    def _serve(self) -> None:
        while True:
            for descriptor, events in self._poll.poll(self._pause()):
                if descriptor == self._bell.fileno():
                    return
                if descriptor == self._listener.fileno():
                    self._accept()
                elif guest := self._guests.get(descriptor):
                    self._look(guest, bool(events & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)))
            self._end_patience()
            self._report.tell()

    def _pause(self) -> float | None:
        """Seconds until there is something to do although nobody calls."""
        until = [guest.until for guest in list(self._guests.values())[:1]] + self._report.due()
        return max(0.0, min(until) - time.monotonic()) + 0.001 if until else None

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:  # out of descriptors, or it is gone already
                self._close_oldest()
                time.sleep(_BREATH_SECONDS)
                return
            connection.setblocking(False)
            guest = _Guest(connection, address, time.monotonic() + self._patience)
            self._guests[connection.fileno()] = guest
            self._poll.register(connection, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
            self._look(guest, False)
            if len(self._guests) > self._chairs:
                self._close_oldest()

    def _look(self, guest: _Guest, ended: bool) -> None:
        """Decide on what has come so far. The bytes stay in the socket: whoever takes over reads them."""
        try:
            head = guest.connection.recv(requests.HEAD, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            head = b""
        if not head:
            self._leave(guest)
            return
        fault = requests.head_fault(head)
        if fault is None and len(head) == requests.HEAD:
            length = requests.announced(head)
            if min(length, _PEEKED) <= _unread(guest.connection):
                self._decide(guest, length)
                return
        if fault:
            self._turn_away(guest, fault.text, fault.answer)
        elif ended:
            self._turn_away(guest, "its request breaks off", b"")

    def _decide(self, guest: _Guest, length: int) -> None:
        """A whole request is there (or as much of a long one as is judged)."""
        fault = None
        if length <= _PEEKED:
            fault = requests.request_fault(guest.connection.recv(length, socket.MSG_PEEK))
        if fault:
            self._turn_away(guest, fault.text, fault.answer)
            return
        self._forget(guest)
        guest.connection.setblocking(True)
        if not self._admit(guest.connection, guest.address):
            guest.connection.setblocking(False)
            self._refuse(guest, "all associations are taken", requests.NO_ROOM)

    def _end_patience(self) -> None:
        now = time.monotonic()
        while self._guests and (oldest := next(iter(self._guests.values()))).until <= now:
            self._turn_away(oldest, _SILENT, b"")

    def _close_oldest(self) -> None:
        if self._guests:
            self._turn_away(next(iter(self._guests.values())), _HURRIED, b"")

    def _turn_away(self, guest: _Guest, why: str, answer: bytes) -> None:
        self._forget(guest)
        self._refuse(guest, why, answer)

    def _refuse(self, guest: _Guest, why: str, answer: bytes) -> None:
        self._report.add(why, guest.address)
        with contextlib.suppress(OSError):
            # What stays unread when the connection is closed would make the peer's end drop our answer.
            guest.connection.recv(_PEEKED)
            guest.connection.send(answer)
            guest.connection.shutdown(socket.SHUT_RDWR)
        guest.connection.close()

    def _leave(self, guest: _Guest) -> None:
        """It was only looked whether somebody listens."""
        self._forget(guest)
        guest.connection.close()

    def _forget(self, guest: _Guest) -> None:
        descriptor = guest.connection.fileno()
        del self._guests[descriptor]
        self._poll.unregister(descriptor)


def _unread(connection: socket.socket) -> int:
    """Bytes that have come and were not read."""
    (count,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)))
    return int(count)


class _Report:
    """One log line in a while, however many are turned away."""

    def __init__(self) -> None:
        self._log = structlog.get_logger()
        self._reasons: Counter[str] = Counter()
        self._address: Any = None
        self._told_at = -_TOLD_EVERY_SECONDS

    def add(self, why: str, address: Any) -> None:
        self._reasons[why] += 1
        self._address = address

    def due(self) -> list[float]:
        return [self._told_at + _TOLD_EVERY_SECONDS] if self._reasons else []

    def tell(self) -> None:
        now = time.monotonic()
        if self._reasons and now >= self._told_at + _TOLD_EVERY_SECONDS:
            self._log.warning("dicom_connections_turned_away", reasons=dict(self._reasons),
                              last_address=self._address[0] if self._address else "")
            self._reasons.clear()
            self._told_at = now
