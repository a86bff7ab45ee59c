"""Runs a pipeline's generator: the caller says what is loaded, a real or a fake model answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway.audio import Audio
from gateway.mr import MrVolume
from gateway.photograph import Photograph
from gateway.pipeline import (
    Analysis,
    Ecg,
    Infer,
    LoadAudio,
    LoadEcg,
    LoadMr,
    LoadPhotograph,
    LoadVolume,
    Pipeline,
    Volume,
)
from gateway.ports import Inference
from gateway.result import ModelRelease
from gateway.study import Instance, Study

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "model_repository"
DATA = ROOT / ".." / "shared" / "data"

Loaded = Audio | Ecg | Volume | Photograph | tuple[MrVolume, ...] | Exception
Load = Callable[[tuple[Instance, ...]], Loaded]


def read(pipeline: Pipeline, study: Study, load: Load, inference: Inference,
         releases: tuple[ModelRelease, ...] | None = None) -> Analysis:
    """Select and analyse, requests answered at once; an exception from `load` is thrown in, as adapters do."""
    if releases is None:
        releases = tuple(inference.release(model) for model in pipeline.models)
    steps = pipeline.analyse(study, pipeline.select(study), releases)
    try:
        request = next(steps)
        while True:
            answer = _answer(request, load, inference)
            request = steps.throw(answer) if isinstance(answer, Exception) else steps.send(answer)
    except StopIteration as end:
        analysis: Analysis = end.value
        return analysis


def _answer(request: object, load: Load, inference: Inference) -> object:
    if isinstance(request, LoadAudio | LoadEcg | LoadMr | LoadVolume):
        return load(request.instances)
    if isinstance(request, LoadPhotograph):
        return load((request.instance,))
    assert isinstance(request, Infer)
    return inference.infer(request.model, request.inputs, request.outputs)
