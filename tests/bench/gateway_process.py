"""A gateway as a process of its own on its embedded defaults, its database read from outside."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

ROOT = Path(__file__).parents[2]
POLL = 0.02
T = TypeVar("T")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def await_value(ask: Callable[[], T | None], seconds: float, what: str) -> T:
    """The first answer that is not None; asked every `POLL` seconds. Raises TimeoutError."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while (value := ask()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"never came: {what}")
        pause.wait(POLL)
    return value


@dataclass(frozen=True)
class Gateway:
    """`database`: a connection of our own, which reads only."""

    pid: int
    dicom_port: int
    mllp_port: int
    database: sqlite3.Connection

    def peak_memory_gb(self) -> float:
        """VmHWM of the process (10⁹ bytes)."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        return int(kilobytes) * 1024 / 1e9

    def ask(self, sql: str, *arguments: str) -> Any:
        """The first row, or None."""
        return self.database.execute(sql, arguments).fetchone()


@contextmanager
def gateway(folder: Path, **settings: Any) -> Iterator[Gateway]:
    """Runs in `folder` until the end of the block. Raises RuntimeError when it does not start."""
    ports = free_port(), free_port(), free_port()
    defaults = {"data_dir": str(folder / "data"), "model_repository": str(ROOT / "model_repository"),
                "dicom": {"port": ports[0]}, "mllp": {"port": ports[1]}, "http": {"port": ports[2]}}
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "gateway.yaml"
    config.write_text(yaml.safe_dump(defaults | settings), encoding="utf-8")
    log = folder / "gateway.log"
    with log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-m", "gateway", "serve", "--config", str(config)], cwd=ROOT,
                                   stdout=stream, stderr=stream)
    try:
        await_value(lambda: _ready(process, f"http://127.0.0.1:{ports[2]}/readyz", log), 120, "readiness")
        database = sqlite3.connect(f"file:{folder}/data/gateway.sqlite?mode=ro", uri=True, timeout=30,
                                   isolation_level=None)
        yield Gateway(process.pid, ports[0], ports[1], database)
        database.close()
    finally:
        _end(process)


def _ready(process: subprocess.Popen[bytes], url: str, log: Path) -> bool | None:
    if process.poll() is not None:
        raise RuntimeError(f"the gateway ended by itself:\n{log.read_text(encoding='utf-8')[-3000:]}")
    try:
        return True if httpx.get(url, timeout=5, trust_env=False).status_code == 200 else None
    except httpx.TransportError:
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
