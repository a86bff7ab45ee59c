"""One at a time for each name, among the threads of a process and among processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path

_LOCKS = 64
_RANGE = struct.Struct("@hhqqi4x")
"""struct flock of Linux on 64 bits: type, whence, start, length, process."""


class NameLocks:
    """A byte of one file stands for each name; the lock on it belongs to the open file and goes with its process.

    Threads of a process share the open file, so they have locks of their own besides.
    """

    def __init__(self, path: Path) -> None:
        """`path` is made where it is missing. Raises OSError."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self._threads = tuple(threading.Lock() for _ in range(_LOCKS))

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Raises OSError where the file system takes no locks."""
        number = zlib.crc32(name.encode("utf-8", "surrogatepass"))
        with self._threads[number % _LOCKS]:
            self._set(fcntl.F_WRLCK, number)
            try:
                yield
            finally:
                self._set(fcntl.F_UNLCK, number)

    def close(self) -> None:
        """It may not be used any more."""
        self._close()

    def _set(self, kind: int, number: int) -> None:
        fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLKW, _RANGE.pack(kind, os.SEEK_SET, number, 1, 0))
