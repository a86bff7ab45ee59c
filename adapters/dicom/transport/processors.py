"""Whether the machine has a processor to spare for what can wait."""

from __future__ import annotations

import contextlib
import os

_LOAD = "/proc/loadavg"


class Processors:
    """Those that this process may use. Asking costs two microseconds."""

    def __init__(self) -> None:
        self._load: int | None = None
        with contextlib.suppress(OSError):  # where the machine does not tell, none is taken
            self._load = os.open(_LOAD, os.O_RDONLY | os.O_CLOEXEC)
        self._count = len(os.sched_getaffinity(0))

    def are_taken(self) -> bool:
        """Whether more wants to run at this moment, the caller included, than there are processors."""
        if self._load is None:
            return False
        try:
            running, _, _ = os.pread(self._load, 64, 0).split()[3].partition(b"/")
            return int(running) > self._count
        except (OSError, ValueError, IndexError):  # a container's own view of it may be gone
            return False

    def close(self) -> None:
        if self._load is not None:
            os.close(self._load)
