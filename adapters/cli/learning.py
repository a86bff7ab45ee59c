"""`train` and `validate`: a reader's model from data, and a reader's figures on data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.cli import output
from adapters.cli.options import Config
from adapters.cli.services import CliServices, TrainRequest, ValidateRequest

Pipeline = Annotated[str, typer.Argument(metavar="PIPELINE", help="e.g. ecg_12lead, chest_ct")]
Data = Annotated[Path, typer.Option("--data", metavar="DIR_OR_FILE",
                                    help="The data set; `synthetic` where a reader makes its own.")]
Repository = Annotated[Path, typer.Option("--out", metavar="DIR", help="Model repository to write to.")]
_COLUMNS = ("n", "positives", "auc", "auc_ci95", "sensitivity", "specificity", "threshold")


def add_train(cli: typer.Typer, services: CliServices) -> None:
    @cli.command(epilog="Example: triage-gateway train ecg_12lead --data ../shared/data/ptb-xl --out model_repository")
    def train(pipeline: Pipeline, data: Data, out: Repository, config: Config = None,
              epochs: Annotated[int | None, typer.Option(min=1, help="Else the pipeline's own number.")] = None,
              folds: Annotated[str, typer.Option(help="Learnt from, e.g. 1,2,3; else the pipeline's own.")] = "",
              seed: Annotated[int, typer.Option(help="Of everything random: the same seed, the same figures.")] = 0,
              device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
              resume: Annotated[bool, typer.Option("--resume", help="Go on where the last training was left.")] = False,
              ) -> None:
        """Train a pipeline's model and write it into a model repository (needs the `train` extra)."""
        request = TrainRequest(pipeline, data, out, epochs, seed, device, resume, _folds(folds))
        services.train(services.load_settings(config), request)
        output.say(f"Written to {out}.", "green")


def add_validate(cli: typer.Typer, services: CliServices) -> None:
    @cli.command(epilog="Example: triage-gateway validate ecg_12lead --data ../shared/data/ptb-xl --json figures.json "
                        "--report report.html")
    def validate(pipeline: Pipeline, data: Data,
                 json_out: Annotated[Path, typer.Option("--json", metavar="OUT", help="Where the figures go.")],
                 predictions: Annotated[Path | None, typer.Option(
                     metavar="CSV", help="Also every row: record, label, truth, probability.")] = None,
                 report: Annotated[Path | None, typer.Option(
                     metavar="HTML", help="Also one page with tables and curves, to be read or printed.")] = None,
                 plots: Annotated[Path | None, typer.Option(
                     metavar="DIR", help="Also the curves: roc.png, reliability.png.")] = None,
                 operating_point: Annotated[str, typer.Option(
                     metavar="sens=S|spec=S", help="Also choose a threshold for each label with this sensitivity or "
                                                   "specificity on these data.")] = "",
                 thresholds: Annotated[Path | None, typer.Option(
                     metavar="YAML", help="Where those go, in the configuration's form; else beside OUT.")] = None,
                 folds: Annotated[str, typer.Option(help="Folds to score, e.g. 9,10; else the pipeline's own.")] = "",
                 config: Config = None) -> None:
        """Score a pipeline on labelled data."""
        request = ValidateRequest(pipeline, data, json_out, predictions, _folds(folds), report, plots, operating_point,
                                  thresholds)
        told = services.validate(services.load_settings(config), request)
        _print_figures(told)
        _print_operating_point(told.get("operating_point"))
        written = [json_out, predictions, report, plots, request.thresholds_out]
        output.say("Written to " + ", ".join(str(path) for path in written if path) + ".", "green")


def _folds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise typer.BadParameter("--folds takes numbers, e.g. 9,10") from error


def _print_figures(report: Mapping[str, Any]) -> None:
    output.table(("label", *_COLUMNS), ((label, *(_figure(told.get(name)) for name in _COLUMNS))
                                        for label, told in report.get("labels", {}).items()), right=_COLUMNS)
    plain = {name: _figure(value) for name, value in report.items() if isinstance(value, int | float | str)}
    without = report.get("undetermined")
    if without:
        reasons = ", ".join(f"{reason} {n}" for reason, n in without["reasons"].items())
        plain["undetermined"] = f"{without['n']} of {report['records']}" + (f" ({reasons})" if reasons else "")
    output.pairs(plain)


def _print_operating_point(chosen: Mapping[str, Any] | None) -> None:
    if chosen is None:
        return
    output.say(f"Thresholds for {chosen['wanted']} on these records:", "bold")
    columns = ("threshold", "sensitivity", "specificity", "positives")
    output.table(("label", *columns), ((label, *(_figure(told[name]) for name in columns))
                                       for label, told in chosen["labels"].items()), right=columns)
    if chosen["few"]:
        output.say(f"Uncertain, on less than ten positives: {', '.join(chosen['few'])}.", "yellow")
    for label, why in chosen["unset"].items():
        output.say(f"{label}: left as it is ({why}).", "yellow")


def _figure(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " – ".join(_figure(part) for part in value)
    return f"{value:.3f}" if isinstance(value, float) else "–" if value is None else str(value)
