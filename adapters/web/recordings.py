"""What of an upload can be taken in: DICOM files as they are, everything else as the DICOM objects it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Protocol

from adapters.web.archive import WFDB_SUFFIXES, Bytes, Member, checked, is_dicom
from gateway.errors import Rejected, Unreadable

MOST_BYTES = 512 * 1024**2
"""Of all WFDB files of one upload together: they are held in memory until their headers are known."""
_HEAD = 4096


class Convert(Protocol):
    """What files that are no DICOM become (see adapters.files.conversion.Conversion)."""

    @property
    def accepted(self) -> str: ...

    def kind(self, head: bytes) -> str: ...

    def objects(self, kind: str, content: Bytes, name: str, modified: float) -> Iterator[bytes]: ...

    def wfdb(self, header: str, files: Mapping[str, bytes], modified: float) -> bytes: ...


def usable(found: Iterable[Member], convert: Convert) -> Iterator[Member]:
    """DICOM objects in their order, then those of the WFDB records among the rest; refusals carry their reason.

    Raises Unreadable where the WFDB files are too long together.
    """
    parts: dict[str, dict[str, Member]] = {}
    left = MOST_BYTES
    for member in found:
        path = PurePosixPath(member.name)
        if member.reason or is_dicom(member.content):
            yield checked(member)
        elif path.suffix.lower() in WFDB_SUFFIXES:
            left -= len(member.content)
            if left < 0:
                raise Unreadable(f"The WFDB records are longer than the {MOST_BYTES} bytes taken at once.")
            parts.setdefault(str(path.parent), {})[path.name] = member
        else:
            yield from _converted(member, convert)
    for folder in parts.values():
        yield from _records(folder, convert)


def _converted(member: Member, convert: Convert) -> Iterator[Member]:
    kind = convert.kind(bytes(member.content[:_HEAD]))
    if not kind:
        yield checked(member)
        return
    try:
        for content in convert.objects(kind, member.content, member.name, member.modified):
            yield replace(member, content=content, made_of=kind)
    except Rejected as error:
        yield Member(member.name, reason=error.reason)


def _records(folder: Mapping[str, Member], convert: Convert) -> Iterator[Member]:
    """One object for each header that is no segment of another's record; what no header names is refused."""
    named: set[str] = set()
    headers = {name: bytes(member.content) for name, member in folder.items() if name.lower().endswith(".hea")}
    parts = {part for content in headers.values() for part in segments(content)}
    for name, content in headers.items():
        if name not in parts:
            wanted = (name, *files_beside(content, lambda part: headers.get(part, b"")))
            files = {n: bytes(folder[n].content) for n in wanted if n in folder}
            named |= files.keys()
            yield _wrapped(folder[name], name, files, convert)
    yield from (replace(member, content=b"", reason="No WFDB header (.hea) beside this file names it.")
                for name, member in folder.items() if name not in named)


def _wrapped(member: Member, name: str, files: Mapping[str, bytes], convert: Convert) -> Member:
    try:
        return replace(member, content=convert.wfdb(name, files, member.modified), made_of="wfdb")
    except Rejected as error:
        return replace(member, content=b"", reason=error.reason)


def files_beside(header: bytes, other: Callable[[str], bytes]) -> tuple[str, ...]:
    """The names of all files that a record needs besides its header. `other`: another header, by its name; empty where
    there is none."""
    parts = segments(header)
    return (*signal_files(header), *parts, *(name for part in parts for name in signal_files(other(part))))


def signal_files(header: bytes) -> tuple[str, ...]:
    """The names in the first column of the signal lines; none of a record in segments."""
    record, names = _lines(header)
    return () if "/" in record else names


def segments(header: bytes) -> tuple[str, ...]:
    """The headers that hold the segments of a record (WFDB header(5)); none of an undivided one."""
    record, names = _lines(header)
    return tuple(f"{name}.hea" for name in names if name != "~") if "/" in record else ()


def _lines(header: bytes) -> tuple[str, tuple[str, ...]]:
    """The first words of the record line, and of those below."""
    words = [line.split()[0] for line in header.decode("ascii", "replace").splitlines()
             if line.strip() and not line.startswith("#") and PurePosixPath(line.split()[0]).name]
    return (words[0], tuple(dict.fromkeys(words[1:]))) if words else ("", ())
