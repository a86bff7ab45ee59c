"""300 uncompressed CT slices of 512 × 512 to a volume in HU, against the usual pydicom loop on the same files."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from pydicom import dcmread

from adapters.dicom.content.volume import load_volume
from gateway.study import Instance
from tests.bench.lines import against_peer, progress
from tests.ct_series import series

SLICES, ROUNDS = 300, 5


def usual(instances: list[Instance]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The loop that most programs write: read whole files, sort by height, rescale `pixel_array`, stack."""
    data = sorted((dcmread(i.path) for i in instances), key=lambda d: float(d.ImagePositionPatient[2]))
    return np.stack([(d.pixel_array * d.RescaleSlope + d.RescaleIntercept).astype(np.float32) for d in data])


def bench(folder: Path) -> None:
    """Medians of alternating rounds, files warm in the page cache; the values must be equal."""
    progress(f"writing {SLICES} slices")
    made = series(folder, SLICES, shape=(512, 512), spacing=1.0)
    if not np.array_equal(load_volume(tuple(made)).hu, usual(made)):
        raise AssertionError("the volumes differ")
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        ours.append(_seconds(lambda: load_volume(tuple(made))))
        theirs.append(_seconds(lambda: usual(made)))
    against_peer("ct_volume", median(ours), "pydicom pixel_array loop", median(theirs), digits=2, note="seconds")


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        bench(Path(place))
