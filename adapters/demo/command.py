"""The command `triage-gateway demo`, behind `make demo`."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from adapters.demo.scenario import Scenario, own_files
from adapters.demo.show import run


def add_demo(cli: typer.Typer, samples: Callable[[], list[Scenario]]) -> None:
    @cli.command(epilog="Example: triage-gateway demo --exit")
    def demo(
        folder: Annotated[Path, typer.Option(help="Emptied first; holds everything of the demonstration.")] =
            Path(".demo"),
        data: Annotated[Path | None, typer.Option(help="A folder of your own DICOM files, sent as well.")] = None,
        end: Annotated[bool, typer.Option("--exit", help="End when done, instead of leaving the page up.")] = False,
    ) -> None:
        """A small hospital on this machine: orders, studies, results, and the worklist page."""
        wanted = samples() + (own_files(data) if data else [])
        if data and not any(s.patient is None for s in wanted):
            raise typer.BadParameter(f"{data} holds no DICOM file", param_hint="--data")
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)  # as Ctrl-C: the gateway is stopped too
        if not run(folder.resolve(), wanted, stay=not end):
            raise typer.Exit(1)
