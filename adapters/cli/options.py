"""Options that several commands share, and the settings and server behind them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from adapters.cli.remote import Remote, url_of
from adapters.cli.services import CliServices
from adapters.web.catalogue import Texts, texts

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", show_default=False,
                                                help="Configuration file, else config/gateway.yaml if it is there.")]
Url = Annotated[str | None, typer.Option("--url", metavar="URL", show_default=False,
                                         help="The running gateway; else http.host, http.port.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")]


@dataclass(frozen=True, slots=True)
class Session:
    """A running gateway, and the language to speak of it."""

    remote: Remote
    t: Texts


def session(services: CliServices, url: str | None, config: Path | None) -> Session:
    """Raises ConfigurationError."""
    settings = services.load_settings(config)
    return Session(Remote(url or url_of(settings.http)), texts(settings.site.language))
