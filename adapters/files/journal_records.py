"""What a journal's segment holds: records of objects, each begun at a multiple of a block, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import xxhash

from adapters.files import durable
from adapters.files.durable import BLOCK, FileLayer, Piece

BEFORE = 512
"""Bytes of a record before its object: head and name."""
_HEAD = struct.Struct("<4sB3xQHHIIII")
"""Magic, void, round; lengths of name, of the object's header, of the whole object; bytes until the next record; check
of the data set; CRC-32 of all of this (as if it was not void), the name and the object's header."""
_MAGIC, _MAGIC_CRC = b"TGJ5", b"TGJ4"
"""Data sets are checked with XXH3, which takes a tenth of the time; in journals of earlier releases with CRC-32."""
_VOID_AT = 4
LONGEST_HEADER = 0xFFFF
Check = xxhash.xxh3_64
"""Takes a data set in pieces; see `value_of`."""


@dataclass(slots=True)
class Entry:
    """An object for the journal. `name`: of its file, below the root; `header`: the object's bytes before the data set,
    which has `length` bytes and the `check` of `value_of`."""

    name: str
    header: bytes
    length: int
    check: int

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return len(self.header) + self.length


class _Head(NamedTuple):
    magic: bytes
    void: int
    number: int
    name: bytes
    length: int
    span: int
    check: int
    header: int


def value_of(check: Check) -> int:
    """What of a data set's check its record has room for."""
    return check.intdigest() & 0xFFFFFFFF


def check_of(data_set: Sequence[Piece]) -> int:
    """The `check` of an Entry."""
    check = Check(data_set[0]) if data_set else Check()
    for piece in data_set[1:]:
        check.update(piece)
    return value_of(check)


def _is_whole(head: _Head, data_set: bytes) -> bool:
    check = zlib.crc32(data_set) if head.magic == _MAGIC_CRC else value_of(Check(data_set))
    return check == head.check


def padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def head_of(entry: Entry, number: int, span: int) -> bytes:
    """What stands before the object in a record of the round with that number, which has `span` bytes. Raises OSError
    where no record can hold it."""
    name, header = entry.name.encode(), entry.header
    length = len(header)
    if length > LONGEST_HEADER or len(name) > BEFORE - _HEAD.size:
        raise OSError("no record can hold this object")
    head = _HEAD.pack(_MAGIC, 0, number, len(name), length, length + entry.length, span, entry.check, 0)
    check = zlib.crc32(header, zlib.crc32(name, zlib.crc32(head)))
    return (head[:-4] + check.to_bytes(4, "little") + name).ljust(BEFORE, b"\0")


def placeholder(number: int, span: int) -> bytes:
    """The same for an object that is still coming: there is nothing to be restored, and records may follow."""
    head = bytearray(head_of(Entry("", b"", 0, 0), number, span))
    head[_VOID_AT] = 1
    return bytes(head)


def records(segment: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, object) of each record of the segment's last round that is whole and not void."""
    for offset, head in _heads(lambda offset, size: segment[offset:offset + size]):
        content = segment[offset + BEFORE:offset + BEFORE + head.length]
        if not head.void and _is_whole(head, content[head.header:]):
            yield head.name.decode(), content


def void(files: FileLayer, segment: Path, offset: int) -> None:
    """What is recorded there is not to be restored. Raises OSError."""
    descriptor = files.open(segment)
    try:
        files.write_at(descriptor, b"\1", offset + _VOID_AT)
        files.sync_file(descriptor)
    finally:
        files.close(descriptor)


def forget(root: Path, files: FileLayer, name: str) -> None:
    """Nobody's journal restores the file of that name any more. Raises OSError."""
    wanted = name.encode()
    for segment in root.glob("journal/*/*.seg"):
        try:
            descriptor = os.open(segment, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            found = [offset for offset, head in _heads(partial(_at, descriptor))
                     if head.name == wanted and not head.void]
        finally:
            os.close(descriptor)
        for offset in found:
            void(files, segment, offset)


def are_held(root: Path, own: Path) -> bool:
    """Whether other journals than `own` belong to processes that live."""
    for folder in (root / "journal").glob("*"):
        if folder != own:
            with contextlib.suppress(FileNotFoundError):
                claim = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    if not durable.claim(claim):
                        return True
                finally:
                    os.close(claim)
    return False


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
                remove(folder, files)
        finally:
            os.close(claim)


def remove(folder: Path, files: FileLayer) -> None:
    """A journal of which nothing is needed any more. Raises OSError."""
    for segment in folder.glob("*.seg"):
        files.unlink(segment)
    files.rmdir(folder)
    files.sync_directory(folder.parent)


def _at(descriptor: int, offset: int, size: int) -> bytes:
    return os.pread(descriptor, size, offset)


def _heads(read: Callable[[int, int], bytes]) -> Iterator[tuple[int, _Head]]:
    """Where each record of the last round begins, and what its head says. `read`: (offset, size) → bytes."""
    offset, first = 0, None
    while True:
        start = read(offset, BEFORE)
        if len(start) < BEFORE:
            return
        magic, void, number, name_length, header, length, span, data_check, check = _HEAD.unpack_from(start)
        if magic not in {_MAGIC, _MAGIC_CRC} or number != (first := first or number):
            return
        if name_length > BEFORE - _HEAD.size:
            return
        name = start[_HEAD.size:_HEAD.size + name_length]
        plain = _HEAD.pack(magic, 0, number, name_length, header, length, span, data_check, 0)
        if zlib.crc32(read(offset + BEFORE, header), zlib.crc32(name, zlib.crc32(plain))) != check:
            return
        yield offset, _Head(magic, void, number, name, length, span, data_check, header)
        offset += max(span, BLOCK)
