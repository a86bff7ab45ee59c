"""The places for associations, and who gives way when they are all taken by peers that do nothing."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import structlog

from adapters.dicom.content.upper_layer import ABORT, pdu

SAID_NOTHING = 1024
"""Bytes after the request: less is no object, at most an echo or half a command."""
FLOOD = 8
"""So many that have said nothing, and more than half of all, are no burst of senders that are only just beginning."""
SILENT_SECONDS = 5.0
QUIET_SECONDS = 30.0
_ESTABLISHED = 1
_ABORT = pdu(ABORT, bytes((0, 0, 2, 0)))

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Activity:
    """Of one association. `age`: seconds since its request; `said`: bytes since then; `quiet`: seconds without any."""

    age: float
    said: int
    quiet: float


def who_gives_way(taken: Mapping[Key, Activity], most: int) -> Key | None:
    """Whose place a newcomer may have when all `most` are taken: of those who have said nothing the one that came
    first, where they are many or it has been long; else who has been quiet longest. None: nobody's."""
    silent = [key for key, activity in taken.items() if activity.said <= SAID_NOTHING]
    if silent:
        first = max(silent, key=lambda key: taken[key].age)
        if len(silent) > max(FLOOD, most // 2) or taken[first].age >= SILENT_SECONDS:
            return first
    longest = max(taken, key=lambda key: taken[key].quiet, default=None)
    return longest if longest is not None and taken[longest].quiet >= QUIET_SECONDS else None


@dataclass(frozen=True, slots=True)
class _Since:
    at: float
    received: int


class Places:
    """At most `most` at the same time. A place is free again once its connection is closed by anybody."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._taken: WeakKeyDictionary[socket.socket, _Since] = WeakKeyDictionary()

    def take(self, connection: socket.socket) -> bool:
        """False where there is no place, and nobody whose it should not be; whoever gives way is aborted."""
        with self._lock:
            there = self._there()
            if len(there) >= self._most:
                idle = {key: activity for key, activity in there.items() if not _unread(key)}
                leaves = who_gives_way(idle, self._most)
                if leaves is None:
                    return False
                self._end(leaves, there[leaves])
            self._taken[connection] = _Since(time.monotonic(), _info(connection)[1])
        return True

    def _there(self) -> dict[socket.socket, Activity]:
        now, there = time.monotonic(), {}
        for connection, since in list(self._taken.items()):
            state, received, quiet = _info(connection)
            if state == _ESTABLISHED:
                there[connection] = Activity(now - since.at, received - since.received, quiet)
            else:
                del self._taken[connection]
        return there

    def _end(self, connection: socket.socket, activity: Activity) -> None:
        structlog.get_logger().warning("association_gave_way", seconds=round(activity.age, 1), bytes=activity.said)
        del self._taken[connection]
        with contextlib.suppress(OSError):
            connection.send(_ABORT, socket.MSG_DONTWAIT)
            connection.shutdown(socket.SHUT_RDWR)


def _info(connection: socket.socket) -> tuple[int, int, float]:
    """(state, bytes received, seconds since the last) as the kernel counts them (Linux, `struct tcp_info`)."""
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
    except OSError:  # closed
        return 0, 0, 0.0
    return info[0], int(struct.unpack_from("Q", info, 128)[0]), struct.unpack_from("I", info, 52)[0] / 1000


def _unread(connection: socket.socket) -> int:
    try:
        return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4)))[0])
    except (OSError, ValueError):
        return 0
