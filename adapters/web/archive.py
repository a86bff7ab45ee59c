"""The files of an upload: the file itself, or the members of a zip. No name in it is ever used as a path."""

from __future__ import annotations

import mmap
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import IO, cast

from gateway.disguise import both_at_once, disguise_of
from gateway.errors import Unreadable

MAXIMUM_MEMBERS = 50_000
MAXIMUM_MEMBER_BYTES = 1024**3
WFDB_SUFFIXES = frozenset({".hea", ".dat", ".mat"})
"""Files of WFDB records (WFDB header(5)): the one kind that is known by name alone."""
Bytes = bytes | memoryview
"""In memory while small; a view of a nameless file on disk when large, which is gone with its last user."""
Kind = Callable[[bytes], str]
"""The beginning of a file → what else than DICOM it is, of the kinds that are converted; "" for anything else."""
_CHUNK = 1024 * 1024
_IN_MEMORY = 8 * 1024 * 1024
_HEAD = 4096
_LARGEST_DIRECTORY = 16 * 1024 * 1024
_SUSPECT_BYTES, _SUSPECT_RATIO = 64 * 1024 * 1024, 200
_LEFT_OUT = {"DICOMDIR", ".DS_Store", "Thumbs.db"}
_PREAMBLE = 128
_ZIP_END = 22 + 65535
_DRIVE = re.compile(r"[A-Za-z]:")
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError)
_DAMAGED_WORDS = "This file of the archive is damaged or packed in an unknown way."
NOT_DICOM = "This is not a DICOM file: DICM is missing after the preamble."


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the upload: its bytes, or why it cannot be read.

    `modified`: POSIX seconds; of a file outside of a zip, the day on which it came (UTC), so that the same file sent
    again on that day makes the same object. `made_of`: what the gateway made this DICOM object of (wfdb, npy, …).
    """

    name: str
    content: Bytes = b""
    reason: str = ""
    modified: float = 0.0
    made_of: str = ""


def members(file: IO[bytes], name: str, limit: int, kind: Kind = lambda _head: "") -> Iterator[Member]:
    """Each file of the upload in turn; what is neither DICOM nor WFDB nor of a `kind` is refused unread.

    `limit`: bytes that all may unpack to. Raises Unreadable, before the first file, where the zip itself is broken,
    holds too many files, or unpacks to more than the limit.
    """
    head = file.read(_HEAD)
    packed = not is_dicom(head) and zipfile.is_zipfile(file)
    file.seek(0)
    if not packed:
        reason = _not_ours(name, head, kind)
        yield Member(name, reason=reason) if reason else Member(name, _whole(file), modified=_today())
        return
    with opened(file, limit) as (archive, infos):
        yield from (member(archive, info, kind) for info in infos)


@contextmanager
def opened(file: IO[bytes], limit: int) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    """A zip with those of its files that count, within the bounds. Raises Unreadable, as `members`."""
    try:
        with zipfile.ZipFile(cast(IO[bytes], _Bounded(file))) as archive:
            yield archive, _within(archive, limit)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OverflowError) as error:
        raise Unreadable("The zip archive is damaged.") from error


def member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, kind: Kind) -> Member:
    """One file of the zip, or why it is refused."""
    reason = _suspicious(info)
    return Member(info.filename, reason=reason) if reason else _read(archive, info, kind)


def beginning(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> tuple[bytes, str]:
    """(the first bytes of a file of the zip, "") or (b"", why it is refused)."""
    if reason := _suspicious(info):
        return b"", reason
    try:
        with archive.open(info) as stream:
            return stream.read(size), ""
    except _DAMAGED:
        return b"", _DAMAGED_WORDS


def require_readable(file: IO[bytes], limit: int, kind: Kind) -> None:
    """Raises Unreadable, as `members` and where not one file of the zip could be read; looks no further than that."""
    first = ""
    with opened(file, limit) as (archive, infos):
        for info in infos:
            head, reason = beginning(archive, info, _HEAD)
            reason = reason or _not_ours(info.filename, head, kind)
            if not reason:
                break
            first = first or reason
        else:
            raise Unreadable(first or "The zip archive holds no file.")
    file.seek(0)


def is_dicom(content: Bytes) -> bool:
    """Part 10 (PS3.10 7.1)."""
    return bytes(content[_PREAMBLE:_PREAMBLE + 4]) == b"DICM"


def checked(member: Member) -> Member:
    """The member, refused where it is no DICOM Part 10 file, or is something else as well."""
    if member.reason:
        return member
    reason = disguise(member.content) if is_dicom(member.content) else NOT_DICOM
    return Member(member.name, reason=reason) if reason else member


def disguise(content: Bytes) -> str:
    """Why a Part 10 file is refused that another program would take for something of its own; "" where it is plain.

    The preamble may be that of a TIFF file (PS3.10 7.1), which is a picture too.
    """
    told = disguise_of(bytes(content[:_PREAMBLE])) or ("a zip archive" if _ends_as_zip(content) else "")
    return told and both_at_once(told)


def _ends_as_zip(content: Bytes) -> bool:
    """Whether an archiver would find a directory from the end: its last record, which a comment of up to 64 KB or
    other bytes may follow, and before that the entries that it tells of (APPNOTE 4.3.16)."""
    tail = bytes(content[-_ZIP_END:])
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + 22 > len(tail):
        return False
    size = int.from_bytes(tail[at + 12:at + 16], "little")
    entries = len(content) - len(tail) + at - size
    return size == 0 or (entries >= 0 and bytes(content[entries:entries + 4]) == b"PK\1\2")


class _Bounded:
    """The file as zipfile reads it: a directory of members that would fill the memory is refused before it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, lambda: None

    def read(self, size: int = -1) -> bytes:
        if size > _LARGEST_DIRECTORY:
            raise Unreadable(f"The zip archive holds more than {MAXIMUM_MEMBERS} files.")
        return self._file.read(size)

    def seekable(self) -> bool:
        return True


