"""Objects that wait in a store's journal for their files."""

from __future__ import annotations

import shutil
from pathlib import Path

from adapters.dicom.content import part10
from adapters.files.incoming import IncomingFile
from adapters.files.store import FileObjectStore
from gateway.ports import Stored

HEADER = part10.build(part10.FileMeta("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1", "CT"))
SLICE = 525_000
"""Bytes of a CT slice: more than waits in memory, less than has a scratch file."""


def begun(store: FileObjectStore, content: bytes) -> IncomingFile:
    incoming = store.begin(HEADER)
    for at in range(0, len(content), 100_000):
        incoming.write(content[at:at + 100_000])
    return incoming


def answered(store: FileObjectStore, uid: str, content: bytes) -> tuple[IncomingFile, Stored]:
    """Durable, without a file of its own."""
    incoming = begun(store, content)
    incoming.stage("1.2", uid)
    return incoming, incoming.finish("1.2", uid)


def crashed(tmp_path: Path) -> Path:
    """The disk as it is now, its journal held by nobody any more."""
    shutil.copytree(tmp_path / "objects", tmp_path / "crashed")
    return tmp_path / "crashed"


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*.dcm"))
