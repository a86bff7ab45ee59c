"""`serve`, `check`, `conform`, `models`, `train` and `validate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from adapters.cli import output
from adapters.cli.options import Config, Json
from adapters.cli.services import CliServices, Explanation, TrainRequest, ValidateRequest
from gateway.errors import NotReady

Pipeline = Annotated[str, typer.Argument(metavar="PIPELINE", help="e.g. ecg_12lead, chest_ct")]
Data = Annotated[Path, typer.Option("--data", metavar="DIR_OR_FILE",
                                                help="The data set; `synthetic` where a reader makes its own.")]
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


def add_train(cli: typer.Typer, services: CliServices) -> None:
    @cli.command(epilog="Example: triage-gateway train ecg_12lead --data ../shared/data/ptb-xl --out model_repository")
    def train(pipeline: Pipeline, data: Data,
              out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Model repository to write to.")],
              config: Config = None,
              epochs: Annotated[int | None, typer.Option(min=1, help="Else the pipeline's own number.")] = None,
              seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
              device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu") -> None:
        """Train a pipeline's model and write it into a model repository (needs the `train` extra)."""
        services.train(services.load_settings(config), TrainRequest(pipeline, data, out, epochs, seed, device))
        output.say(f"Written to {out}.", "green")


def add_validate(cli: typer.Typer, services: CliServices) -> None:
    @cli.command(epilog="Example: triage-gateway validate ecg_12lead --data ../shared/data/ptb-xl --json figures.json")
    def validate(pipeline: Pipeline, data: Data,
                 json_out: Annotated[Path, typer.Option("--json", metavar="OUT", help="Where the figures go.")],
                 predictions: Annotated[Path | None, typer.Option(
                     metavar="CSV", help="Also every row: record, label, truth, probability.")] = None,
                 folds: Annotated[str, typer.Option(help="Folds to score, e.g. 9,10; else the pipeline's own.")] = "",
                 config: Config = None) -> None:
        """Score a pipeline on labelled data."""
        request = ValidateRequest(pipeline, data, json_out, predictions, _folds(folds))
        _print_figures(services.validate(services.load_settings(config), request))
        output.say(f"Written to {json_out}.", "green")


def _folds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise typer.BadParameter("--folds takes numbers, e.g. 9,10") from error


def _print_figures(report: Mapping[str, Any]) -> None:
    columns = ("n", "positives", "auc", "auc_ci95", "sensitivity", "specificity", "threshold")
    output.table(("label", *columns), ((label, *(_figure(told.get(name)) for name in columns))
                                       for label, told in report.get("labels", {}).items()), right=columns)
    output.pairs({name: _figure(value) for name, value in report.items() if isinstance(value, int | float | str)})


def _figure(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " – ".join(_figure(part) for part in value)
    return f"{value:.3f}" if isinstance(value, float) else "–" if value is None else str(value)
