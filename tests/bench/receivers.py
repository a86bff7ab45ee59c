"""Storage SCPs to send to: our own gateway, the peers that are installed, and the least that receiving costs; each a
process of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import programs
from tests.bench.gateway_process import ROOT, await_value, free_port, gateway
from tests.bench.lines import skipped


@dataclass(frozen=True)
class Served:
    """`indexed`: waits until so many objects are in the index in all; where nobody asks for it, nothing to wait for."""

    port: int
    indexed: Callable[[int], None] | None = None


Receiver = Callable[[Path], AbstractContextManager[Served]]
"""Starts in an empty folder of its own."""


@contextmanager
def ours(folder: Path) -> Iterator[Served]:
    """A whole gateway with two receiver processes: every object synced before its answer, and indexed soon after."""
    port = free_port()
    with gateway(folder, dicom={"port": port, "processes": 2}) as running:
        def indexed(objects: int) -> None:
            await_value(lambda: running.ask("SELECT count(*) FROM instances")[0] >= objects or None, 60,
                        f"{objects} objects in the index")

        yield Served(port, indexed)


@contextmanager
def storescp(folder: Path) -> Iterator[Served]:
    """DCMTK, a process for each association."""
    port, program = free_port(), programs.find("storescp") or ""
    with _server([program, "--fork", "--bit-preserving", "--output-directory", str(folder), str(port)], port):
        yield Served(port)


@contextmanager
def orthanc(folder: Path) -> Iterator[Served]:
    """On its defaults but for ports, folders and who may send."""
    port, http = free_port(), free_port()
    settings = {"StorageDirectory": str(folder), "IndexDirectory": str(folder), "DicomPort": port, "HttpPort": http,
                "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "DicomCheckCalledAet": False,
                "Plugins": []}
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings), encoding="utf-8")
    with _server([_orthanc_program(), str(config)], port):
        yield Served(port)


@contextmanager
def pynetdicom(folder: Path) -> Iterator[Served]:
    port = free_port()
    with _server([sys.executable, "-m", "tests.bench.pynetdicom_scp", str(port), str(folder)], port):
        yield Served(port)


@contextmanager
def least(folder: Path) -> Iterator[Served]:
    """No product: C that does nothing but receive, sync and answer; what can be reached at most with each synced."""
    port, program = free_port(), folder / "least"
    subprocess.run(["cc", "-O2", "-o", str(program), str(ROOT / "tests/bench/least.c")], check=True)
    with _server([str(program), str(port), str(folder)], port):
        yield Served(port)


def peers() -> dict[str, Receiver]:
    """Those that are here; the others are told."""
    found: dict[str, Receiver] = {"pynetdicom": pynetdicom}
    for name, program, receiver in (("storescp", programs.find("storescp"), storescp),
                                    ("Orthanc", _orthanc_program(), orthanc),
                                    ("least", shutil.which("cc"), least)):
        if program:
            found[name] = receiver
        else:
            skipped(f"receive, peer {name}", "it is not installed")
    return found


def _orthanc_program() -> str:
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin") or ""


@contextmanager
def _server(command: Sequence[str], port: int) -> Iterator[None]:
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TCP_NODELAY": "1"}, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            await_value(lambda: _listens(process, port), 60, f"{command[0]} on its port")
            yield
        finally:
            process.terminate()


def _listens(process: subprocess.Popen[bytes], port: int) -> bool | None:
    if process.poll() is not None:
        raise RuntimeError(f"{process.args!r} ended by itself")
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return None
    return True
