"""A chest CT of 300 slices of 512 × 512, read in process: from its files to result, evidence and picture."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from adapters.dicom.content.volume import load_volume
from adapters.inference.embedded import EmbeddedInference
from gateway.study import Instance
from pipelines.chest_ct import PIPELINE, synthetic
from tests.bench.lines import against_limit, progress
from tests.builders import study
from tests.ct_series import described, save, slice_dataset
from tests.reading import MODELS, read

LIMIT = 20.0
"""Seconds."""
SLICES, ROUNDS = 300, 3
AXIAL = {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}


def written(folder: Path) -> list[Instance]:
    """A sick synthetic chest, slice upon slice of about 1 mm."""
    case = synthetic.samples()[1]
    made = []
    for number in range(SLICES):
        picture = case.hu[number * len(case.hu) // SLICES].repeat(2, axis=0).repeat(2, axis=1)
        stored = np.clip(picture + 1024, 0, 4095).astype(np.uint16)
        data = slice_dataset(stored, f"2.25.77{number:04d}", (-190.0, -190.0, 1.07 * number),
                             PixelSpacing=[0.75, 0.75], SliceThickness=1.07)
        made.append(described(data, Path(save(data, folder).path), **AXIAL))
    return made


def bench(folder: Path) -> None:
    progress(f"writing {SLICES} slices")
    made = written(folder)
    of = study("ct", instances=SLICES, tags={**AXIAL, "SliceThickness": 1.07})
    inference, took = EmbeddedInference(MODELS, 60, 0), []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        result = read(PIPELINE, of, lambda _: load_volume(tuple(made)), inference).result
        took.append(time.perf_counter() - began)
        progress(f"{result.verdict}: {took[-1]:.2f} s")
    against_limit("ct_study_seconds", median(took[1:]), LIMIT, note=f"{SLICES} slices of 512 x 512, embedded")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        bench(Path(place))
