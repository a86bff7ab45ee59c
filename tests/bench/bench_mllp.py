"""HL7 over MLLP, 8 connections: ours stores each message in SQLite before it acknowledges; PyPI hl7's asyncio server
parses and acknowledges. Once the MLLP server and its log alone, once inside a whole gateway, which applies the orders
meanwhile. `python -m tests.bench.bench_mllp`."""

from __future__ import annotations

import importlib.util
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
from tests.bench.gateway_process import gateway
from tests.bench.lines import against_peer, progress, skipped
from tests.hl7_samples import order

CONNECTIONS, MESSAGES, ROUNDS = 8, 4000, 3
DEMANDED = 1000


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


def whole_gateway() -> float:
    """A real process on its embedded defaults; applying the orders goes on beside the receiving."""
    with tempfile.TemporaryDirectory() as directory, gateway(Path(directory)) as running:
        return load(running.mllp_port)


def python_hl7() -> float:
    from tests.hl7_ris import Ris

    with Ris() as ris:
        return load(ris.port)


def milliseconds(call: Callable[[], object], repeats: int = 500) -> float:
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats * 1000


def rates(measured: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Medians of rounds in turn, so that what else the machine does meets all alike."""
    found: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(ROUNDS):
        for name, measure in measured.items():
            found[name].append(measure())
            progress(f"{name}: {found[name][-1]:.0f} messages/s")
    return {name: median(values) for name, values in found.items()}


def main() -> None:
    has_peer = importlib.util.find_spec("hl7") is not None
    measured = {"MLLP server alone": ours, "whole gateway": whole_gateway}
    found = rates(measured | ({"python-hl7": python_hl7} if has_peer else {}))
    inside = found["whole gateway"]
    print(f"bench mllp_gateway_messages_per_second: ours {inside:.0f} (stored, orders being applied), "
          f"at least {DEMANDED}, ratio {inside / DEMANDED:.2f}{'' if inside >= DEMANDED else ', limit MISSED'}",
          flush=True)
    if not has_peer:
        skipped("mllp_messages_per_second, hl7_parse_ms", "the peer python-hl7 is not installed")
        return
    against_peer("mllp_messages_per_second", found["MLLP server alone"], "python-hl7 (nothing stored)",
                 found["python-hl7"], note="stored")
    compare_parsing()


def compare_parsing() -> None:
    from tests.hl7_ris import parsed

    raw, charsets = order(), Charsets()
    mine = milliseconds(lambda: [s.raw(1) for s in read(raw, charsets).segments])
    against_peer("hl7_parse_ms", mine, "python-hl7", milliseconds(lambda: parsed(raw)), digits=3)


if __name__ == "__main__":
    main()
