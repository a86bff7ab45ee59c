"""`python -m tests.bench.drawn_heads`: what the reader of head MR says of drawn heads without lesion, with FLAIR's
slices at one level after another; a line for each level on stdout."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from adapters.dicom.content.mr_volumes import load_mr
from adapters.inference.embedded import EmbeddedInference
from gateway.result import Verdict
from pipelines.stroke_mr import PIPELINE
from pipelines.stroke_mr.labels import FLAIR_LESION
from pipelines.stroke_mr.synthetic import study
from tests.mr_studies import study_of
from tests.reading import MODELS, read

HEADS = range(4, 12)
STARTS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)


def main() -> None:
    inference = EmbeddedInference(MODELS, 60, 1)
    for start in STARTS:
        verdicts, highest = [], []
        for seed in HEADS:
            sample = study(f"drawn-{seed}", "", seed, None, (0.0, 0.0, 0.0), start)
            with tempfile.TemporaryDirectory() as folder:
                result = read(PIPELINE, study_of(sample.series, Path(folder)), load_mr, inference).result
            verdicts.append(result.verdict)
            highest += [finding.probability for finding in result.findings if finding.label == FLAIR_LESION.name]
        sys.stdout.write(f"start {start:.0f} mm: {verdicts.count(Verdict.PATHOLOGY)} of {len(verdicts)} pathology, "
                         f"FLAIR {np.min(highest):.2f} to {np.max(highest):.2f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
