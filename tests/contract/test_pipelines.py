"""One suite for every pipeline: whatever a study holds, a reading ends in a result that can be told and stored."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import pipelines
from adapters.inference.embedded import EmbeddedInference
from gateway.audio import Audio
from gateway.errors import Unusable
from gateway.photograph import Photograph
from gateway.pipeline import Array, Ecg, EcgSheet, KeyImage, Pipeline, Selection, SpectrogramSheet, Volume
from gateway.ports import Inference
from gateway.result import ModelRelease, Result, Verdict, risk_of
from gateway.result_json import from_json, to_json
from gateway.study import Instance, Series, Study
from pipelines.asthma.synthetic import breath
from pipelines.dermoscopy.synthetic import as_bytes, cat, leaves, lesion, page, ruler, skin
from tests.builders import study
from tests.mr_studies import a_head, volumes
from tests.reading import MODELS, ROOT, Load, Loaded, read

pytestmark = pytest.mark.slow

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def _exported() -> list[Pipeline]:
    found = [importlib.import_module(f"pipelines.{m.name}") for m in pkgutil.iter_modules(pipelines.__path__)
             if m.ispkg]
    return [package.PIPELINE for package in found if hasattr(package, "PIPELINE")]


PIPELINES = _exported()
every = pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: pipeline.name)


@pytest.fixture(scope="module")
def inference() -> EmbeddedInference:
    return EmbeddedInference(MODELS, 60, 1)


class Answering:
    """A model that gives the same number everywhere, in the shapes that the real one has."""

    def __init__(self, real: Inference, number: float) -> None:
        self.real, self.number = real, number

    def models(self) -> tuple[str, ...]:
        return self.real.models()

    def release(self, model: str) -> ModelRelease:
        return self.real.release(model)

    def infer(self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        given = self.real.infer(model, inputs, outputs)
        return {name: np.full_like(array, self.number) for name, array in given.items()}


def fitting(pipeline: Pipeline, instances: int = 40) -> Study:
    """A study of the kind that the pipeline reads, as far as tags go."""
    if "ECG" in pipeline.modalities:
        return study("ecg")
    if "DMS" in pipeline.modalities:
        return _photographed(pipeline)
    if "AU" in pipeline.modalities:
        return _recorded()
    if "MR" in pipeline.modalities:
        return a_head()
    tags = {"Modality": pipeline.modalities[0], "BodyPartExamined": "CHEST",
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelSpacing": [4.0, 4.0], "SliceThickness": 7.0,
            "Rows": 96, "Columns": 96}
    of = study("ct", instances=instances, tags=tags)
    placed = tuple(replace(i, tags={**i.tags, "ImagePositionPatient": [-190.0, -190.0, 7.0 * n]})
                   for n, i in enumerate(of.instances))
    return replace(of, series=(replace(of.series[0], instances=placed),))


def _photographed(pipeline: Pipeline) -> Study:
    """Two dermoscopic photographs."""
    of = study("ct", instances=2, tags={"Modality": pipeline.modalities[0], "Rows": 480, "Columns": 640})
    classed = tuple(replace(i, sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.7") for i in of.instances)
    return replace(of, series=(replace(of.series[0], modality=pipeline.modalities[0], instances=classed),))


def _recorded() -> Study:
    """Two sounds."""
    of = study("ct", instances=2, tags={"Modality": "AU"})
    classed = tuple(replace(i, sop_class_uid="1.2.840.10008.5.1.4.1.1.9.4.2") for i in of.instances)
    return replace(of, series=(replace(of.series[0], modality="AU", instances=classed),))


def a_loader(pipeline: Pipeline) -> Load:
    if "AU" in pipeline.modalities:
        return _sound
    if "MR" in pipeline.modalities:
        return volumes
    if "DMS" in pipeline.modalities:
        return _photograph
    return _ecg if "ECG" in pipeline.modalities else _volume


def _ecg(instances: tuple[Instance, ...], seconds: int = 10) -> Ecg:
    """Beats with a little noise, limb leads that agree."""
    time = np.arange(seconds * 250) / 250
    beat = sum(np.exp(-0.5 * ((time - at) / 0.015) ** 2) for at in np.arange(0.4, seconds, 0.85))
    random = np.random.default_rng(0)
    eight = np.outer([0.6, 1.0, -0.6, -0.3, 0.4, 1.1, 1.0, 0.8], beat) + random.normal(0, 0.01, (8, len(time)))
    one, two = eight[:2]
    rows = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *eight[2:]]
    return Ecg(np.stack(rows).astype(np.float32), 250.0, LEADS, instances[0].sop_instance_uid,
               tuple((1, n) for n in range(1, 13)))


def _photograph(instances: tuple[Instance, ...]) -> Photograph:
    """A brown spot on skin."""
    return Photograph(lesion(1, ragged=0.05), (0.03, 0.03), instances[0].sop_instance_uid)


def _sound(instances: tuple[Instance, ...]) -> Audio:
    """Ten seconds of breath with wheezes."""
    return Audio(breath("wheezes", 1, 10)[None], 4000.0, instances[0].sop_instance_uid, ((1, 1),))


def _volume(instances: tuple[Instance, ...]) -> Volume:
    """A body of soft tissue with two lungs, in air."""
    z, y, x = np.meshgrid(np.arange(len(instances)), np.arange(96), np.arange(96), indexing="ij")
    hu = np.full(z.shape, -1000, dtype=np.float32)
    hu[((x - 48) / 44) ** 2 + ((y - 48) / 32) ** 2 < 1] = 40
    for middle in (28, 68):
        hu[((x - middle) / 15) ** 2 + ((y - 48) / 24) ** 2 + ((z - len(instances) / 2) / 16) ** 2 < 1] = -850
    return Volume(hu + np.random.default_rng(0).normal(0, 10, hu.shape).astype(np.float32), (7.0, 4.0, 4.0),
                  7.0 * np.arange(len(instances)), tuple((i.sop_instance_uid, 1) for i in instances))


def check(result: Result) -> None:
    """What holds of every result."""
    assert result.risk == pytest.approx(risk_of(result.findings))
    assert from_json(json.loads(json.dumps(to_json(result)))) == result
    assert len({finding.label for finding in result.findings}) == len(result.findings)
    assert result.summary
    if result.verdict is Verdict.UNDETERMINED:
        assert result.problems
        assert all(problem.code and problem.text for problem in result.problems)
    if result.verdict is Verdict.PATHOLOGY:
        assert any(finding.present for finding in result.findings)


@every
def test_it_says_what_it_is(pipeline: Pipeline, inference: EmbeddedInference) -> None:
    assert importlib.import_module(f"pipelines.{pipeline.name}").PIPELINE is pipeline
    assert pipeline.version
    assert pipeline.title
    assert all(pipeline.procedure)
    for model in pipeline.models:
        release = inference.release(model)
        assert release.status
        card = (MODELS / model / "MODEL.md").read_text()
        assert release.sha256 in card
        if release.demonstration:
            assert "demonstration" in card.lower()


@every
def test_a_fitting_study_is_read_and_read_the_same_again(pipeline: Pipeline, inference: EmbeddedInference) -> None:
    of, load = fitting(pipeline), a_loader(pipeline)
    assert pipeline.select(of).instances
    first, again = (read(pipeline, of, load, inference) for _ in range(2))
    check(first.result)
    assert first.result == again.result
    assert first.result.findings, first.result.problems
    assert isinstance(first.picture, EcgSheet | KeyImage | SpectrogramSheet)
    assert set(first.result.evidence) <= {i.sop_instance_uid for i in of.instances}
    assert [m.name for m in first.result.provenance.models] == list(pipeline.models)


@every
@pytest.mark.parametrize("number", [0.0, 1.0, float("nan")])
def test_extreme_models_give_a_result(pipeline: Pipeline, inference: EmbeddedInference, number: float) -> None:
    result = read(pipeline, fitting(pipeline), a_loader(pipeline), Answering(inference, number)).result
    check(result)
    if np.isnan(number):
        assert result.verdict is Verdict.UNDETERMINED


def _without_tags(of: Study) -> Study:
    return _retagged(of, lambda _: {})


def _with_odd_tags(of: Study) -> Study:
    """Every value of a type nobody expects."""
    odd: list[Any] = [None, [], "", "garbage", [None], -1, {"a": 1}, [{"b": []}], "\x00", float("inf")]
    keys = ("AcquisitionDateTime", "ContentDate", "WaveformSequence", "ImageOrientationPatient", "SliceThickness",
            "ImagePositionPatient", "PixelSpacing", "Rows", "ImageType", "BodyPartExamined", "SeriesDescription",
            "ConvolutionKernel", "NumberOfFrames", "InstanceNumber", "ContrastBolusAgent", "NumberOfWaveformChannels",
            "NumberOfWaveformSamples", "SamplingFrequency")
    return _retagged(of, lambda n: {key: odd[(n + k) % len(odd)] for k, key in enumerate(keys)})


def _retagged(of: Study, tags: Any) -> Study:
    changed = tuple(replace(i, tags=tags(n)) for n, i in enumerate(of.instances))
    return replace(of, series=(Series(of.series[0].series_instance_uid, of.series[0].modality, changed),))


def _of_another_kind(of: Study) -> Study:
    sop_class = "1.2.840.10008.5.1.4.1.1.104.1"
    changed = tuple(replace(i, sop_class_uid=sop_class, tags={"Modality": "DOC"}) for i in of.instances)
    return replace(of, series=(Series(of.series[0].series_instance_uid, "DOC", changed),))


@every
@pytest.mark.parametrize("spoil", [_without_tags, _with_odd_tags, _of_another_kind])
def test_odd_studies_never_raise_and_nothing_foreign_is_selected(
        pipeline: Pipeline, inference: EmbeddedInference, spoil: Any) -> None:
    of = spoil(fitting(pipeline))
    selection = pipeline.select(of)
    assert selection.instances or selection.problems
    assert all(i in of.instances for i in selection.instances)
    result = read(pipeline, of, lambda _: Unusable("not what was asked"), inference).result
    check(result)
    assert result.verdict is Verdict.UNDETERMINED


@every
def test_a_selection_with_problems_is_undetermined_by_them(pipeline: Pipeline, inference: EmbeddedInference) -> None:
    of = _of_another_kind(fitting(pipeline))
    selection = pipeline.select(of)
    result = read(pipeline, of, a_loader(pipeline), inference).result
    assert result.verdict is Verdict.UNDETERMINED
    assert {problem.code for problem in selection.problems} <= {problem.code for problem in result.problems}


def _poor(pipeline: Pipeline) -> dict[str, Load]:
    """Loaded things that nobody could read."""
    if "ECG" in pipeline.modalities:
        return {name: _spoiled_ecg(change) for name, change in _SPOILED_ECGS.items()}
    if "DMS" in pipeline.modalities:
        return {name: _spoiled_photograph(pixels) for name, pixels in _NO_LESIONS.items()}
    if "AU" in pipeline.modalities:
        return {name: _spoiled_sound(change) for name, change in _SPOILED_SOUNDS.items()}
    if "MR" in pipeline.modalities:
        return {name: _spoiled_head(change) for name, change in _SPOILED_HEADS.items()}
    return {name: _spoiled_volume(change) for name, change in _SPOILED_VOLUMES.items()}


_SPOILED_ECGS: dict[str, Any] = {
    "empty": lambda e: replace(e, signal=e.signal[:, :0]),
    "one sample": lambda e: replace(e, signal=e.signal[:, :1]),
    "no leads": lambda e: replace(e, signal=e.signal[:0], leads=(), channels=()),
    "all missing": lambda e: replace(e, signal=np.full_like(e.signal, np.nan)),
    "infinite": lambda e: replace(e, signal=np.full_like(e.signal, np.inf)),
    "zero": lambda e: replace(e, signal=np.zeros_like(e.signal)),
    "huge": lambda e: replace(e, signal=e.signal * 1e30),
    "rate zero": lambda e: replace(e, rate=0.0),
    "rate negative": lambda e: replace(e, rate=-500.0),
    "rate missing": lambda e: replace(e, rate=float("nan")),
    "rate endless": lambda e: replace(e, rate=float("inf")),
    "foreign leads": lambda e: replace(e, leads=tuple(f"X{n}" for n in range(12))),
    "one lead twelve times": lambda e: replace(e, leads=("I",) * 12),
    "noise": lambda e: replace(e, signal=np.random.default_rng(0).normal(0, 1, e.signal.shape).astype(np.float32)),
}
_SPOILED_VOLUMES: dict[str, Any] = {
    "one slice": lambda v: replace(v, hu=v.hu[:1], positions=v.positions[:1], slices=v.slices[:1]),
    "air": lambda v: replace(v, hu=np.full_like(v.hu, -1000)),
    "water": lambda v: replace(v, hu=np.zeros_like(v.hu)),
    "all missing": lambda v: replace(v, hu=np.full_like(v.hu, np.nan)),
    "huge": lambda v: replace(v, hu=v.hu * 1e30),
    "tiny": lambda v: replace(v, hu=v.hu[:, :1, :1]),
}


_SPOILED_HEADS: dict[str, Any] = {
    "one slice": lambda v: replace(v, values=v.values[:1], positions=v.positions[:1], slices=v.slices[:1]),
    "air": lambda v: replace(v, values=np.random.default_rng(0).random(v.values.shape, np.float32)),
    "zero": lambda v: replace(v, values=np.zeros_like(v.values)),
    "all missing": lambda v: replace(v, values=np.full_like(v.values, np.nan)),
    "tiny": lambda v: replace(v, values=v.values[:, :1, :1]),
}


def _spoiled_head(change: Any) -> Load:
    return lambda instances: tuple(change(volume) for volume in volumes(instances))


_NO_LESIONS: dict[str, Any] = {
    "one pixel": lambda: np.full((1, 1, 3), 128, np.uint8),
    "tiny": lambda: lesion(1)[::8, ::8],
    "black": lambda: np.zeros((300, 400, 3), np.uint8),
    "white": lambda: np.full((300, 400, 3), 255, np.uint8),
    "noise": lambda: np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8),
    "a strip": lambda: np.full((1, 4000, 3), 128, np.uint8),
    "skin alone": lambda: as_bytes(skin()),
    "a cat": cat, "a ruler": ruler, "leaves": leaves, "a page": page,
}


_SPOILED_SOUNDS: dict[str, Any] = {
    "empty": lambda a: replace(a, signal=a.signal[:, :0]),
    "no channel": lambda a: replace(a, signal=a.signal[:0], channels=()),
    "all missing": lambda a: replace(a, signal=np.full_like(a.signal, np.nan)),
    "infinite": lambda a: replace(a, signal=np.full_like(a.signal, np.inf)),
    "zero": lambda a: replace(a, signal=np.zeros_like(a.signal)),
    "one": lambda a: replace(a, signal=np.ones_like(a.signal)),
    "rate zero": lambda a: replace(a, rate=0.0),
    "rate missing": lambda a: replace(a, rate=float("nan")),
    "rate endless": lambda a: replace(a, rate=float("inf")),
    "two seconds": lambda a: replace(a, signal=a.signal[:, :8000]),
    "noise": lambda a: replace(a, signal=np.random.default_rng(0).normal(0, 0.1, a.signal.shape).astype(np.float32)),
}


def _spoiled_sound(change: Any) -> Load:
    def load(instances: tuple[Instance, ...]) -> Loaded:
        loaded: Audio = change(_sound(instances))
        return loaded

    return load


def _spoiled_photograph(pixels: Any) -> Load:
    def load(instances: tuple[Instance, ...]) -> Loaded:
        return Photograph(pixels(), None, instances[0].sop_instance_uid)

    return load


def _spoiled_ecg(change: Any) -> Load:
    def load(instances: tuple[Instance, ...]) -> Loaded:
        loaded: Ecg = change(_ecg(instances))
        return loaded

    return load


def _spoiled_volume(change: Any) -> Load:
    def load(instances: tuple[Instance, ...]) -> Loaded:
        loaded: Volume = change(_volume(instances))
        return loaded

    return load


@pytest.mark.parametrize(("pipeline", "load"), [
    pytest.param(pipeline, load, id=f"{pipeline.name}-{name}")
    for pipeline in PIPELINES for name, load in _poor(pipeline).items()])
def test_what_cannot_be_read_is_undetermined_and_never_normal(
        pipeline: Pipeline, load: Load, inference: EmbeddedInference) -> None:
    result = read(pipeline, fitting(pipeline), load, inference).result
    check(result)
    assert result.verdict is Verdict.UNDETERMINED


@every
def test_serving_needs_neither_training_libraries_nor_adapters(pipeline: Pipeline) -> None:
    program = (f"import sys, pipelines.{pipeline.name}; "
               "print([m for m in ('torch', 'monai', 'onnx', 'onnxruntime', 'wfdb', 'pydicom', 'adapters') "
               "if m in sys.modules])")
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@every
def test_an_empty_selection_is_undetermined(pipeline: Pipeline, inference: EmbeddedInference) -> None:
    releases = tuple(inference.release(model) for model in pipeline.models)
    steps = pipeline.analyse(fitting(pipeline), Selection(()), releases)
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value.result.verdict is Verdict.UNDETERMINED
