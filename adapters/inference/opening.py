"""The inference that the configuration asks for."""

from __future__ import annotations

from pathlib import Path

from adapters.inference.embedded import EmbeddedInference
from adapters.inference.triton import TritonInference
from gateway.ports import Inference
from gateway.settings import InferenceSettings


def open_inference(settings: InferenceSettings, model_repository: Path) -> Inference:
    """`embedded`, or `grpc://host:port` for a Triton server. Nothing is loaded or asked yet."""
    if settings.url == "embedded":
        return EmbeddedInference(model_repository, settings.timeout_seconds, settings.threads)
    return TritonInference(settings.url.removeprefix("grpc://"), model_repository, settings.timeout_seconds)
