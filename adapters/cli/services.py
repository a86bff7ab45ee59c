"""What the commands need of the rest; the composition root fills it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gateway.settings import Settings


class SentFile(Protocol):
    """What became of one file. `status`: of the C-STORE response, negative where it was never sent."""

    @property
    def path(self) -> Path: ...

    @property
    def status(self) -> int: ...

    @property
    def error(self) -> str: ...

    @property
    def stored(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class SendRequest:
    """Part 10 files for one peer."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    paths: tuple[Path, ...]


Progress = Callable[[Path, int], None]
"""Called after each file with its status."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one file goes where it goes. `rules`: (rule, taken, reason) each, in the order they are tried."""

    path: Path
    rules: tuple[tuple[str, bool, str], ...]
    note: str = ""
    """What the pipeline would read of it, or why the file cannot be read."""
    readable: bool = True


@dataclass(frozen=True, slots=True)
class CheckReport:
    """A valid configuration: `settings` JSON-serialisable, without secrets."""

    settings: Mapping[str, Any]
    explanations: tuple[Explanation, ...] = ()


@dataclass(frozen=True, slots=True)
class Conformance:
    """One emitted file. `errors`: empty where it conforms."""

    path: Path
    errors: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class ModelLine:
    """A model of the repository. Not ready: `reason` says why."""

    name: str
    version: str
    sha256: str
    status: str
    demonstration: bool
    ready: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """`epochs` None: the pipeline's own default. `device`: `cpu`, `cuda` or `auto`. `folds`: empty means its own."""

    pipeline: str
    data: Path
    out: Path
    epochs: int | None
    seed: int
    device: str
    resume: bool = False
    folds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ValidateRequest:
    """`folds`: empty means the pipeline's own test folds. `report`: an HTML file, `plots` a folder; None: neither.

    `operating_point`: `sens=0.95` or `spec=0.9`; empty: none is chosen. `thresholds`: where the chosen ones go; None:
    beside `json_out`.
    """

    pipeline: str
    data: Path
    json_out: Path
    predictions: Path | None
    folds: tuple[int, ...]
    report: Path | None = None
    plots: Path | None = None
    operating_point: str = ""
    thresholds: Path | None = None

    @property
    def thresholds_out(self) -> Path | None:
        """None where none are chosen."""
        if not self.operating_point:
            return None
        return self.thresholds or self.json_out.with_suffix(".thresholds.yaml")


@dataclass(frozen=True, slots=True)
class CliServices:
    """Callables behind the commands. All may raise GatewayError, which is printed as one sentence (exit status 1).

    A configuration path of None means the default file, where there is one, else the defaults.
    `modalities`: what the configured readers take. `serve` returns when the gateway has been stopped. `validate` writes
    its files and returns what it wrote as JSON.
    """

    serve: Callable[[Path | None], None]
    load_settings: Callable[[Path | None], Settings]
    modalities: Callable[[Settings], frozenset[str]]
    send_files: Callable[[SendRequest, Progress], Sequence[SentFile]]
    check: Callable[[Path | None, Sequence[Path]], CheckReport]
    conform: Callable[[Sequence[Path]], Sequence[Conformance]]
    models: Callable[[Settings], Sequence[ModelLine]]
    train: Callable[[Settings, TrainRequest], None]
    validate: Callable[[Settings, ValidateRequest], Mapping[str, Any]]
