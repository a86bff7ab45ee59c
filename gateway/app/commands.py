"""The commands of the terminal that need more than one side of the composition root."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from adapters.cli import local
from adapters.cli.app import build_cli
from adapters.cli.services import CheckReport, CliServices
from adapters.demo.command import add_demo
from gateway.app.learning import train, validate
from gateway.app.readers import check_models, check_routes, demo_scenarios, discover_pipelines, modalities_of
from gateway.logs import configure_logs
from gateway.settings import LogSettings, Settings

_SWITCH_SECONDS = 0.001
"""How long a thread that computes may keep one waiting that answers a sender."""
_STOP_SECONDS = 25.0
"""Less than what compose.yaml and the Kubernetes files give it before they kill it (40 s)."""


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
            local.leave_within(_STOP_SECONDS)
        finally:
            gateway.stop()


def check(config: Path | None, files: Sequence[Path]) -> CheckReport:
    settings, known = local.load_settings(config), discover_pipelines()
    check_routes(settings, known)
    check_models(settings)
    return local.check(settings, known, files)


def modalities(settings: Settings) -> frozenset[str]:
    return modalities_of(settings, discover_pipelines())


def main() -> None:
    """The console script `triage-gateway`."""
    configure_logs(LogSettings())
    cli = build_cli(CliServices(
        serve=serve, load_settings=local.load_settings, modalities=modalities, send_files=local.send, check=check,
        conform=local.conform_files, models=local.list_models, train=train, validate=validate))
    add_demo(cli, demo_scenarios)
    cli()
