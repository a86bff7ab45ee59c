"""`send`: files, folders and zips to a DICOM port, usually the gateway's own."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.cli import output
from adapters.cli.options import Config
from adapters.cli.services import CliServices, SendRequest, SentFile
from adapters.web.archive import members
from gateway.errors import Rejected

LARGEST_ZIP_BYTES = 64 * 1024**3
_LEFT_OUT = {"DICOMDIR", "Thumbs.db"}
_REFUSALS_SHOWN = 20


Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, folders or zips.", exists=True)]


def add_send(cli: typer.Typer, services: CliServices) -> None:
    @cli.command(epilog="Example: triage-gateway send ./studies scan.zip image.dcm")
    def send(paths: Paths, config: Config = None,
             host: Annotated[str | None, typer.Option(help="Else dicom.host of the configuration.")] = None,
             port: Annotated[int | None, typer.Option(min=1, max=65535, help="Else dicom.port.")] = None,
             called: Annotated[str | None, typer.Option(help="Called AE title, else dicom.ae_title.")] = None,
             calling: Annotated[str, typer.Option(help="Calling AE title.")] = "TRIAGE-SEND") -> None:
        """Send DICOM files by C-STORE."""
        dicom = services.load_settings(config).dicom
        address = host or {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(dicom.host, dicom.host)  # noqa: S104
        with tempfile.TemporaryDirectory() as scratch:
            files, refused = expand(paths, Path(scratch))
            request = SendRequest(address, port or dicom.port, called or dicom.ae_title, calling, tuple(files))
            sent = _send(services, request) if files else ()
            told = refused + [(files[file.path], _reason(file)) for file in sent if not file.stored]
            _summarise(sum(file.stored for file in sent), told)
        if told:
            raise typer.Exit(1)


def expand(paths: Iterable[Path], scratch: Path) -> tuple[dict[Path, str], list[tuple[str, str]]]:
    """(file → its name for people, [(name, reason)] of what cannot be read); zips are unpacked into `scratch`.

    Unpacked files get numbers for names: what a zip says of paths is never used.
    """
    files: dict[Path, str] = {}
    refused: list[tuple[str, str]] = []
    for path in _walk(paths):
        if path.suffix.lower() == ".zip":
            _unpack(path, scratch, files, refused)
        else:
            files[path] = str(path)
    return files, refused


def _walk(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.is_file() and file.name not in _LEFT_OUT
                    and (not path.is_dir() or not _hidden(file.relative_to(path))))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _unpack(path: Path, scratch: Path, files: dict[Path, str], refused: list[tuple[str, str]]) -> None:
    try:
        with path.open("rb") as file:
            for member in members(file, path.name, LARGEST_ZIP_BYTES):
                name = f"{path}:{member.name}"
                if member.reason:
                    refused.append((name, member.reason))
                    continue
                target = scratch / f"{len(files):08d}.dcm"
                target.write_bytes(member.content)
                files[target] = name
    except (Rejected, OSError) as error:
        refused.append((str(path), str(error)))


def _send(services: CliServices, request: SendRequest) -> Sequence[SentFile]:
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                   console=Console(stderr=True), transient=True)
    with bar:
        task = bar.add_task(f"{request.called_ae_title}@{request.host}:{request.port}", total=len(request.paths))
        return services.send_files(request, lambda _path, _status: bar.advance(task))


def _reason(file: SentFile) -> str:
    if file.status < 0:
        return file.error or "not sent"
    return f"refused with status 0x{file.status:04X}" + (f": {file.error}" if file.error else "")


def _summarise(stored: int, refused: list[tuple[str, str]]) -> None:
    """How many were taken, then the refusals by reason, each with the files it befell."""
    output.say(f"Stored {stored}, refused {len(refused)}.", "bold" if not refused else "bold red")
    for reason, count in Counter(reason for _, reason in refused).most_common():
        output.say(f"{count} × {reason}", "red")
        names = [name for name, why in refused if why == reason]
        for name in names[:_REFUSALS_SHOWN]:
            output.say(f"    {name}")
        if len(names) > _REFUSALS_SHOWN:
            output.say(f"    and {len(names) - _REFUSALS_SHOWN} more")
