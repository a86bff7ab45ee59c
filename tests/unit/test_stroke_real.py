"""The stroke reader on real data: a healthy brain's diffusion series from a Philips scanner, and real slices."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.inference.embedded import EmbeddedInference
from gateway.app.readers import PixelsAndSamples
from gateway.explaining import study_alone
from gateway.reading import Fulfilment, read
from gateway.result import Verdict
from pipelines.stroke_mr import PIPELINE
from pipelines.stroke_mr.slices import read_slices
from pipelines.stroke_mr.validate import judge
from tests.mr_studies import received
from tests.reading import DATA, MODELS

pytestmark = [pytest.mark.slow, pytest.mark.data]
PHILIPS = DATA / "mr-dwi-philips" / "dwi.zip"
SLICES = DATA / "stroke-flair" / "train.npz"


@pytest.mark.skipif(not PHILIPS.exists(), reason="../shared/data/mr-dwi-philips is not here")
def test_a_healthy_brain_passes_the_gates_and_shows_no_infarct(tmp_path: Path) -> None:
    with zipfile.ZipFile(PHILIPS) as held:
        objects = [held.read(name) for name in held.namelist() if name.endswith(".dcm")]
    of = study_alone("SITE", received(objects, tmp_path))
    inference = EmbeddedInference(MODELS, 60, 1)
    result = read(PIPELINE, of, PIPELINE.select(of), Fulfilment(PixelsAndSamples(), inference), inference).result
    assert result.problems == ()
    assert result.verdict is Verdict.NORMAL, result.summary
    assert [f.label for f in result.findings] == ["dwi_lesion"]


@pytest.mark.skipif(not SLICES.exists(), reason="../shared/data/stroke-flair is not here")
def test_what_is_served_knows_slices_with_a_lesion_from_slices_without() -> None:
    found = read_slices(SLICES)
    size = found.pixels
    chosen = np.concatenate([np.flatnonzero(size > 400)[:12], np.flatnonzero(size == 0)[:12]])
    inference: Any = EmbeddedInference(MODELS, 60, 1)
    judged = judge(found.part(chosen), inference)
    assert judged.probability[:12].mean() > judged.probability[12:].mean() + 0.25
    overlap = (judged.masks[:12] & found.masks[chosen[:12]]).sum((1, 2)) / np.maximum(size[chosen[:12]], 1)
    assert np.median(overlap) > 0.4
