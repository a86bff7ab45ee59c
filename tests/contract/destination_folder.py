"""FolderDestination for the contract suite."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from adapters.files.folder_destination import FolderDestination
from gateway.delivery import Document, Kind
from gateway.settings import FolderDestination as Configured


def make_document() -> Document:
    return Document(Kind.JSON, "run-1", b'{"patient_name": "Secret^Patient"}')


@contextlib.contextmanager
def running() -> Iterator[tuple[FolderDestination, Callable[[], list[bytes]], Callable[[], Document]]]:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "results"
        destination = FolderDestination(Configured(name="archive", type="folder", path=root))
        yield destination, lambda: [file.read_bytes() for file in root.rglob("*") if file.is_file()], make_document


def unreachable() -> FolderDestination:
    """Its path runs through a file."""
    return FolderDestination(Configured(name="archive", type="folder", path=Path("/dev/null/results")))
