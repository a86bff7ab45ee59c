"""Writing files so that they are there after a power cut: data and directory entry, then answer."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.errors import GatewayError, StorageFull, Transient

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
_SYNC_FILE_RANGE_WRITE = 2

BLOCK = 4096
"""Bytes that a file system takes and gives at once."""
Piece = bytes | bytearray | memoryview
_GATHERED = 1024
"""Pieces that the system writes in one call (IOV_MAX)."""
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


class FileLayer:
    """Every call of the object store that changes a disk: the one place where faults can be put in. Raises OSError.

    What was written is there after a power cut once `sync_file` has returned, and a name once `sync_directory` has.
    """

    def create(self, path: Path | str) -> int:
        """A new file, open for writing and reading; its descriptor."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)

    def open(self, path: Path) -> int:
        """A file that is there, for writing over parts of it; its descriptor."""
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def write(self, descriptor: int, piece: Piece) -> int:
        """All of `piece` (of bytes) at the file's position; returns how many."""
        size = len(piece)
        written = os.write(descriptor, piece)
        while written < size:
            written += os.write(descriptor, memoryview(piece)[written:])
        return size

    def write_past_cache(self, descriptor: int, piece: memoryview) -> int:
        """All of `piece` (of bytes, whose memory begins at a block) from the beginning of the file on, its whole blocks
        straight to the disk where the file system can: memory for what is not read at once costs more than writing it.
        Returns how many."""
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
            written = os.pwrite(descriptor, piece[:len(piece) // BLOCK * BLOCK], 0)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            written = 0
        finally:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
        return written + self.write_at(descriptor, piece[written:], written)

    def write_at(self, descriptor: int, piece: Piece, offset: int) -> int:
        """All of `piece` (of bytes) at `offset`; returns how many."""
        size = len(piece)
        written = os.pwrite(descriptor, piece, offset)
        while written < size:
            written += os.pwrite(descriptor, memoryview(piece)[written:], offset + written)
        return size

    def gather_at(self, descriptor: int, pieces: Sequence[Piece], offset: int) -> int:
        """All of the `pieces` (of bytes), one after another from `offset` on, in one call; returns how many bytes."""
        size = sum(map(len, pieces))
        written = os.pwritev(descriptor, pieces, offset) if len(pieces) <= _GATHERED else 0
        if written < size:
            self.write_at(descriptor, memoryview(b"".join(pieces))[written:], offset + written)
        return size

    def start_writing(self, descriptor: int, offset: int, size: int) -> None:
        """Have the disk begin with what was written there: less is left for `sync_file` then. Promises nothing."""
        _LIBC.sync_file_range(descriptor, offset, size, _SYNC_FILE_RANGE_WRITE)

    def sync_file(self, descriptor: int) -> None:
        """Make what was written to the file durable, not its names."""
        os.fdatasync(descriptor)

    def sync_directory(self, directory: Path) -> None:
        """Make the directory's entries durable."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_all(self, directory: Path) -> None:
        """Make all contents and names of the file system durable that holds the directory."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if _LIBC.syncfs(descriptor):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        finally:
            os.close(descriptor)

    def link(self, source: Path, target: Path) -> None:
        """A second name. FileExistsError where it is taken."""
        os.link(source, target)

    def rename(self, source: Path, target: Path) -> None:
        """Over what stands there."""
        source.rename(target)

    def unlink(self, path: Path | str) -> None:
        """Gone already is fine."""
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()

    def mkdir(self, directory: Path) -> None:
        """There already is fine; its parent must be."""
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o750)

    def rmdir(self, directory: Path) -> None:
        directory.rmdir()


def sync_directory(directory: Path) -> None:
    """Make the directory's entries durable."""
    FileLayer().sync_directory(directory)


def make_directories(directory: Path, files: FileLayer | None = None) -> None:
    """Make the directory with its parents, each entry durable. Raises OSError."""
    files = files or FileLayer()
    if directory.is_dir():
        return
    make_directories(directory.parent, files)
    files.mkdir(directory)
    files.sync_directory(directory.parent)


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
