"""The commands of the terminal that need more than one side of the composition root."""

from __future__ import annotations

import gc
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.cli import local
from adapters.cli.app import build_cli
from adapters.cli.services import CheckReport, CliServices, TrainRequest, ValidateRequest
from adapters.demo.command import add_demo
from adapters.inference.opening import open_inference
from gateway.app.readers import (
    PixelsAndSamples,
    check_models,
    check_routes,
    demo_scenarios,
    discover_pipelines,
    part_of_pipeline,
)
from gateway.logs import configure_logs
from gateway.settings import LogSettings, Settings

_SWITCH_SECONDS = 0.001
"""How long a thread that computes may keep one waiting that answers a sender."""


def serve(config: Path | None) -> None:
    """Runs until SIGTERM or SIGINT."""
    from gateway.app.gateway import Gateway  # the other commands need none of what it imports

    settings = local.load_settings(config)
    configure_logs(settings.log)
    sys.setswitchinterval(_SWITCH_SECONDS)
    gateway = Gateway(settings)
    with local.until_stopped() as stopping:
        try:
            gateway.start()
            gc.freeze()  # what is there now stays: looking through it again and again would keep senders waiting
            stopping.wait()
        finally:
            gateway.stop()


def check(config: Path | None, files: Sequence[Path]) -> CheckReport:
    settings, known = local.load_settings(config), discover_pipelines()
    check_routes(settings, known)
    check_models(settings)
    return local.check(settings, known, files)


def train(settings: Settings, wanted: TrainRequest) -> None:
    del settings
    chosen = {} if wanted.epochs is None else {"epochs": wanted.epochs}
    part_of_pipeline(wanted.pipeline, "train").train(wanted.data, wanted.out, seed=wanted.seed, device=wanted.device,
                                                     progress=local.tell, **chosen)


def validate(settings: Settings, wanted: ValidateRequest) -> Mapping[str, Any]:
    chosen: dict[str, Any] = {"folds": wanted.folds} if wanted.folds else {}
    score = part_of_pipeline(wanted.pipeline, "validate").validate
    if "loader" in inspect.signature(score).parameters:
        chosen["loader"] = PixelsAndSamples()
    figures: dict[str, Any] = score(
        wanted.data, open_inference(settings.inference, settings.model_repository), predictions=wanted.predictions,
        progress=local.tell, **chosen)
    wanted.json_out.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return figures


def main() -> None:
    """The console script `triage-gateway`."""
    configure_logs(LogSettings())
    cli = build_cli(CliServices(
        serve=serve, load_settings=local.load_settings, send_files=local.send, check=check,
        conform=local.conform_files, models=local.list_models, train=train, validate=validate))
    add_demo(cli, demo_scenarios)
    cli()
