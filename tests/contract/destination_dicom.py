"""DicomDestination for the contract suite: DCMTK's storescp as the PACS, in its own process."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from adapters.dicom.content import part10
from adapters.dicom.transport.scp import DicomServer
from adapters.dicom.transport.scu import DicomDestination
from adapters.files.store import FileObjectStore
from gateway.delivery import Document, Kind
from gateway.errors import Unusable
from gateway.settings import DicomDestination as Configured
from gateway.settings import DicomSettings
from tests.dicom_intake import StoreIntake
from tests.dicom_objects import part10_bytes, slice_dataset
from tests.peers.dcmtk import free_port, receiver


def make_document() -> Document:
    dataset = slice_dataset(name="Secret^Patient")
    return Document(Kind.SC, str(dataset.SOPInstanceUID), part10_bytes(dataset), str(dataset.SOPClassUID))


def configured(port: int) -> DicomDestination:
    settings = Configured(name="pacs", type="dicom", host="127.0.0.1", port=port, ae_title="PACS")
    return DicomDestination(settings, timeout_seconds=10)


@contextlib.contextmanager
def running() -> Iterator[tuple[DicomDestination, Callable[[], list[bytes]], Callable[[], Document]]]:
    """`received` gives Part 10 files with the header that the document had, so that they can be compared."""
    with tempfile.TemporaryDirectory() as directory, receiver(Path(directory)) as port:
        yield configured(port), lambda: _received(Path(directory)), make_document


def _received(directory: Path) -> list[bytes]:
    own_header, _ = part10.split(make_document().content)
    return [own_header + part10.split(file.read_bytes())[1] for file in sorted(directory.iterdir())]


def unreachable() -> DicomDestination:
    return configured(free_port())


@contextlib.contextmanager
def refusing() -> Iterator[tuple[DicomDestination, Callable[[], Document]]]:
    """A PACS that answers 0xA900."""
    with tempfile.TemporaryDirectory() as directory:
        intake = StoreIntake(FileObjectStore(Path(directory), 0))
        intake.failure = Unusable("Secret Patient is not welcome.")
        server = DicomServer(DicomSettings(port=0), intake)
        server.start()
        try:
            yield configured(server.port), make_document
        finally:
            server.stop()


@contextlib.contextmanager
def silent() -> Iterator[DicomDestination]:
    """A peer that accepts the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = Configured(name="pacs", type="dicom", host="127.0.0.1", port=listener.getsockname()[1], ae_title="P")
        yield DicomDestination(settings, timeout_seconds=0.3)
