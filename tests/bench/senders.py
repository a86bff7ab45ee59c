"""DCMTK's storescu, several at once, and how long they take."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

from tests import programs

_SOURCE = Path(__file__).with_name("together.c")


@dataclass(frozen=True)
class Sent:
    """Seconds until the last has ended: since all were ready to connect, and since the first was started.

    Without a C compiler nobody waits for the others, and both are the second.
    """

    since_ready: float
    since_start: float


def send(port: int, paths: Sequence[Path], associations: int) -> Sent:
    command = [programs.find("storescu") or "", "--required", "-aec", "ANY", "127.0.0.1", str(port)]
    ready, told = os.pipe()
    waits, go = os.pipe()
    library = _library()
    environment = os.environ | {"TCP_NODELAY": "1"}
    if library:
        environment |= {"LD_PRELOAD": library, "TOGETHER_READY": str(told), "TOGETHER_GO": str(waits)}
    began = since = time.perf_counter()
    running = [subprocess.Popen([*command, *map(str, paths[n::associations])], env=environment, pass_fds=(told, waits))
               for n in range(associations)]
    os.close(told)
    os.close(waits)
    if library:
        _await_ready(ready, running)
        since = time.perf_counter()
    os.close(go)
    statuses = [process.wait() for process in running]
    ended = time.perf_counter()
    os.close(ready)
    assert not any(statuses), f"storescu ended with {statuses}"
    return Sent(ended - since, ended - began)


def _await_ready(ready: int, running: Sequence[subprocess.Popen[bytes]]) -> None:
    """Until each is, or one has ended by itself."""
    said = 0
    while said < len(running) and all(process.poll() is None for process in running):
        if select.select([ready], [], [], 0.2)[0]:
            said += len(os.read(ready, len(running)))


@lru_cache(maxsize=1)
def _library() -> str:
    """Empty where nothing compiles it."""
    if not shutil.which("cc"):
        return ""
    library = Path(mkdtemp()) / "together.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"], check=True)
    return str(library)
