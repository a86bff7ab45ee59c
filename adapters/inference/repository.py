"""`model_repository/` in Triton's layout, read: config.pbtxt, version folders, the model file and its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from gateway.errors import NotReady
from gateway.result import ModelRelease


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the repository. `config` is Triton's ModelConfig message; `version` the folder that is served."""

    name: str
    version: int
    file: Path
    config: Any

    @property
    def parameters(self) -> dict[str, str]:
        return parameters_of(self.config)


def model_names(repository: Path) -> tuple[str, ...]:
    """Folders with a config.pbtxt, in alphabetical order."""
    return tuple(sorted(file.parent.name for file in repository.glob("*/config.pbtxt")))


def read_entry(repository: Path, name: str) -> Entry:
    """Raises NotReady where there is no such model, its config.pbtxt is unreadable or it has no version."""
    folder = repository / name
    try:
        config = _parsed((folder / "config.pbtxt").read_text(encoding="utf-8"))
    except (OSError, text_format.ParseError) as error:
        raise NotReady(f"model {name} has no readable config.pbtxt") from error
    if config.name not in ("", name):
        raise NotReady(f"config.pbtxt of model {name} is of another model")
    version = _version(folder, config)
    return Entry(name, version, folder / str(version) / (config.default_model_filename or "model.onnx"), config)


@lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    """The same text is the same message, which nobody changes: a model is asked for with each study."""
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def _version(folder: Path, config: Any) -> int:
    """The highest of the folders named by a number that `version_policy` lets be served."""
    there = {int(path.name) for path in folder.iterdir() if path.is_dir() and path.name.isdecimal()}
    allowed = set(config.version_policy.specific.versions)
    served = there & allowed if allowed else there
    if not served:
        raise NotReady(f"model {folder.name} has no version to serve")
    return max(served)


def parameters_of(config: Any) -> dict[str, str]:
    """`parameters` of a ModelConfig as plain strings."""
    return {key: value.string_value for key, value in config.parameters.items()}


def verified_bytes(entry: Entry) -> bytes:
    """The model file's content. Raises NotReady when it is missing or not the one whose SHA-256 the config names."""
    try:
        content = entry.file.read_bytes()
    except OSError as error:
        raise NotReady(f"model {entry.name} has no {entry.file.name} in version {entry.version}") from error
    if hashlib.sha256(content).hexdigest() != entry.parameters.get("sha256"):
        raise NotReady(f"the file of model {entry.name} is not the one that its config.pbtxt names (SHA-256)")
    return content


def release_from(name: str, version: int, parameters: Mapping[str, str]) -> ModelRelease:
    """What runs, as its config says. A model that does not say otherwise is a demonstration."""
    return ModelRelease(
        name=name, version=parameters.get("version") or str(version), sha256=parameters.get("sha256", ""),
        demonstration=parameters.get("demonstration", "true").lower() != "false",
        status=parameters.get("status", ""), parameters=dict(parameters))


def fingerprint(model_repository: Path, model: str) -> str:
    """Hash of config.pbtxt, which names the model file's own hash, its thresholds and its calibration."""
    try:
        return hashlib.sha256((model_repository / model / "config.pbtxt").read_bytes()).hexdigest()
    except OSError as error:
        raise NotReady(f"model {model} is not in {model_repository}") from error


def model_card(model_repository: Path, known: Callable[[], tuple[str, ...]], model: str) -> str | None:
    """MODEL.md of a model of the repository."""
    card = model_repository / model / "MODEL.md"
    return card.read_text(encoding="utf-8") if model in known() and card.is_file() else None
