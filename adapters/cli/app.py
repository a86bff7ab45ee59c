"""`triage-gateway`: all commands, over the services that the composition root supplies."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from adapters.cli import learning, listing, operations, output, sending
from adapters.cli.services import CliServices
from gateway.errors import GatewayError


class _Commands(TyperGroup):
    """What goes wrong on purpose is printed as its one sentence, with exit status 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            output.complain(str(error))
            raise typer.Exit(1) from error
        except BrokenPipeError:
            raise
        except OSError as error:  # a folder that is not there, a disk that is full: for the operator, not for us
            output.complain(f"{error.filename or 'this machine'}: {error.strerror or error}")
            raise typer.Exit(1) from error


def build_cli(app: CliServices) -> typer.Typer:
    """The console script's commands. Exit status: 0 done, 1 refused or failed, 2 wrong usage."""
    cli = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False,
                      help="Stands between a hospital's systems and its AI models, so that the sick are read first.",
                      epilog="Example: triage-gateway serve --config config/gateway.yaml")
    operations.add_serve(cli, app)
    sending.add_send(cli, app)
    listing.add_worklist(cli, app)
    listing.add_cases(cli, app)
    listing.add_deliveries(cli, app)
    operations.add_models(cli, app)
    learning.add_validate(cli, app)
    learning.add_train(cli, app)
    operations.add_check(cli, app)
    operations.add_conform(cli, app)
    return cli
