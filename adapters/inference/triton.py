"""Models run by a Triton server over gRPC: the version asked for by number, the file compared by hash."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from adapters.inference.repository import Entry, model_names, parameters_of, read_entry, release_from, verified_bytes
from adapters.inference.tensors import Arrays, check_inputs, check_outputs, in_batches, type_name
from gateway.errors import GatewayError, NotReady, Permanent, Transient
from gateway.pipeline import Array
from gateway.result import ModelRelease

T = TypeVar("T")
_QUESTION_SECONDS = 10.0
"""For questions about readiness and configuration, which need no computing."""
_BELIEVED_SECONDS = 1.0
"""For so long an answer about a model holds: of studies that come at once, not each asks anew."""
_CHANNEL = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1),
            ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.enable_retries", 0)]
_REFUSED = ("StatusCode.INVALID_ARGUMENT", "StatusCode.UNIMPLEMENTED", "StatusCode.OUT_OF_RANGE",
            "StatusCode.FAILED_PRECONDITION")


@dataclass(frozen=True, slots=True)
class _Checked:
    """`at`: when the server said so, on the monotonic clock."""

    entry: Entry
    release: ModelRelease
    at: float


class TritonInference:
    """`gateway.ports.Inference` with `tritonclient.grpc`. Thread-safe; nothing is asked before the first call.

    `url` is `host:port`. The local `model_repository` says which model, version and hash the server must have.
    """

    def __init__(self, url: str, model_repository: Path, timeout_seconds: float = 120) -> None:
        self._client = triton.InferenceServerClient(url, channel_args=_CHANNEL)
        self._repository, self._timeout = model_repository, timeout_seconds
        self._checked: dict[str, _Checked] = {}
        self._verified: dict[str, tuple[str, int, int, int]] = {}

    def models(self) -> tuple[str, ...]:
        return model_names(self._repository)

    def release(self, model: str) -> ModelRelease:
        """Asks the server, unless it has just answered. Raises NotReady (down, not loaded, another version or hash),
        Transient on timeout."""
        entry = self._entry(model)
        known = self._checked.get(model)
        if known is None or not _same(known.entry, entry) or time.monotonic() - known.at > _BELIEVED_SECONDS:
            known = self._ask(entry)
        return known.release

    def _ask(self, entry: Entry) -> _Checked:
        self._checked.pop(entry.name, None)
        # One question for both: of a model or version that is not ready, Triton tells no configuration.
        answer = self._asked(lambda: self._client.get_model_config(entry.name, str(entry.version),
                                                                   client_timeout=_QUESTION_SECONDS))
        parameters = parameters_of(answer.config)
        if parameters.get("sha256") != entry.parameters["sha256"]:
            raise NotReady(f"the Triton server has another file of model {entry.name} (SHA-256)")
        release = release_from(entry.name, entry.version, parameters)
        checked = self._checked[entry.name] = _Checked(entry, release, time.monotonic())
        return checked

    def _entry(self, model: str) -> Entry:
        """The local file is hashed once, and again when it or the hash that it should have has changed."""
        entry = read_entry(self._repository, model)
        known = (entry.parameters.get("sha256", ""), *_state(entry.file))
        if self._verified.get(entry.name) != known:
            verified_bytes(entry)
            self._verified[entry.name] = known
        return entry

    def infer(self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> Arrays:
        """Raises Transient on timeout or a lost server, NotReady as `release`, Permanent on wrong names or shapes."""
        known = self._checked.get(model)
        entry = (known or self._ask(self._entry(model))).entry
        check_inputs(entry.config, inputs, outputs)
        try:
            answer = in_batches(entry.config, inputs, lambda part: self._run(entry, part, outputs))
        except (NotReady, Transient):
            # A server that comes back may hold something else: it is asked again before it is believed.
            self._checked.pop(model, None)
            raise
        check_outputs(entry.config, answer, len(next(iter(inputs.values()))))
        return answer

    def close(self) -> None:
        self._client.close()

    def _run(self, entry: Entry, inputs: Arrays, outputs: tuple[str, ...]) -> Arrays:
        sent = [_input(tensor, inputs[tensor.name]) for tensor in entry.config.input]
        wanted = [triton.InferRequestedOutput(name) for name in outputs]
        answer = self._asked(lambda: self._client.infer(
            entry.name, sent, model_version=str(entry.version), outputs=wanted, client_timeout=self._timeout))
        return {name: _output(answer, name, entry.name) for name in outputs}

    def _asked(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except InferenceServerException as error:
            raise _told(error) from error


def _same(one: Entry, other: Entry) -> bool:
    """Of one text of config.pbtxt, which is parsed once, and one version."""
    return one.config is other.config and one.version == other.version


def _state(file: Path) -> tuple[int, int, int]:
    """Changes with the file; zeros where there is none."""
    try:
        told = file.stat()
    except OSError:
        return 0, 0, 0
    return told.st_mtime_ns, told.st_size, told.st_ino


def _input(tensor: Any, array: Array) -> triton.InferInput:
    sent = triton.InferInput(tensor.name, list(array.shape), type_name(tensor))
    sent.set_data_from_numpy(np.ascontiguousarray(array))
    return sent


def _output(answer: triton.InferResult, name: str, model: str) -> Array:
    try:
        array = answer.as_numpy(name)
    except ValueError as error:
        raise Permanent(f"the Triton server answered with a broken {name} of model {model}") from error
    if array is None:
        raise Permanent(f"the Triton server left out {name} of model {model}")
    return np.asarray(array)


def _told(error: InferenceServerException) -> GatewayError:
    """What the operator should do about a failed call; the server's own text stays out of ours."""
    status = error.status() or ""
    if status in _REFUSED:
        return Permanent(f"the Triton server refused the request ({status})")
    if status in ("StatusCode.NOT_FOUND", "StatusCode.UNAVAILABLE"):
        return NotReady(f"the Triton server or the model is not there ({status})")
    return Transient(f"the Triton server did not answer ({status})")
