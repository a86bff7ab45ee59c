"""A PostgreSQL cluster of the test's own, on loopback, in its own folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.peers.dcmtk import free_port
from tests.peers.gateway_process import await_that

_USER = "postgres"


def _tool(name: str) -> str:
    """Of the newest version installed, as Debian lays it out; skips where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: int(p.parts[4]))
    tool = str(found[-1]) if found else shutil.which(name)
    if not tool:
        pytest.skip("PostgreSQL is not installed")
    return tool


def _user() -> str | None:
    """PostgreSQL refuses to run as root: as root it runs as Debian's user for it."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        pytest.skip("PostgreSQL does not run as root and there is no user postgres")
    return _USER


@dataclass
class Server:
    """`command` runs in `folder` as `user`. It answers on loopback between `start` and `stop`."""

    command: list[str]
    folder: Path
    user: str | None
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, user=self.user, cwd=self.folder, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        await_that(lambda: _answers(self.port), 30, "PostgreSQL answers")

    def stop(self) -> None:
        """Without waiting for its clients."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
            self.process = None


@contextmanager
def running() -> Iterator[Server]:
    """A server; anybody on loopback is its superuser `postgres`."""
    initdb, server, user = _tool("initdb"), _tool("postgres"), _user()
    # Not in pytest's folder, which no other user may enter.
    with tempfile.TemporaryDirectory(prefix="triage-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if user:
            shutil.chown(folder, user)
        subprocess.run([initdb, "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync",
                        "--pgdata", str(folder / "data")], user=user, cwd=folder, check=True, capture_output=True)
        port = free_port()
        command = [server, "-D", str(folder / "data"), "-h", "127.0.0.1", "-p", str(port), "-k", name, "-F"]
        started = Server(command, folder, user, port)
        try:
            started.start()
            yield started
        finally:
            started.stop()


@contextmanager
def cluster() -> Iterator[int]:
    """The port of a running server."""
    with running() as server:
        yield server.port


def _answers(port: int) -> bool:
    try:
        psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def new_database(port: int, name: str) -> str:
    """The URL of a fresh, empty database."""
    with psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return f"postgresql+psycopg://postgres@127.0.0.1:{port}/{name}"
