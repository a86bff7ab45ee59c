"""DCMTK's command line tools as peers."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import programs

ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 20) -> None:
    """Return once somebody listens there. Raises TimeoutError."""
    pause, tries = threading.Event(), int(seconds / 0.05)
    for _ in range(tries):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            pause.wait(0.05)
        else:
            return
    raise TimeoutError(f"nobody listens on port {port}")


def run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end; skips the test where it is not installed."""
    program = programs.find(tool)
    if program is None:
        pytest.skip(f"{tool} (DCMTK) is not installed")
    return subprocess.run([program, *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True, timeout=120,
                          check=False)


@contextlib.contextmanager
def receiver(directory: Path) -> Iterator[int]:
    """The port of a storescp that keeps every data set bit for bit in `directory`; skips where it is not installed."""
    program = programs.find("storescp")
    if program is None:
        pytest.skip("storescp (DCMTK) is not installed")
    directory.mkdir(exist_ok=True)
    port = free_port()
    command = [program, "--bit-preserving", "--output-directory", str(directory), str(port)]
    with subprocess.Popen(command, env=ENVIRONMENT) as process:
        try:
            wait_for_port(port)
            yield port
        finally:
            process.terminate()
