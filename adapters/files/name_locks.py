"""One at a time for each name, among the threads of a process and among processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path

_LOCKS = 64


class NameLocks:
    """A small file stands for each name, shared with others; the lock on it goes with its process.

    Opened for reading only, so that they never keep a file system from being made read-only. Threads of a process share
    the open file, so they have locks of their own besides.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is made where it is missing. Raises OSError."""
        folder.mkdir(mode=0o750, exist_ok=True)
        self._threads = tuple(threading.Lock() for _ in range(_LOCKS))
        self._descriptors: list[int] = []
        self._close = weakref.finalize(self, _close_all, self._descriptors)
        for number in range(_LOCKS):
            path = folder / f"{number:02d}.lock"
            self._descriptors.append(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Raises OSError where the file system takes no locks."""
        number = zlib.crc32(name.encode("utf-8", "surrogatepass")) % _LOCKS
        with self._threads[number]:
            fcntl.flock(self._descriptors[number], fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._descriptors[number], fcntl.LOCK_UN)

    def close(self) -> None:
        """It may not be used any more."""
        self._close()


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
