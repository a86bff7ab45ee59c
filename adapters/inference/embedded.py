"""Models run in this process by ONNX Runtime, from the same files and configs that Triton would serve."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
import structlog
from onnxruntime.capi import onnxruntime_pybind11_state as states

from adapters.inference.repository import Entry, model_names, read_entry, release_from, verified_bytes
from adapters.inference.tensors import Arrays, check_inputs, check_outputs, in_batches
from gateway.errors import NotReady, Permanent, Transient
from gateway.pipeline import Array
from gateway.result import ModelRelease

_FAILURES = (states.Fail, states.RuntimeException, states.EPFail, states.InvalidGraph, states.InvalidProtobuf,
             states.NoSuchFile, states.NotImplemented, states.InvalidArgument)


@dataclass(frozen=True, slots=True)
class _Loaded:
    entry: Entry
    session: Any


class EmbeddedInference:
    """`gateway.ports.Inference` with ONNX Runtime. Thread-safe; each model is read, checked and loaded once.

    `threads` for each model (0: one per core). A run past `timeout_seconds` is stopped and raises Transient.
    """

    def __init__(self, model_repository: Path, timeout_seconds: float = 120, threads: int = 0) -> None:
        self._repository, self._timeout, self._threads = model_repository, timeout_seconds, threads
        self._loaded: dict[str, _Loaded] = {}
        self._lock = threading.Lock()
        self._log = structlog.get_logger()

    def models(self) -> tuple[str, ...]:
        return model_names(self._repository)

    def release(self, model: str) -> ModelRelease:
        """Raises NotReady where the model is missing, unreadable, or its file not the one its config names."""
        entry = self._model(model).entry
        return release_from(model, entry.version, entry.parameters)

    def infer(self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> Arrays:
        """Raises NotReady as `release`, Transient on timeout, Permanent on wrong names or shapes."""
        loaded = self._model(model)
        config = loaded.entry.config
        check_inputs(config, inputs, outputs)
        answer = in_batches(config, inputs, lambda part: self._run(loaded, part, outputs))
        check_outputs(config, answer, len(next(iter(inputs.values()))))
        return answer

    def _run(self, loaded: _Loaded, inputs: Arrays, outputs: tuple[str, ...]) -> Arrays:
        options = onnxruntime.RunOptions()
        late = threading.Event()

        def stop() -> None:
            late.set()
            options.terminate = True

        timer = threading.Timer(self._timeout, stop)
        timer.daemon = True
        timer.start()
        try:
            given = loaded.session.run(list(outputs), inputs, options)
        except _FAILURES as error:
            if late.is_set():
                raise Transient(f"model {loaded.entry.name} took longer than {self._timeout:g} s") from error
            raise Permanent(f"model {loaded.entry.name} failed: {type(error).__name__}") from error
        finally:
            timer.cancel()
        return dict(zip(outputs, given, strict=True))

    def _model(self, name: str) -> _Loaded:
        found = self._loaded.get(name)
        if found is None:
            with self._lock:
                found = self._loaded.get(name) or self._load(name)
                self._loaded[name] = found
        return found

    def _load(self, name: str) -> _Loaded:
        entry = read_entry(self._repository, name)
        if entry.config.backend != "onnxruntime" and entry.config.platform != "onnxruntime_onnx":
            raise NotReady(f"model {name} needs a backend that only a Triton server has")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(verified_bytes(entry), options, providers=["CPUExecutionProvider"])
        except _FAILURES as error:
            raise NotReady(f"model {name} cannot be loaded: {type(error).__name__}") from error
        self._log.info("model_loaded", model=name, version=entry.version, sha256=entry.parameters["sha256"][:12])
        return _Loaded(entry, session)
