"""A dermoscopic photograph of twelve megapixels, read in process: from its JPEG to the result and its picture."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from adapters.dicom.content.photo_read import load_photograph
from adapters.files.conversion import Conversion
from adapters.inference.embedded import EmbeddedInference
from gateway.photograph import Photograph
from gateway.study import Instance, Study
from pipelines.dermoscopy import PIPELINE
from pipelines.dermoscopy.synthetic import lesion
from tests.bench.lines import against_limit, progress
from tests.builders import study
from tests.reading import MODELS, read

LIMIT = 1.0
"""Seconds."""
ROUNDS = 9
ROWS, COLUMNS = 3000, 4000


def stored(folder: Path) -> Path:
    out = BytesIO()
    pixels = Image.fromarray(lesion(2, ragged=0.2, second=True))
    pixels.resize((COLUMNS, ROWS), Image.Resampling.BICUBIC).save(out, "JPEG", quality=92)
    (made,) = Conversion(modalities=frozenset({"DMS"})).objects("photo", out.getvalue(), "mole.jpg", 0.0)
    file = folder / "mole.dcm"
    file.write_bytes(made)
    return file


def photographed(folder: Path) -> Study:
    """A study of one such photograph, stored in the folder."""
    made = study("ct", instances=1, tags={"Modality": "DMS", "Rows": ROWS, "Columns": COLUMNS})
    (series,) = made.series
    photo = replace(series.instances[0], sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.7", path=str(stored(folder)))
    return replace(made, series=(replace(series, modality="DMS", instances=(photo,)),))


def main() -> None:
    inference = EmbeddedInference(MODELS, 60, 0)
    with tempfile.TemporaryDirectory() as folder:
        of = photographed(Path(folder))

        def load(instances: tuple[Instance, ...]) -> Photograph:
            return load_photograph(instances[0])

        took = []
        for _ in range(ROUNDS + 1):
            began = time.perf_counter()
            result = read(PIPELINE, of, load, inference).result
            took.append(time.perf_counter() - began)
            progress(f"{result.verdict}: {took[-1]:.3f} s")
    note = f"{np.round(ROWS * COLUMNS / 1e6)} megapixels of JPEG, embedded, decoding and picture included"
    against_limit("dermoscopy_seconds", median(took[1:]), LIMIT, note=note)


if __name__ == "__main__":
    main()
