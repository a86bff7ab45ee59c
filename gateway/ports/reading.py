"""Ports of reading: pixels, samples and models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.audio import Audio
from gateway.mr import MrVolume
from gateway.photograph import Photograph
from gateway.pipeline import Array, Ecg, Volume
from gateway.result import ModelRelease
from gateway.study import Instance


class Loader(Protocol):
    """Pixels and samples for the pipelines' requests. Raises Unusable where the instances are not what was asked."""

    def load_volume(self, instances: tuple[Instance, ...]) -> Volume: ...

    def load_mr(self, instances: tuple[Instance, ...]) -> tuple[MrVolume, ...]: ...

    def load_audio(self, instances: tuple[Instance, ...]) -> Audio: ...

    def load_photograph(self, instance: Instance, frame: int) -> Photograph: ...

    def load_ecg(self, instances: tuple[Instance, ...]) -> Ecg: ...


class Inference(Protocol):
    """Models of model_repository/, in process or on Triton; the same inputs give the same outputs to 1e-4."""

    def release(self, model: str) -> ModelRelease:
        """Name, version and hash of what is ready to run. Raises NotReady (not loaded, hash mismatch, server down)."""
        ...

    def infer(self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        """Raises Transient on timeout or a lost server, Permanent on wrong names or shapes."""
        ...

    def models(self) -> tuple[str, ...]:
        """Names present in the repository."""
        ...
