"""`serve`, `check`, `conform` and `models`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from adapters.cli import output
from adapters.cli.options import Config, Json
from adapters.cli.services import CliServices, Explanation
from gateway.errors import NotReady

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False)]


def add_serve(cli: typer.Typer, services: CliServices) -> None:
    @cli.command(epilog="Example: triage-gateway serve --config config/gateway.yaml")
    def serve(config: Config = None) -> None:
        """Run the gateway until it is stopped (Ctrl-C or SIGTERM)."""
        services.serve(config)


More = Annotated[list[Path] | None, typer.Argument(metavar="FILE", exists=True, help="More for --explain.")]
Explain = Annotated[list[Path] | None, typer.Option(
    metavar="FILE", exists=True, help="Say which rule takes this file, and why the others do not.")]


def add_check(cli: typer.Typer, services: CliServices) -> None:
    @cli.command(epilog="Example: triage-gateway check --config site.yaml --explain image.dcm")
    def check(files: More = None, config: Config = None, explain: Explain = None, as_json: Json = False) -> None:
        """Check the configuration; print it as it is understood, without secrets."""
        if files and not explain:
            raise typer.BadParameter("files are for --explain FILE…")
        report = services.check(config, [*(explain or []), *(files or [])])
        if as_json:
            output.say_json({"valid": True, "settings": report.settings,
                             "explanations": [_explanation_form(e) for e in report.explanations]})
            return
        if report.explanations:
            for explanation in report.explanations:
                _explain(explanation)
            return
        output.say(yaml.safe_dump(dict(report.settings), allow_unicode=True, sort_keys=False).rstrip())
        output.say("The configuration is valid.", "green")
        if not report.settings["routes"]:
            output.say("There are no routes: no model will read anything.", "yellow")
        if not report.settings["destinations"]:
            output.say("There are no destinations: results stay in the gateway.", "yellow")


def _explanation_form(explanation: Explanation) -> dict[str, Any]:
    return {"path": str(explanation.path), "note": explanation.note, "readable": explanation.readable,
            "rules": [{"rule": rule, "taken": taken, "reason": why} for rule, taken, why in explanation.rules]}


def _explain(explanation: Explanation) -> None:
    output.say(str(explanation.path), "bold")
    for rule, taken, why in explanation.rules:
        output.say(f"  {'✓' if taken else '✕'} {rule}: {why}", "green" if taken else "dim")
    if explanation.readable and not any(taken for _, taken, _ in explanation.rules):
        output.say("  unsupported: no rule takes it", "yellow")
    if explanation.note:
        output.say(f"  {explanation.note}", "" if explanation.readable else "yellow")


def add_conform(cli: typer.Typer, services: CliServices) -> None:
    @cli.command(epilog="Example: triage-gateway conform report.dcm picture.dcm")
    def conform(files: Files, as_json: Json = False) -> None:
        """Check files that the gateway emitted."""
        reports = services.conform(files)
        if as_json:
            output.say_json([asdict(report) | {"path": str(report.path)} for report in reports])
        else:
            for report in reports:
                kind = f" ({report.kind})" if report.kind else ""
                output.say(f"{'✕' if report.errors else '✓'} {report.path}{kind}", "red" if report.errors else "green")
                for error in report.errors:
                    output.say(f"    {error}")
        if any(report.errors for report in reports):
            raise typer.Exit(1)


def add_models(cli: typer.Typer, services: CliServices) -> None:
    @cli.command(epilog="Example: triage-gateway models")
    def models(config: Config = None, as_json: Json = False) -> None:
        """The models of the repository, and whether each is what it says it is."""
        settings = services.load_settings(config)
        found = services.models(settings)
        if as_json:
            output.say_json([asdict(model) for model in found])
            return
        if not found:
            raise NotReady(f"There is no model in {settings.model_repository}: model_repository says where they are.")
        output.table(("Model", "Version", "Ready", "SHA-256", "Status"), (
            (m.name, m.version, output.cell("✓", "green") if m.ready else output.cell(f"✕ {m.reason}", "red"),
             m.sha256[:16], m.status) for m in found))
