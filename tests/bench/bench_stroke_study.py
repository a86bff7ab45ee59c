"""A head MR study of 25 slices (FLAIR, DWI, ADC), read in process: from its files to result, outline and picture."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from adapters.inference.embedded import EmbeddedInference
from gateway.app.readers import PixelsAndSamples
from gateway.reading import Fulfilment, read
from pipelines.stroke_mr import PIPELINE
from tests.bench.lines import against_limit, progress
from tests.mr_studies import both, study_of
from tests.reading import MODELS

LIMIT = 5.0
"""Seconds."""
ROUNDS = 5


def bench(folder: Path) -> None:
    of = study_of(both()[0].series, folder)
    inference = EmbeddedInference(MODELS, 60, 0)
    fulfilment = Fulfilment(PixelsAndSamples(), inference)
    took = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        result = read(PIPELINE, of, PIPELINE.select(of), fulfilment, inference).result
        took.append(time.perf_counter() - began)
        progress(f"{result.verdict}: {took[-1]:.2f} s")
    against_limit("stroke_study_seconds", median(took[1:]), LIMIT, note="3 series of 25 slices, embedded")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        bench(Path(place))
