"""Objects received a second: ours, which syncs each object before its answer, beside DCMTK's storescp and stock
pynetdicom, which sync none, Orthanc, which on its defaults syncs each file (once, by fdatasync; not its name), and
`least`, which syncs and does nothing else; and how many of ours are in the index a second. Sent by DCMTK's storescu
with TCP_NODELAY=1, over one association and over eight at once, and over eight for longer. Counted since all of its
processes were ready to connect (where there is a C compiler); besides, without limits, since they were started, which
for eight takes a third of the time in which 300 slices are received. Then memory: one object of 2 GB, and a hundred
associations at once. Then what an object costs the index when it holds a thousand objects and when it holds a million.

BENCH_ROUNDS (3): how often each server takes each load; medians of the ratios within a round count.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from tests import programs
from tests.bench import index_cost, receivers, studies
from tests.bench.gateway_process import Gateway, await_value, gateway
from tests.bench.large_object import associations_at_once, send_large
from tests.bench.lines import against_limit, against_peer, progress, skipped
from tests.bench.senders import send

LOADS = {"525KB": (300, (512, 512)), "20KB": (3000, (100, 100))}
"""Objects, and rows and columns of 16 bits each."""
ASSOCIATIONS = (1, 8)
LASTING = 1200
"""Slices over eight associations, one round: so many that the first get their files while the last are coming."""
REST_SECONDS = 3.0
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
LEAST = {("storescp", 1): 0.65, ("storescp", 8): 0.9, ("Orthanc", 1): 3, ("Orthanc", 8): 3, ("pynetdicom", 1): 3,
         ("pynetdicom", 8): 3}
GROWTH_MB = 150
LARGE_BYTES = 2 * 1024**3
MANY = 100
COST_RATIO = 1.2
Load = tuple[str, int]


def write(folder: Path, objects: int, shape: tuple[int, int]) -> list[Path]:
    """CT slices of noise, as files."""
    noise = np.random.default_rng(1).integers(-1000, 1000, (objects, *shape), np.int16)
    folder.mkdir()
    paths = []
    for number, content in enumerate(studies.ct(folder.name, noise, (1.0, 1.0, 1.0))):
        path = folder / f"{number:04d}.dcm"
        path.write_bytes(content)
        paths.append(path)
    return paths


def rest(paths: list[Path]) -> None:
    """Before a load: what the server has put off is done, what the disk has, written, and what is sent, in memory."""
    for path in paths:
        path.read_bytes()
    time.sleep(REST_SECONDS)


@dataclass(frozen=True)
class Rates:
    """Objects a second: until the last is answered, the same counted from the start of the senders' programs, and until
    the last is in the index."""

    answered: float
    with_start: float
    indexed: float


def measure(name: str, receiver: receivers.Receiver, folder: Path, loads: dict[Load, list[Path]]) -> dict[Load, Rates]:
    """One round: a fresh server takes every load once. What it wrote stays until the end: a file system that has just
    freed many files makes new ones slowly."""
    folder.mkdir(parents=True)
    found, sent = {}, 0
    with receiver(folder) as server:
        for key, paths in loads.items():
            rest(paths)
            took = send(server.port, paths, key[1])
            began = time.perf_counter() - took.since_ready
            sent += len(paths)
            if server.indexed is not None:
                server.indexed(sent)
            found[key] = Rates(len(paths) / took.since_ready, len(paths) / took.since_start,
                               len(paths) / (time.perf_counter() - began))
    told = ", ".join(f"{size} × {n}: {rates.answered:.0f}/s" for (size, n), rates in found.items())
    progress(f"{name}: {told}")
    return found


def rates(folder: Path) -> None:
    everyone = {"ours": receivers.ours, **receivers.peers()}
    loads = {(size, n): write(folder / f"{size}-{n}", *load) for size, load in LOADS.items() for n in ASSOCIATIONS}
    rounds = [{name: measure(name, receiver, folder / f"{number}-{name}", loads)
               for name, receiver in everyone.items()} for number in range(ROUNDS)]
    for load in loads:
        size, associations = load
        for peer in everyone:
            if peer != "ours":
                ours, theirs = (median(one[name][load].answered for one in rounds) for name in ("ours", peer))
                against_peer(f"receive_{size}_{associations}_associations_per_second", ours, peer, theirs,
                             note="each object synced before its answer", least=LEAST.get((peer, associations), 0),
                             ratio=median(one["ours"][load].answered / one[peer][load].answered for one in rounds))
                ours, theirs = (median(one[name][load].with_start for one in rounds) for name in ("ours", peer))
                against_peer(f"receive_{size}_{associations}_associations_per_second_with_start_of_senders", ours, peer,
                             theirs, ratio=median(one["ours"][load].with_start / one[peer][load].with_start
                                                  for one in rounds))
        indexed, answered = (median(getattr(one["ours"][load], what) for one in rounds)
                             for what in ("indexed", "answered"))
        against_peer(f"receive_{size}_{associations}_associations_indexed_per_second", indexed, "answered", answered,
                     note="until the last is filed and in the index")


def lasting(folder: Path) -> None:
    loads = {("525KB", 8): write(folder / "lasting", LASTING, LOADS["525KB"][1])}
    found = {name: measure(name, receiver, folder / f"lasting-{name}", loads)["525KB", 8].answered
             for name, receiver in {"ours": receivers.ours, **receivers.peers()}.items()}
    for peer, theirs in found.items():
        if peer != "ours":
            against_peer(f"receive_{LASTING}_of_525KB_8_associations_per_second", found["ours"], peer, theirs,
                         note="each object synced, and most filed, meanwhile")


def memory(folder: Path) -> None:
    with gateway(folder / "memory") as running:
        loads: dict[str, Callable[[], None]] = {
            "receive_memory_2GB_object_MB": partial(send_large, running.dicom_port, LARGE_BYTES),
            f"receive_memory_{MANY}_associations_MB": partial(associations_at_once, running.dicom_port, MANY)}
        for name, sends in loads.items():
            before = resident_mb(running)
            Path(f"/proc/{running.pid}/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
            sends()
            against_limit(name, running.peak_memory_gb() * 1000 - before, GROWTH_MB, digits=0)
        stored = await_value(lambda: _stored(running, 1 + MANY), 60, "all of them in the index")
        progress(f"{stored} objects in the index")


def _stored(running: Gateway, wanted: int) -> int | None:
    count = running.ask("SELECT count(*) FROM instances")[0]
    return int(count) if count >= wanted else None


def resident_mb(running: Gateway) -> float:
    status = Path(f"/proc/{running.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 / 1e6 for line in status.splitlines() if line.startswith("VmRSS"))


def main() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if programs.find("storescu"):
            rates(folder)
            lasting(folder)
        else:
            skipped("receive", "storescu (DCMTK), which sends, is not installed")
        memory(folder)
        few, many = index_cost.per_object(folder / "index")
        progress(f"an object costs the index {few * 1e6:.0f} µs among a thousand, {many * 1e6:.0f} µs among a million")
        against_limit("receive_index_cost_at_a_million_by_that_at_a_thousand", many / few, COST_RATIO)


if __name__ == "__main__":
    main()