def _whole(file: IO[bytes]) -> Bytes:
    """The content of a spooled upload, not copied where it lies on disk."""
    size = file.seek(0, 2)
    file.seek(0)
    if size <= _IN_MEMORY:
        return file.read()
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _today() -> float:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _packed_at(info: zipfile.ZipInfo) -> float:
    try:
        return datetime(*info.date_time, tzinfo=UTC).timestamp()
    except ValueError:
        return _today()


def _within(archive: zipfile.ZipFile, limit: int) -> list[zipfile.ZipInfo]:
    """What a member claims as its size is the most that zipfile reads of it: all sizes are checked beforehand."""
    infos = [info for info in archive.infolist() if _wanted(info)]
    if len(infos) > MAXIMUM_MEMBERS:
        raise Unreadable(f"The zip archive holds more than {MAXIMUM_MEMBERS} files.")
    if sum(info.file_size for info in infos) > limit or any(i.file_size > MAXIMUM_MEMBER_BYTES for i in infos):
        raise Unreadable("The zip archive unpacks to more than the gateway takes at once.")
    return infos


def _wanted(info: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(info.filename)
    return not info.is_dir() and path.name not in _LEFT_OUT and "__MACOSX" not in path.parts


def _suspicious(info: zipfile.ZipInfo) -> str:
    name = info.filename.replace("\\", "/")
    if name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/"):
        return "The name leads out of the archive: such files are not taken."
    if stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG}:
        return "This is a link or a device and no plain file."
    if info.flag_bits & 0x1:
        return "This file is encrypted."
    if info.file_size > max(_SUSPECT_BYTES, _SUSPECT_RATIO * info.compress_size):
        return f"This file unpacks to more than {_SUSPECT_RATIO} times its size."
    return ""


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, kind: Kind) -> Member:
    try:
        with archive.open(info) as stream:
            head = stream.read(_HEAD)
            if reason := _not_ours(info.filename, head, kind):
                return Member(info.filename, reason=reason)
            return Member(info.filename, _spooled(head, stream), modified=_packed_at(info))
    except _DAMAGED:
        return Member(info.filename, reason=_DAMAGED_WORDS)


def _not_ours(name: str, head: bytes, kind: Kind) -> str:
    """Why a file with such a beginning is not read on."""
    if is_dicom(head) or kind(head) or PurePosixPath(name).suffix.lower() in WFDB_SUFFIXES:
        return ""
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return "An archive within the archive is not unpacked."
    return NOT_DICOM


def _spooled(head: bytes, stream: IO[bytes]) -> Bytes:
    rest = stream.read(_IN_MEMORY)
    if len(rest) < _IN_MEMORY:
        return head + rest
    with tempfile.TemporaryFile() as file:
        file.write(head + rest)
        while piece := stream.read(_CHUNK):
            file.write(piece)
        file.flush()
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
