"""Writing files so that they are there after a power cut: data, then directory entry, then answer."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from gateway.errors import GatewayError, StorageFull, Transient

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def as_gateway_error(error: OSError) -> GatewayError:
    """StorageFull where space or quota ran out, else Transient; names no path (it may hold identifiers)."""
    if error.errno in _FULL:
        return StorageFull("The storage is full.")
    return Transient(f"The storage does not work: {os.strerror(error.errno or errno.EIO)}.")


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Raise OSErrors as StorageFull or Transient."""
    try:
        yield
    except OSError as error:
        raise as_gateway_error(error) from error


def sync_directory(directory: Path) -> None:
    """Make the directory's entries durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(directory: Path) -> None:
    """Make the directory with its parents, each entry durable. Raises OSError."""
    if directory.is_dir():
        return
    make_directories(directory.parent)
    with contextlib.suppress(FileExistsError):
        directory.mkdir()
    sync_directory(directory.parent)


def replace_file(path: Path, content: bytes, scratch: Path) -> None:
    """Write `path` whole or not at all, over what is there; `scratch`: a name in the same directory. Raises OSError."""
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fdatasync(file.fileno())
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def claim(descriptor: int) -> bool:
    """Lock an open scratch file for this process; False where a living one holds it. Ends with the descriptor."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
