"""A journal for small objects: one sync of a file whose blocks and length stay as they are makes many objects durable.

Syncing a new file and its name costs two commits of the file system's own journal; a small object costs less than they
do. So its bytes are appended here and synced, which changes no metadata, and only then written to a file of its own,
which is not synced. Once in a while the whole file system is synced and the journal begun anew. What a journal holds
when its process has died is restored at the next start.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from adapters.files import durable
from adapters.files.durable import FileLayer

SEGMENT = 2 * 1024 * 1024
"""Bytes of a segment, a file that is filled once and then written over and over."""
MOST_SEGMENTS = 48
SETTLE_SECONDS = 1.0
"""How long a record waits until the file that it stands for is durable itself."""
_BLOCK = 4096
"""Records begin at a multiple of it, so that writing one never touches a block of another."""
_HEAD = struct.Struct("<4sB3xQHxxIII")
"""Magic, void, round, length of the name, length of the content, CRC-32 of name and content, CRC-32 of this."""
_MAGIC = b"TGJ1"
_VOID_AT = 4


@dataclass(eq=False, slots=True)
class _Segment:
    path: Path
    end: int = 0
    written: int = 0
    synced: int = 0
    pending: int = 0
    """Records whose files are still being written."""
    syncing: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class Record:
    """One appended object; `Journal.done` or `Journal.void` ends it."""

    segment: _Segment
    offset: int


class Journal:
    """Appends for one store of one process; for all of its threads, which share their syncs."""

    def __init__(self, root: Path, name: str, files: FileLayer, rewrite: Callable[[str, bytes], None]) -> None:
        """`root`: the store's folder, on the file system that is synced; `name`: this journal's own, among others.
        `rewrite`: writes the file of a record anew where it is still there."""
        self._root, self._folder, self._files = root, root / "journal" / name, files
        self._rewrite = rewrite
        self._failed = False
        """Whether the last sync of everything failed. What it could not write the system takes as written (Linux does:
        the next sync succeeds), so it has to be written again."""
        self._rounds = itertools.count(int.from_bytes(os.urandom(6), "little"))
        self._round = next(self._rounds)
        self._claim: int | None = None
        self._numbers = itertools.count()
        self._current: _Segment | None = None
        self._sealed: list[_Segment] = []
        self._free: list[_Segment] = []
        self._writing = threading.Condition()
        self._settling = threading.Lock()
        self._settler: threading.Thread | None = None
        self._closing = threading.Event()

    def append(self, name: str, content: bytes | bytearray) -> Record:
        """Durable when it returns. `name`: of the file to come, below the root. Raises OSError."""
        with self._writing:
            segment = self._room(_padded(_HEAD.size + len(name.encode()) + len(content)))
            descriptor = self._files.open(segment.path)
            try:
                record = Record(segment, segment.end)
                segment.end += self._write(descriptor, record, name.encode(), content)
            except OSError:
                self._files.close(descriptor)
                raise
            segment.written += 1
            segment.pending += 1
            number = segment.written
        try:
            self._sync(segment, descriptor, number)
        except OSError:
            self.void(record)
            raise
        finally:
            self._files.close(descriptor)
        return record

    def done(self, record: Record) -> None:
        """The file has been written."""
        with self._writing:
            record.segment.pending -= 1
            self._writing.notify_all()

    def void(self, record: Record) -> None:
        """The file will not be there: nothing is to be restored."""
        with contextlib.suppress(OSError):
            descriptor = self._files.open(record.segment.path)
            try:
                self._files.write_at(descriptor, b"\1", record.offset + _VOID_AT)
            finally:
                self._files.close(descriptor)
        self.done(record)

    def settle(self) -> None:
        """Make every file durable whose record has been appended, and forget the records. Raises OSError."""
        with self._settling:
            with self._writing:
                self._seal()
                settled = list(self._sealed)
                self._writing.wait_for(lambda: not any(segment.pending for segment in settled))
            if settled:
                self._sync_all(settled)
                for segment in settled:
                    self._empty(segment)

    def _sync_all(self, settled: Sequence[_Segment]) -> None:
        if self._failed:
            for segment in settled:
                for name, content in records(segment.path.read_bytes()):
                    self._rewrite(name, content)
        self._failed = True
        self._files.sync_all(self._root)
        self._failed = False

    def close(self) -> None:
        """Settle, and leave nothing behind. It may not be used any more."""
        self._closing.set()
        if self._settler is not None:
            self._settler.join()
        if self._claim is not None:
            with durable.storage_errors():
                self.settle()
                _remove(self._folder, self._files)
            os.close(self._claim)
            self._claim = None

    # ------------------------------------------------------------ records

    def _write(self, descriptor: int, record: Record, name: bytes, content: bytes | bytearray) -> int:
        crc = zlib.crc32(content, zlib.crc32(name))
        head = _HEAD.pack(_MAGIC, 0, self._round, len(name), len(content), crc, 0)
        head = _HEAD.pack(_MAGIC, 0, self._round, len(name), len(content), crc, zlib.crc32(head))
        whole = b"".join((head, name, content))
        self._files.write_at(descriptor, whole, record.offset)
        return _padded(len(whole))

    def _sync(self, segment: _Segment, descriptor: int, number: int) -> None:
        """One sync for all who wait at the same time."""
        with segment.syncing:
            if segment.synced < number:
                written = segment.written
                self._files.sync_file(descriptor)
                segment.synced = written

    # ------------------------------------------------------------ segments

    def _room(self, size: int) -> _Segment:
        if size > SEGMENT:
            raise OSError("larger than a segment")
        if self._current is None or self._current.end + size > SEGMENT:
            self._seal()
            self._current = self._free.pop() if self._free else self._new()
            self._round = next(self._rounds)
        if self._settler is None or not self._settler.is_alive():
            self._settler = threading.Thread(target=self._settle_now_and_then, name="journal", daemon=True)
            self._settler.start()
        return self._current

    def _seal(self) -> None:
        if self._current is not None and self._current.end:
            self._sealed.append(self._current)
            self._current = None

    def _new(self) -> _Segment:
        if len(self._sealed) >= MOST_SEGMENTS:
            raise OSError("the journal is full")
        if self._claim is None:
            durable.make_directories(self._folder, self._files)
            claim = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if not durable.claim(claim):
                os.close(claim)
                raise OSError("somebody else holds this journal")
            self._claim = claim
        segment = _Segment(self._folder / f"{next(self._numbers)}.seg")
        descriptor = self._files.create(segment.path)
        try:
            self._files.write(descriptor, bytes(SEGMENT))
            self._files.sync_file(descriptor)
            self._files.sync_directory(self._folder)
        except OSError:
            self._files.unlink(segment.path)
            raise
        finally:
            self._files.close(descriptor)
        return segment

    def _empty(self, segment: _Segment) -> None:
        descriptor = self._files.open(segment.path)
        try:
            self._files.write_at(descriptor, bytes(_HEAD.size), 0)
            self._files.sync_file(descriptor)
        finally:
            self._files.close(descriptor)
        with self._writing:
            self._sealed.remove(segment)
            segment.end = segment.written = segment.synced = 0
            self._free.append(segment)

    def _settle_now_and_then(self) -> None:
        while not self._closing.wait(SETTLE_SECONDS):
            try:
                self.settle()
            except OSError as error:  # the records stay, and new objects go without the journal once it is full
                structlog.get_logger().warning("journal_not_settled", error=os.strerror(error.errno or 0))
            with self._writing:
                if not self._sealed and (self._current is None or not self._current.end):
                    self._settler = None
                    return


def recover(root: Path, files: FileLayer, restore: Callable[[str, bytes], None]) -> None:
    """Restore what journals of processes that have died hold, and remove them. Raises OSError.

    `restore` is called with the name and content of each object; when it has returned, the file is there, not
    necessarily durable.
    """
    for folder in sorted((root / "journal").glob("*")):
        try:
            claim = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # another process has just done it
            continue
        try:
            if durable.claim(claim) and folder.exists():
                for segment in sorted(folder.glob("*.seg")):
                    for name, content in records(segment.read_bytes()):
                        restore(name, content)
                files.sync_all(root)
                _remove(folder, files)
        finally:
            os.close(claim)


def records(segment: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each record of the segment's last round that is whole and not void."""
    offset, first = 0, None
    while offset + _HEAD.size <= len(segment):
        magic, void, number, name_length, length, crc, own = _HEAD.unpack_from(segment, offset)
        head = _HEAD.pack(magic, 0, number, name_length, length, crc, 0)
        start = offset + _HEAD.size
        name, content = segment[start:start + name_length], segment[start + name_length:start + name_length + length]
        if magic != _MAGIC or own != zlib.crc32(head) or number != (first := first or number):
            return
        if not void and zlib.crc32(content, zlib.crc32(name)) == crc:
            yield name.decode(), content
        offset += _padded(_HEAD.size + name_length + length)


def _remove(folder: Path, files: FileLayer) -> None:
    for segment in folder.glob("*.seg"):
        files.unlink(segment)
    files.rmdir(folder)
    files.sync_directory(folder.parent)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
