"""One engine process for a data directory: a lock file that also keeps the executor's name over restarts."""

from __future__ import annotations

import fcntl
import os
import socket
import uuid
from pathlib import Path

from gateway.errors import ConfigurationError


class DataDirectoryLock:
    """Held from construction to `release`. The lock goes with the process, also when it is killed."""

    def __init__(self, data_dir: Path) -> None:
        """Raises ConfigurationError when another process holds it, or when nothing can be written there."""
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(data_dir / "gateway.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(f"data_dir: nothing can be written to {data_dir} ({error.strerror}): let this "
                                     "user write there, or set another data_dir (GATEWAY_DATA_DIR)") from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._handle)
            raise ConfigurationError(f"another gateway is running on {data_dir}: stop it, or set another data_dir "
                                     "(GATEWAY_DATA_DIR)") from error
        self.executor_id = self._name()

    def _name(self) -> str:
        """The same after a restart, so that interrupted work is picked up at once."""
        known = os.read(self._handle, 200).decode(errors="replace").strip()
        if known:
            return known
        name = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        os.write(self._handle, name.encode())
        os.fsync(self._handle)
        return name

    def release(self) -> None:
        os.close(self._handle)
