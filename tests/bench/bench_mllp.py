"""HL7 over MLLP, 8 connections: ours stores each message in SQLite before it acknowledges; PyPI hl7's asyncio server
parses and acknowledges. `python -m tests.bench.bench_mllp`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from adapters.database.connection import database_url, migrate, open_database
from adapters.database.messages import DatabaseMessageLog
from adapters.hl7.content.charset import Charsets
from adapters.hl7.content.segments import read
from adapters.hl7.transport.server import MllpServer
from gateway.settings import MllpSettings
from tests.hl7_ris import Ris, parsed
from tests.hl7_samples import order

CONNECTIONS, MESSAGES = 8, 4000


def load(port: int, messages: int = MESSAGES) -> float:
    """Messages a second, as a sender in another process sees them."""
    command = [sys.executable, "-m", "tests.bench.mllp_load", str(port), str(CONNECTIONS), str(messages)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def ours() -> float:
    """The log only stores here: applying orders to studies is the engine's work, measured elsewhere."""
    with tempfile.TemporaryDirectory() as directory:
        engine = open_database(database_url("", Path(directory)))
        migrate(engine)
        server = MllpServer(MllpSettings(port=0), "SITE", DatabaseMessageLog(engine, lambda _: None))
        server.start()
        try:
            return load(server.port)
        finally:
            server.stop()
            engine.dispose()


def python_hl7() -> float:
    with Ris() as ris:
        return load(ris.port)


def milliseconds(call: Callable[[], object], repeats: int = 500) -> float:
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats * 1000


def main() -> None:
    """Prints one line each, in the form of `make bench`."""
    our_rates, their_rates = zip(*((ours(), python_hl7()) for _ in range(3)), strict=True)
    mine, theirs = median(our_rates), median(their_rates)
    print(f"bench mllp_messages_per_second: ours {mine:.0f} (stored), peer python-hl7 {theirs:.0f} (not stored), "
          f"ratio {mine / theirs:.2f}")
    raw, charsets = order(), Charsets()
    mine = milliseconds(lambda: [s.raw(1) for s in read(raw, charsets).segments])
    theirs = milliseconds(lambda: parsed(raw))
    print(f"bench hl7_parse_ms: ours {mine:.3f}, peer python-hl7 {theirs:.3f}, ratio {mine / theirs:.2f}")


if __name__ == "__main__":
    main()
