"""The files of an upload: the file itself, or the members of a zip, read in memory only (no path is ever used)."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import IO

from gateway.errors import Unreadable

MAXIMUM_MEMBERS = 50_000
MAXIMUM_MEMBER_BYTES = 1024**3
_CHUNK = 1024 * 1024
_LEFT_OUT = {"DICOMDIR", ".DS_Store", "Thumbs.db"}
_PREAMBLE = 128


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the upload: its bytes, or why it cannot be read.

    `modified`: POSIX seconds; of a file outside of a zip, the day on which it came (UTC), so that the same file sent
    again on that day makes the same object.
    """

    name: str
    content: bytes = b""
    reason: str = ""
    modified: float = 0.0
    made_here: bool = False
    """The bytes are a DICOM object that the gateway made of something else."""


def members(file: IO[bytes], name: str, limit: int) -> Iterator[Member]:
    """Each file of the upload in turn. `limit`: bytes that all may unpack to.

    Raises Unreadable where the zip itself is broken, holds too many files, or unpacks to more than the limit.
    """
    head = file.read(_PREAMBLE + 4)
    packed = not is_dicom(head) and zipfile.is_zipfile(file)
    file.seek(0)
    if not packed:
        yield Member(name, file.read(), modified=_today())
        return
    try:
        with zipfile.ZipFile(file) as archive:
            yield from _unpacked(archive, limit)
    except zipfile.BadZipFile as error:
        raise Unreadable("The zip archive is damaged.") from error


def is_dicom(content: bytes) -> bool:
    """Part 10 (PS3.10 7.1)."""
    return content[_PREAMBLE:_PREAMBLE + 4] == b"DICM"


def checked(member: Member) -> Member:
    """The member, refused where it is no DICOM Part 10 file."""
    if member.reason or is_dicom(member.content):
        return member
    return Member(member.name, reason="This is not a DICOM file: DICM is missing after the preamble.")


def _today() -> float:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _packed_at(info: zipfile.ZipInfo) -> float:
    try:
        return datetime(*info.date_time, tzinfo=UTC).timestamp()
    except ValueError:
        return _today()


def _unpacked(archive: zipfile.ZipFile, limit: int) -> Iterator[Member]:
    infos = [info for info in archive.infolist() if _wanted(info)]
    if len(infos) > MAXIMUM_MEMBERS:
        raise Unreadable(f"The zip archive holds more than {MAXIMUM_MEMBERS} files.")
    left = limit
    for info in infos:
        member = _read(archive, info, min(left, MAXIMUM_MEMBER_BYTES))
        left -= len(member.content)
        yield member


def _wanted(info: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(info.filename)
    return not info.is_dir() and path.name not in _LEFT_OUT and "__MACOSX" not in path.parts


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> Member:
    """What the archive claims as the size is not believed: reading stops at the limit."""
    if info.flag_bits & 0x1:
        return Member(info.filename, reason="This file is encrypted.")
    parts: list[bytes] = []
    size = 0
    try:
        with archive.open(info) as stream:
            while part := stream.read(_CHUNK):
                size += len(part)
                if size > limit:
                    raise Unreadable("The zip archive unpacks to more than the gateway takes at once.")
                parts.append(part)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError):
        return Member(info.filename, reason="This file of the archive is damaged or packed in an unknown way.")
    return Member(info.filename, b"".join(parts), modified=_packed_at(info))
