"""How long inference takes, by model, since the start: for the operations page and `/metrics`."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram

from gateway.operations import Latency, latency
from gateway.pipeline import Array
from gateway.ports import Inference
from gateway.result import ModelRelease

_KEPT = 1000
"""Percentiles are those of the latest inferences of a model."""
_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)


class Latencies:
    """Thread-safe. Inferences that failed are not counted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram("triage_inference_seconds", "Time of one inference.", ["model"], buckets=_SECONDS,
                                  registry=registry)
        self._lock = threading.Lock()
        self._kept: dict[str, deque[float]] = {}
        self._counts: dict[str, int] = {}

    def timed(self, inference: Inference) -> Inference:
        """The same models, measured."""
        return _Timed(inference, self)

    def note(self, model: str, seconds: float) -> None:
        self._seconds.labels(model).observe(seconds)
        with self._lock:
            self._kept.setdefault(model, deque(maxlen=_KEPT)).append(seconds)
            self._counts[model] = self._counts.get(model, 0) + 1

    def told(self) -> Mapping[str, Latency]:
        with self._lock:
            kept = {model: (self._counts[model], list(seconds)) for model, seconds in self._kept.items()}
        found = {model: latency(seconds) for model, (_, seconds) in kept.items()}
        return {model: Latency(kept[model][0], of.p50, of.p95) for model, of in found.items()}


@dataclass(frozen=True, slots=True)
class _Timed:
    inner: Inference
    latencies: Latencies

    def release(self, model: str) -> ModelRelease:
        return self.inner.release(model)

    def models(self) -> tuple[str, ...]:
        return self.inner.models()

    def infer(self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        started = time.perf_counter()
        answer = self.inner.infer(model, inputs, outputs)
        self.latencies.note(model, time.perf_counter() - started)
        return answer
