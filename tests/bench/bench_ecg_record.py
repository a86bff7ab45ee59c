"""One ECG of ten seconds, read in process after decoding: gates, measurements, network, result and picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from adapters.inference.embedded import EmbeddedInference
from gateway.pipeline import Ecg, Pipeline
from gateway.ports import Inference
from gateway.study import Instance
from pipelines import ecg_1lead, ecg_12lead, ecg_mi
from pipelines.ecg.leads import LEADS
from pipelines.ecg.synthetic import KINDS, RATE, synthesise
from tests.bench.lines import against_limit, progress
from tests.builders import study
from tests.reading import MODELS, read

LIMIT = 100.0
"""Milliseconds."""
ROUNDS = 12


def recording(kind: str, seed: int, leads: int) -> Callable[[tuple[Instance, ...]], Ecg]:
    noise = np.random.default_rng(seed).normal(0, 0.01, (leads, 5000))
    signal = (synthesise(kind, seed)[:leads] + noise).astype(np.float32)
    channels = tuple((1, number + 1) for number in range(leads))
    return lambda instances: Ecg(signal, RATE, LEADS[:leads], instances[0].sop_instance_uid, channels)


def milliseconds(pipeline: Pipeline, leads: int, inference: Inference) -> tuple[list[float], list[float]]:
    """Of each recording, three kinds by turns: on the wall's clock, and the processor's over all threads."""
    of, wall, processor = study("ecg"), [], []
    for number in range(3 * ROUNDS + 1):
        load = recording(KINDS[number % 3], number, leads)
        began, worked = time.perf_counter(), time.process_time()
        read(pipeline, of, load, inference)
        wall.append(1000 * (time.perf_counter() - began))
        processor.append(1000 * (time.process_time() - worked))
    return wall[1:], processor[1:]


def main() -> None:
    inference = EmbeddedInference(MODELS, 60, 0)
    for pipeline, leads in ((ecg_12lead.PIPELINE, 12), (ecg_1lead.PIPELINE, 1), (ecg_mi.PIPELINE, 12)):
        wall, processor = milliseconds(pipeline, leads, inference)
        progress(f"{pipeline.name}: {min(wall):.0f}-{max(wall):.0f} ms")
        note = f"ms a record, median of {len(wall)}, embedded, after decoding; {median(processor):.0f} on the processor"
        against_limit(f"{pipeline.name}_record_ms", median(wall), LIMIT, digits=0, note=note)


if __name__ == "__main__":
    main()
