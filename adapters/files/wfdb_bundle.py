"""WFDB records as DICOM waveform objects, so that they go the way of every other study."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, tzinfo
from pathlib import Path

from adapters.dicom.content.waveform_write import write_ecg
from gateway.errors import Unusable


def wrap_record(header: Path, *, zone: tzinfo = UTC) -> bytes:
    """Part 10 bytes of a record on disk, given by its `.hea` file. Raises Unusable, Transient (see read_wfdb)."""
    # wfdb brings pandas with it: only who has such a record waits for it.
    from adapters.files.wfdb_source import read_wfdb

    return write_ecg(read_wfdb(header, zone=zone))


def wrap_files(header: str, files: Mapping[str, bytes], modified: float, *, zone: tzinfo = UTC) -> bytes:
    """Part 10 bytes of a record in memory. `files`: plain file name → content, the one named `header` among them.

    `modified` (POSIX seconds): its time where the header tells none. Raises Unusable, Transient.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            _put(Path(folder), name, content, modified)
        return wrap_record(Path(folder) / header, zone=zone)


def _put(folder: Path, name: str, content: bytes, modified: float) -> None:
    path = folder / name
    if path.parent != folder or name in {"", ".", ".."}:
        raise Unusable("a file name of the WFDB record holds a path")
    try:
        path.write_bytes(content)
    except (OSError, ValueError) as error:
        raise Unusable("a file name of the WFDB record cannot be used") from error
    os.utime(path, (modified, modified))
