"""`train` and `validate`: a reader's own module, given what it asks for by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from adapters.cli.progress import TerminalProgress
from adapters.cli.services import TrainRequest, ValidateRequest
from adapters.inference.opening import open_inference
from gateway.app.readers import check_models, discover_pipelines, part_of_pipeline
from gateway.app.recordings import RecordingFiles
from gateway.errors import ConfigurationError
from gateway.settings import Settings
from gateway.site_thresholds import with_site_thresholds


def train(settings: Settings, wanted: TrainRequest) -> None:
    """Raises ConfigurationError where an option was asked for that this reader's training does not have."""
    del settings
    run = part_of_pipeline(wanted.pipeline, "train").train
    given = _given(run, {"resume": wanted.resume, "folds": wanted.folds, "epochs": wanted.epochs})
    given |= _offered(run, {"recordings": RecordingFiles()})
    run(wanted.data, wanted.out, seed=wanted.seed, device=wanted.device, progress=TerminalProgress(), **given)


def validate(settings: Settings, wanted: ValidateRequest) -> Mapping[str, Any]:
    """Score, write what was asked for, return the report."""
    from pipelines.validation import outputs  # jinja2 and more: the other commands need none of it

    asked = _outputs(wanted)  # first: what cannot be asked for is told before an hour of scoring
    check_models(settings)
    score = part_of_pipeline(wanted.pipeline, "validate").score
    inference = with_site_thresholds(open_inference(settings.inference, settings.model_repository), settings.models)
    given = _given(score, {"folds": wanted.folds})
    given |= _offered(score, {"recordings": RecordingFiles()})
    scored = score(wanted.data, inference, progress=TerminalProgress(), **given)
    return outputs.write(scored, asked, title=discover_pipelines()[wanted.pipeline].title,
                         data=wanted.data.name or str(wanted.data), made_at=datetime.now(UTC))


def _outputs(wanted: ValidateRequest) -> Any:
    from pipelines.validation.operating import OperatingPoint
    from pipelines.validation.outputs import Wanted

    point = OperatingPoint.parse(wanted.operating_point) if wanted.operating_point else None
    return Wanted(wanted.json_out, wanted.predictions, wanted.report, wanted.plots, point, wanted.thresholds_out)


def _given(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were chosen; refused where the function has no such parameter."""
    chosen = {name: value for name, value in options.items() if value}
    for name in chosen.keys() - inspect.signature(function).parameters.keys():
        raise ConfigurationError(f"this reader has no --{name}: leave it out")
    return chosen


def _offered(function: Callable[..., Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """What the function asks for by a parameter of that name."""
    return {name: part for name, part in parts.items() if name in inspect.signature(function).parameters}
