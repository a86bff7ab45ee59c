"""The stroke reader on whole studies: what is read, what is refused and why. Networks that answer as told stand in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from adapters.dicom.content.mr_volumes import load_mr
from gateway.pipeline import Analysis, Array
from gateway.reading import Fulfilment, read
from gateway.result import ModelRelease, Verdict
from gateway.study import Instance, Study
from pipelines.stroke_mr.labels import LEAST_ML
from pipelines.stroke_mr.reader import StrokeMr
from pipelines.stroke_mr.synthetic import FLAIR, Grid, acquired, head
from tests.mr_studies import both, study_of, with_values

pytestmark = pytest.mark.slow
READER = StrokeMr()


class Told:
    """Both networks mark what is brighter than `level` standard deviations; infinity: nothing."""

    def __init__(self, level: float) -> None:
        self.level = level

    def release(self, model: str) -> ModelRelease:
        return ModelRelease(model, "1", "ab" * 32, model == "stroke_dwi", "told by a test",
                            {"thresholds": '{"lesion": 0.5, "pixel": 0.5}'})

    def infer(self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        lesion = (ndimage.uniform_filter(inputs["slices"][:, :1], (0, 0, 3, 3)) > self.level).astype(np.float32)
        return {"lesion": lesion, "probability": np.clip(lesion.sum((2, 3)) / 60, 0, 0.97)}

    def models(self) -> tuple[str, ...]:
        return READER.models


class Loads:
    def load_mr(self, instances: tuple[Instance, ...]) -> Any:
        return load_mr(instances)

    def load_volume(self, instances: tuple[Instance, ...]) -> Any:
        raise AssertionError

    load_ecg = load_volume


def analysed(of: Study, level: float = 4.5) -> Analysis:
    inference: Any = Told(level)
    loads: Any = Loads()
    return read(READER, of, READER.select(of), Fulfilment(loads, inference), inference)


def codes(of: Analysis) -> set[str]:
    return {problem.code for problem in of.result.problems}


def test_an_infarct_is_outlined_measured_and_placed(tmp_path: Path) -> None:
    sample = both()[0]
    found = analysed(study_of(sample.series, tmp_path))
    assert found.result.verdict is Verdict.PATHOLOGY, found.result.problems
    told = {m.name: m.value for m in found.result.measurements}
    assert told["Lesion volume"] == pytest.approx(sample.lesion_ml, rel=0.3)
    middle = [value for name, value in told.items() if name.endswith("left middle cerebral artery")]
    assert middle[0] > 0.7 * told["Lesion volume"]
    assert not any("right" in name for name in told)
    assert told["Lesion in the left insula"] > 0.1
    patterns = [m for m in found.result.measurements if m.name.startswith("Etiology")]
    assert len(patterns) == 3
    assert all("(demonstration)" in m.name for m in patterns)
    assert sum(m.value for m in patterns) == pytest.approx(1, abs=0.02)
    assert found.segmentation is not None
    assert found.segmentation.mask.sum() == pytest.approx(
        told["Lesion volume"] * 1000 / np.prod(found.segmentation.spacing), rel=0.01)
    assert "99TRIAGE" not in found.result.summary


def test_a_healthy_head_is_normal_with_diffusion_and_undetermined_without(tmp_path: Path) -> None:
    sample = both()[1]
    whole = analysed(study_of(sample.series, tmp_path), np.inf)
    assert whole.result.verdict is Verdict.NORMAL, whole.result.problems
    assert whole.segmentation is None
    (tmp_path / "flair").mkdir()
    alone = analysed(study_of(sample.series[:1], tmp_path / "flair"), np.inf)
    assert alone.result.verdict is Verdict.UNDETERMINED
    assert codes(alone) == {"no-diffusion"}


def test_a_spot_below_the_least_volume_is_no_finding(tmp_path: Path) -> None:
    dwi = both()[1].series[1]

    def spot(values: NDArray[np.int16]) -> NDArray[Any]:
        out = values.copy()
        out[12, 70:73, 45:48] = 900
        return out

    found = analysed(study_of([with_values(dwi, spot)], tmp_path))
    assert found.result.verdict is Verdict.NORMAL
    assert found.result.findings[0].probability < found.result.findings[0].threshold
    assert LEAST_ML > 0.3


def _shift_every_other(values: NDArray[np.int16]) -> NDArray[Any]:
    return np.stack([np.roll(plane, 3 * (number % 2), axis=1) for number, plane in enumerate(values)])


def _ghosts(values: NDArray[np.int16]) -> NDArray[Any]:
    return values + 0.35 * np.roll(values, values.shape[1] // 2, axis=1)


def _ball(values: NDArray[np.int16]) -> NDArray[Any]:
    z, y, x = np.ogrid[:values.shape[0], :values.shape[1], :values.shape[2]]
    middle = values.shape[1] / 2
    return 300 * ((((y - middle) ** 2 + (x - middle) ** 2) < (0.1 * values.shape[1]) ** 2) & (z >= 0))


def _air(values: NDArray[np.int16]) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 20, values.shape)


def _lost(values: NDArray[np.int16]) -> NDArray[Any]:
    """Four slices in the middle of the brain hold noise."""
    out = values.copy()
    middle = len(values) // 2
    out[middle:middle + 4] = np.random.default_rng(0).integers(0, 8, out[:4].shape)
    return out


@pytest.mark.parametrize(("series", "change", "code"), [
    (1, _shift_every_other, "motion"), (0, _ghosts, "motion"), (0, _lost, "blank-slices"), (1, _lost, "blank-slices"),
    (1, _ball, "no-brain"), (1, _air, "no-brain"), (1, lambda v: v * 0, "invalid-pixels")],
    ids=["shifted", "ghosts", "lost of the one", "lost of the other", "limb", "air", "empty"])
def test_a_bad_study_is_undetermined_by_name(series: int, change: Callable[[Any], Any], code: str,
                                             tmp_path: Path) -> None:
    bad = with_values(both()[0].series[series], change)
    found = analysed(study_of([bad], tmp_path))
    assert found.result.verdict is Verdict.UNDETERMINED
    assert code in codes(found), codes(found)


def test_a_t2_under_the_parameters_of_a_flair_is_known_by_its_fluid(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    wrong = acquired(head(random), "T2", Grid(160, 1.4), random, FLAIR)
    found = analysed(study_of([wrong], tmp_path), np.inf)
    assert found.result.verdict is Verdict.UNDETERMINED
    assert "wrong-contrast" in codes(found)


def test_missing_slices_and_a_part_of_the_head_are_undetermined(tmp_path: Path) -> None:
    dwi = both()[1].series[1]
    gap = study_of([dwi], tmp_path)
    kept = tuple(i for n, i in enumerate(gap.instances) if n not in (10, 11))
    found = analysed(replace(gap, series=(replace(gap.series[0], instances=kept),)), np.inf)
    assert found.result.verdict is Verdict.UNDETERMINED
    assert "gap" in codes(found)
    few = replace(gap, series=(replace(gap.series[0], instances=gap.instances[10:19]),))
    part = analysed(few, np.inf)
    assert part.result.verdict is Verdict.UNDETERMINED
    assert codes(part) & {"coverage-too-small", "no-brain"}
