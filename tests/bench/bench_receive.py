"""Objects received a second: ours, which syncs each object and its directory entry before it answers, beside DCMTK's
storescp, Orthanc and stock pynetdicom, which sync none. Sent by DCMTK's storescu with TCP_NODELAY=1, over one
association and over four at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from tests.bench import receivers, studies
from tests.bench.lines import against_peer, progress, skipped

LOADS = {"525KB": (300, (512, 512)), "20KB": (1000, (100, 100))}
"""Objects, and rows and columns of 16 bits each."""
ASSOCIATIONS = (1, 4)
ROUNDS = 2


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


def send(port: int, paths: list[Path], associations: int) -> float:
    """Objects a second, from the start of the first storescu to the end of the last."""
    command = ["storescu", "--required", "-aec", "ANY", "127.0.0.1", str(port)]
    began = time.perf_counter()
    running = [subprocess.Popen([*command, *map(str, paths[n::associations])],
                                env=os.environ | {"TCP_NODELAY": "1"}) for n in range(associations)]
    statuses = [process.wait() for process in running]
    assert not any(statuses), f"storescu ended with {statuses}"
    return len(paths) / (time.perf_counter() - began)


def measure(name: str, receiver: receivers.Receiver, loads: dict[tuple[str, int], list[Path]]) -> dict[
        tuple[str, int], float]:
    """One round: a fresh server takes every load once."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, receiver(Path(folder)) as port:
        found = {key: send(port, paths, key[1]) for key, paths in loads.items()}
    told = ", ".join(f"{size} × {associations}: {rate:.0f}/s" for (size, associations), rate in found.items())
    progress(f"{name}: {told}")
    return found


def main() -> None:
    if not shutil.which("storescu"):
        skipped("receive", "storescu (DCMTK), which sends, is not installed")
        return
    everyone = {"ours": receivers.ours, **receivers.peers()}
    with tempfile.TemporaryDirectory() as folder:
        loads = {(size, n): write(Path(folder) / f"{size}-{n}", *load) for size, load in LOADS.items()
                 for n in ASSOCIATIONS}
        rounds = [{name: measure(name, receiver, loads) for name, receiver in everyone.items()}
                  for _ in range(ROUNDS)]
    for size, associations in loads:
        rate = {name: median(one[name][size, associations] for one in rounds) for name in everyone}
        for peer in everyone:
            if peer != "ours":
                against_peer(f"receive_{size}_{associations}_associations_per_second", rate["ours"], peer, rate[peer],
                             note="each object synced")


if __name__ == "__main__":
    main()
