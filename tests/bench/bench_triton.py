"""The same study read with a real Triton server and in process, by turns: how much longer the server makes it.

Both run ONNX Runtime with one thread. The server is the tests' own: it serves ONNX models by its Python backend, one
copy of the data more than Triton's own.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from adapters.dicom.content.photo_read import load_photograph
from adapters.inference.embedded import EmbeddedInference
from adapters.inference.triton import TritonInference
from gateway.ports import Inference
from pipelines import dermoscopy, ecg_1lead, ecg_12lead
from tests.bench import bench_dermoscopy
from tests.bench.bench_ecg_record import recording
from tests.bench.lines import against_limit, progress, skipped
from tests.builders import study
from tests.peers.triton import Triton
from tests.reading import MODELS, read

LIMIT = 1.3
ROUNDS = 25


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    reading: Callable[[Inference], object]


def kinds(folder: Path) -> list[Kind]:
    of, photo = study("ecg"), bench_dermoscopy.photographed(folder)
    twelve, one = recording("afib", 3, 12), recording("afib", 3, 1)
    return [Kind("ecg_12lead", lambda asked: read(ecg_12lead.PIPELINE, of, twelve, asked)),
            Kind("ecg_1lead", lambda asked: read(ecg_1lead.PIPELINE, of, one, asked)),
            Kind("dermoscopy", lambda asked: read(dermoscopy.PIPELINE, photo,
                                                  lambda instances: load_photograph(instances[0]), asked))]


def milliseconds(kind: Kind, asked: Inference) -> float:
    began = time.perf_counter()
    kind.reading(asked)
    return 1000 * (time.perf_counter() - began)


def compare(kind: Kind, server: Inference, here: Inference) -> None:
    rounds = [(milliseconds(kind, server), milliseconds(kind, here)) for _ in range(ROUNDS + 1)][1:]
    theirs, ours = (median(sorted(took)[:ROUNDS // 2]) for took in zip(*rounds, strict=True))
    progress(f"{kind.name}: {theirs:.1f} ms with Triton, {ours:.1f} ms embedded")
    against_limit(f"triton_by_embedded_{kind.name}", theirs / ours, LIMIT,
                  note=f"{theirs:.0f} ms against {ours:.0f} ms a study, medians of the faster half of {ROUNDS}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        shutil.copytree(MODELS, work / "models")
        triton = Triton(work / "models", work)
        try:
            triton.start()
            server = TritonInference(triton.address, work / "models", 60)
            here = EmbeddedInference(MODELS, 60, 1)
            for kind in kinds(work):
                compare(kind, server, here)
            server.close()
        except pytest.skip.Exception as why:
            skipped("triton_by_embedded", str(why))
        finally:
            triton.kill()


if __name__ == "__main__":
    main()
