"""Documents on disk, durable when `put` returns."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path

from gateway.errors import Permanent, StorageFull, Transient


class DocumentFolder:
    """Implements gateway.repository.DocumentFiles: `<root>/<2 characters of the run id>/<run id>/<name>`."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def put(self, run_id: str, name: str, content: bytes) -> tuple[str, str]:
        folder = self._root / run_id[:2] / run_id
        path = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write_durably(path, content)
            for directory in (folder, folder.parent, self._root):
                _sync_directory(directory)
        except OSError as error:
            kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else Transient
            raise kind(f"a document could not be written: {error.strerror}") from error
        return str(path), hashlib.sha256(content).hexdigest()

    def delete(self, path: str) -> None:
        """Gone already is fine. Raises Permanent for a path outside the folder, Transient where it cannot be done."""
        file = Path(path).resolve()
        if self._root not in file.parents:
            raise Permanent("this is no document")
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise Transient(f"a document could not be deleted: {error.strerror}") from error
        with contextlib.suppress(OSError):  # others are still in it
            file.parent.rmdir()

    def get(self, path: str) -> bytes:
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise Transient(f"a document could not be read: {error.strerror}") from error


def _write_durably(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
