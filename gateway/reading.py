"""Drives a pipeline: sends in what it asks for."""

from __future__ import annotations

from typing import Any, TypeVar

from gateway.errors import GatewayError
from gateway.pipeline import (
    Analysis,
    Infer,
    LoadAudio,
    LoadEcg,
    LoadMr,
    LoadPhotograph,
    LoadVolume,
    Pipeline,
    Request,
    Selection,
    Steps,
)
from gateway.ports import Inference, Loader
from gateway.result import Problem, Provenance, Result, Verdict
from gateway.study import Study

T = TypeVar("T")


class Fulfilment:
    """Answers a pipeline's requests with what the adapters can do."""

    def __init__(self, loader: Loader, inference: Inference) -> None:
        self._loader, self._inference = loader, inference

    def answer(self, request: Request) -> Any:
        match request:
            case LoadVolume(instances):
                return self._loader.load_volume(instances)
            case LoadMr(instances):
                return self._loader.load_mr(instances)
            case LoadAudio(instances):
                return self._loader.load_audio(instances)
            case LoadPhotograph(instance, frame):
                return self._loader.load_photograph(instance, frame)
            case LoadEcg(instances):
                return self._loader.load_ecg(instances)
            case Infer(model, inputs, outputs):
                return self._inference.infer(model, inputs, outputs)


def read(pipeline: Pipeline, study: Study, selection: Selection, fulfilment: Fulfilment,
         inference: Inference) -> Analysis:
    """One reading. What doesn't fit is `undetermined` with the reasons, before any model is asked.

    Raises NotReady / Transient (try again), Permanent and Unusable (the study cannot be read: say why).
    """
    releases = tuple(inference.release(model) for model in pipeline.models)
    if not selection.instances:
        provenance = Provenance(pipeline.name, pipeline.version, releases)
        return Analysis(undetermined(provenance, selection.problems))
    return drive(pipeline.analyse(study, selection, releases), fulfilment)


def drive(steps: Steps[T], fulfilment: Fulfilment) -> T:
    """Answers what a generator asks for until it ends; what cannot be answered is thrown into it."""
    try:
        request = next(steps)
        while True:
            try:
                answer = fulfilment.answer(request)
            except GatewayError as error:
                request = steps.throw(error)
            else:
                request = steps.send(answer)
    except StopIteration as finished:
        value: T = finished.value
        return value


def undetermined(provenance: Provenance, problems: tuple[Problem, ...], evidence: tuple[str, ...] = ()) -> Result:
    """A result that says why there is none."""
    reasons = problems or (Problem("nothing-to-read", "the study holds nothing that this pipeline reads"),)
    summary = "Undetermined: " + "; ".join(p.text.rstrip(".") for p in reasons) + "."
    return Result(Verdict.UNDETERMINED, 0.0, (), provenance, evidence, problems=reasons, summary=summary)
