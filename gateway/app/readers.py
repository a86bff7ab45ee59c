"""The pipelines that are there, and what they are given to read with."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from typing import Any

import pipelines
from adapters.demo.scenario import Scenario, scenarios
from adapters.dicom.content.audio_read import load_audio
from adapters.dicom.content.mr_volumes import load_mr
from adapters.dicom.content.photo_read import load_photograph
from adapters.dicom.content.volume import load_volume
from adapters.dicom.content.waveform_read import load_ecg
from adapters.inference.repository import model_names
from gateway.audio import Audio
from gateway.errors import ConfigurationError
from gateway.mr import MrVolume
from gateway.photograph import Photograph
from gateway.pipeline import Ecg, Pipeline, Volume
from gateway.settings import Settings
from gateway.study import Instance


def discover_pipelines() -> dict[str, Pipeline]:
    """Every package under pipelines/ that exports PIPELINE: a new kind of study edits no list."""
    found: dict[str, Pipeline] = {}
    for module in pkgutil.iter_modules(pipelines.__path__):
        if module.ispkg:
            pipeline: Pipeline | None = getattr(importlib.import_module(f"pipelines.{module.name}"), "PIPELINE", None)
            if pipeline is not None:
                found[pipeline.name] = pipeline
    return found


def modalities_of(settings: Settings, known: Mapping[str, Pipeline]) -> frozenset[str]:
    """What the readers take to which a rule sends."""
    return frozenset(modality for route in settings.routes if route.pipeline in known
                     for modality in known[route.pipeline].modalities)


def check_routes(settings: Settings, known: Mapping[str, Pipeline]) -> None:
    """Raises ConfigurationError naming the rule."""
    for route in settings.routes:
        if route.pipeline not in known:
            raise ConfigurationError(f"routes: {route.name} names the pipeline {route.pipeline}, there is none; "
                                     f"known are {', '.join(sorted(known))}")


def check_models(settings: Settings) -> None:
    """Raises ConfigurationError where something is set for a model that is not in the repository."""
    known = model_names(settings.model_repository)
    for name in settings.models:
        if name not in known:
            raise ConfigurationError(f"models: there is no model {name} in {settings.model_repository}; "
                                     f"known are {', '.join(known) or 'none'}")


class PixelsAndSamples:
    """Implements gateway.ports.Loader."""

    def load_volume(self, instances: tuple[Instance, ...]) -> Volume:
        return load_volume(instances)

    def load_mr(self, instances: tuple[Instance, ...]) -> tuple[MrVolume, ...]:
        return load_mr(instances)

    def load_photograph(self, instance: Instance, frame: int) -> Photograph:
        return load_photograph(instance, frame)

    def load_audio(self, instances: tuple[Instance, ...]) -> Audio:
        return load_audio(instances)

    def load_ecg(self, instances: tuple[Instance, ...]) -> Ecg:
        return load_ecg(instances)


def part_of_pipeline(pipeline: str, module: str) -> Any:
    """`train` or `validate` of a pipeline, imported when it is asked for: training needs the `train` extra."""
    try:
        return importlib.import_module(f"pipelines.{pipeline}.{module}")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("pipelines"):
            raise ConfigurationError(f"there is no pipeline {pipeline} that can {module}") from error
        raise ConfigurationError(f"{module} needs {error.name}: in this checkout, "
                                 ".venv/bin/pip install -c constraints.txt -e '.[train]'") from error


def demo_scenarios() -> list[Scenario]:
    """What the readers' own generators make, where they have one."""
    made: list[Any] = []
    for name in discover_pipelines():
        if importlib.util.find_spec(f"pipelines.{name}.synthetic") is not None:
            made += importlib.import_module(f"pipelines.{name}.synthetic").samples()
    return scenarios([s for s in made if hasattr(s, "leads")], [s for s in made if hasattr(s, "hu")],
                     [s for s in made if hasattr(s, "pixels")], [s for s in made if hasattr(s, "sound")],
                     [s for s in made if hasattr(s, "series")])
