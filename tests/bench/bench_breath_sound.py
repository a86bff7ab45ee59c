"""A breath sound of 15 s at 44.1 kHz, read in process: from its samples to the result and its picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import numpy as np
from scipy.signal import resample_poly

from adapters.inference.embedded import EmbeddedInference
from gateway.audio import Audio
from gateway.study import Instance
from pipelines.asthma import PIPELINE
from pipelines.asthma.synthetic import breath
from tests.bench.lines import against_limit, progress
from tests.builders import study
from tests.reading import MODELS, read

LIMIT = 1.0
"""Seconds."""
ROUNDS = 9


def sound() -> Callable[[tuple[Instance, ...]], Audio]:
    fast = resample_poly(breath("wheezes", 5).astype(np.float64), 441, 40).astype(np.float32)
    return lambda instances: Audio(fast[None], 44100.0, instances[0].sop_instance_uid, ((1, 1),))


def main() -> None:
    made = study("ct", instances=1, tags={"Modality": "AU"})
    (series,) = made.series
    recorded = replace(series.instances[0], sop_class_uid="1.2.840.10008.5.1.4.1.1.9.4.2")
    of = replace(made, series=(replace(series, modality="AU", instances=(recorded,)),))
    load, inference = sound(), EmbeddedInference(MODELS, 60, 0)
    took = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        result = read(PIPELINE, of, load, inference).result
        took.append(time.perf_counter() - began)
        progress(f"{result.verdict}: {took[-1]:.3f} s")
    against_limit("breath_sound_seconds", median(took[1:]), LIMIT, note="15 s at 44.1 kHz, embedded, picture included")


if __name__ == "__main__":
    main()
