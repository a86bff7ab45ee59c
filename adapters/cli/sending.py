"""`send`: files, folders and zips to a DICOM port, usually the gateway's own; recordings and photographs that are no
DICOM go as DICOM objects, and other files are skipped."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.cli import output
from adapters.cli.options import Config
from adapters.cli.services import CliServices, SendRequest, SentFile
from adapters.files.conversion import Conversion
from adapters.files.wfdb_bundle import wrap_record
from adapters.web.archive import NOT_DICOM, WFDB_SUFFIXES, Bytes, is_dicom, members
from adapters.web.recordings import segments, usable
from gateway.errors import GatewayError, Rejected

LARGEST_ZIP_BYTES = 64 * 1024**3
_LEFT_OUT = {"DICOMDIR", "Thumbs.db"}
_HEAD = 132
_REFUSALS_SHOWN = 20


Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, folders or zips.", exists=True)]


def add_send(cli: typer.Typer, services: CliServices) -> None:
    @cli.command(epilog="Example: triage-gateway send ./studies scan.zip image.dcm record.hea --rate 50")
    def send(paths: Paths, config: Config = None,
             host: Annotated[str | None, typer.Option(help="Else dicom.host of the configuration.")] = None,
             port: Annotated[int | None, typer.Option(min=1, max=65535, help="Else dicom.port.")] = None,
             called: Annotated[str | None, typer.Option(help="Called AE title, else dicom.ae_title.",
                                                        callback=_ae_title)] = None,
             calling: Annotated[str, typer.Option(help="Calling AE title.", callback=_ae_title)] = "TRIAGE-SEND",
             rate: Annotated[float | None, typer.Option(min=0.001, help="Objects a second, at most.")] = None) -> None:
        """Send DICOM files by C-STORE, and WFDB, aECG, .npy, NIfTI, WAV, FLAC, JPEG and PNG files as DICOM.

        Photographs (JPEG, PNG) go only where a configured reader takes them; files of other kinds are skipped.
        """
        settings = services.load_settings(config)
        dicom = settings.dicom
        convert = Conversion(ZoneInfo(settings.site.timezone), services.modalities(settings))
        address = host or {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(dicom.host, dicom.host)  # noqa: S104
        with tempfile.TemporaryDirectory() as scratch:
            packing = expand(paths, Path(scratch), convert)
            files = packing.files
            if not files and not packing.refused:
                raise Rejected("There is no file to send in " + ", ".join(str(path) for path in paths) + ".")
            request = SendRequest(address, port or dicom.port, called or dicom.ae_title, calling, tuple(files))
            sent = _send(services, request, _Pace(rate)) if files else ()
            told = packing.refused + [(files[file.path], _reason(file)) for file in sent if not file.stored]
            kept = [(files[file.path], _remark(file)) for file in sent if file.stored and _remark(file)]
            _summarise(sum(file.stored for file in sent), told, kept, len(packing.skipped))
        if told:
            raise typer.Exit(1)


def _ae_title(title: str | None) -> str | None:
    """AE (PS3.5 6.2): 16 characters at most."""
    if title is not None and (len(title.strip()) > 16 or not title.strip() or "\\" in title or not title.isascii()):
        raise typer.BadParameter("an AE title has 1 to 16 plain characters (PS3.5 6.2)")
    return title


def expand(paths: Iterable[Path], scratch: Path, convert: Conversion) -> Packing:
    """What is to be sent.

    Zips are unpacked and recordings made DICOM into `scratch`, under numbers for names: what a zip says of paths is
    never used.
    """
    packing = Packing(scratch, convert)
    found = list(_walk(paths))
    parts = {part for path in found if path.suffix.lower() == ".hea" for part in _segments(path)}
    for path in found:
        if path.suffix.lower() == ".hea":
            if path not in parts:
                packing.wrap(path)
        elif not _part_of_record(path):
            packing.take(path)
    return packing


def _walk(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.is_file() and file.name not in _LEFT_OUT
                    and (not path.is_dir() or not _hidden(file.relative_to(path))))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _segments(header: Path) -> list[Path]:
    """The headers of its segments; none of a header that cannot be read: `wrap` says why."""
    try:
        return [header.parent / PurePath(name).name for name in segments(header.read_bytes())]
    except OSError:
        return []


def _part_of_record(path: Path) -> bool:
    """Signal files beside a WFDB header go with it."""
    return path.suffix.lower() in WFDB_SUFFIXES and any(path.parent.glob("*.hea"))


@dataclass(frozen=True, slots=True)
class Packing:
    """`files`: file → its name for people. `refused`: (name, reason) of what cannot be read. `skipped`: names of what
    is nothing that could be sent."""

    scratch: Path
    convert: Conversion
    files: dict[Path, str] = field(default_factory=dict)
    refused: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def take(self, path: Path) -> None:
        """A DICOM file as it lies there; everything else by what it holds."""
        try:
            with path.open("rb") as file:
                if is_dicom(file.read(_HEAD)):
                    self.files[path] = str(path)
                    return
        except OSError as error:
            self.refused.append((str(path), error.strerror or "it cannot be read"))
            return
        self.unpack(path)

    def wrap(self, header: Path) -> None:
        try:
            content = wrap_record(header, zone=self.convert.zone)
        except GatewayError as error:
            self.refused.append((str(header), str(error)))
        else:
            self._keep(content, str(header))

    def unpack(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                for member in usable(members(file, path.name, LARGEST_ZIP_BYTES, self.convert.kind), self.convert):
                    name = str(path) if member.name == path.name else f"{path}:{member.name}"
                    if member.reason == NOT_DICOM and path.suffix.lower() == ".zip" and name == str(path):
                        self.refused.append((name, "This is no zip archive."))
                    elif member.reason == NOT_DICOM:
                        self.skipped.append(name)
                    elif member.reason:
                        self.refused.append((name, member.reason))
                    else:
                        self._keep(member.content, name)
        except (GatewayError, OSError) as error:
            self.refused.append((str(path), str(error)))

    def _keep(self, content: Bytes, name: str) -> None:
        target = self.scratch / f"{len(self.files):08d}.dcm"
        target.write_bytes(content)
        self.files[target] = name


class _Pace:
    """Lets one object through after the other, `rate` a second at most."""

    def __init__(self, rate: float | None) -> None:
        self._interval, self._next = 1 / rate if rate else 0.0, time.monotonic()

    def wait(self) -> None:
        self._next = max(self._next + self._interval, time.monotonic())
        time.sleep(max(0.0, self._next - time.monotonic()))


def _send(services: CliServices, request: SendRequest, pace: _Pace) -> Sequence[SentFile]:
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                   console=Console(stderr=True), transient=True)
    with bar:
        task = bar.add_task(f"{request.called_ae_title}@{request.host}:{request.port}", total=len(request.paths))

        def sent(_path: Path, _status: int) -> None:
            bar.advance(task)
            pace.wait()

        return services.send_files(request, sent)


def _remark(file: SentFile) -> str:
    """What the receiver says besides of a file that it took."""
    return file.error or (f"taken with warning status 0x{file.status:04X}" if file.status else "")


def _reason(file: SentFile) -> str:
    if file.status < 0:
        return file.error or "not sent"
    return f"refused with status 0x{file.status:04X}" + (f": {file.error}" if file.error else "")


def _summarise(stored: int, refused: list[tuple[str, str]], remarked: list[tuple[str, str]], skipped: int) -> None:
    """How many were taken, then refusals and the receiver's remarks on what it took, each with the files it befell."""
    others = f", with remarks {len(remarked)}" * bool(remarked) + f", skipped {skipped}" * bool(skipped)
    output.say(f"Stored {stored}, refused {len(refused)}{others}.", "bold" if not refused else "bold red")
    _by_reason(refused, "red")
    _by_reason(remarked, "yellow")


def _by_reason(told: list[tuple[str, str]], style: str) -> None:
    for reason, count in Counter(reason for _, reason in told).most_common():
        output.say(f"{count} × {reason}", style)
        names = [name for name, why in told if why == reason]
        for name in names[:_REFUSALS_SHOWN]:
            output.say(f"    {name}")
        if len(names) > _REFUSALS_SHOWN:
            output.say(f"    and {len(names) - _REFUSALS_SHOWN} more")
