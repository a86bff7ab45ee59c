"""One at a time for each name, among the threads of a process and among processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

_LOCKS = 64


class NameLocks:
    """A small file stands for each name, shared with others; the lock on it goes with its process.

    It is opened anew for each lock, so that threads keep each other out as processes do, and for reading only, so that
    it never keeps a file system from being made read-only.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is made where it is missing. Raises OSError."""
        folder.mkdir(mode=0o750, exist_ok=True)
        self._paths = tuple(str(folder / f"{number:02d}.lock") for number in range(_LOCKS))

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Raises OSError where the file system takes no locks."""
        path = self._paths[zlib.crc32(name.encode("utf-8", "surrogatepass")) % _LOCKS]
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
