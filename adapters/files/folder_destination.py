"""Delivery of documents into a folder: `<path>/<identity>/<kind>.<ext>`."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from pathlib import Path

from adapters.files import durable
from gateway import settings as configuration
from gateway.delivery import MEDIA_TYPES, DeliveryState, Document, Kind, Receipt
from gateway.errors import Transient

EXTENSIONS = {"application/dicom": "dcm", "application/hl7-v2": "hl7", "application/fhir+json": "fhir.json",
              "application/json": "json"}
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def folder_name(identity: str) -> str:
    """The identity where it is fit for a file name, else a hash of it."""
    if _SAFE.fullmatch(identity):
        return identity
    return "x" + hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:40]


class FolderDestination:
    """`gateway.delivery.Destination`: the file is whole and on disk before the receipt; the proof is its SHA-256.

    The same document again changes nothing; other content of the same identity (a DiagnosticReport that was updated)
    replaces the earlier file.
    """

    def __init__(self, settings: configuration.FolderDestination) -> None:
        self.name = settings.name
        self.kinds = frozenset(Kind) if settings.kinds is None else frozenset(settings.kinds)
        self._path = settings.path

    def deliver(self, document: Document) -> Receipt:
        """Raises Transient where the folder cannot be written, StorageFull where it is full."""
        directory = self._path / folder_name(document.identity)
        file = directory / f"{document.kind.value}.{EXTENSIONS[MEDIA_TYPES[document.kind]]}"
        with durable.storage_errors():
            durable.make_directories(directory)
            if not file.is_file() or file.read_bytes() != document.content:
                scratch = directory / f".{file.name}.{os.getpid()}-{threading.get_ident()}.part"
                durable.replace_file(file, document.content, scratch)
        facts = {"file": f"{directory.name}/{file.name}", "sha256": hashlib.sha256(document.content).hexdigest()}
        return Receipt(DeliveryState.DELIVERED, facts)

    def probe(self) -> None:
        """Raises Transient where the folder is not there and cannot be made, or cannot be written."""
        with durable.storage_errors():
            durable.make_directories(Path(self._path))
        if not os.access(self._path, os.W_OK | os.X_OK):
            raise Transient("The folder cannot be written.")
