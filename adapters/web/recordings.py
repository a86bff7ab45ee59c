"""What of an upload can be taken in: DICOM files as they are, WFDB records wrapped as DICOM waveform objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from adapters.web.archive import Member, checked, is_dicom
from gateway.errors import Rejected, Unreadable

SUFFIXES = frozenset({".hea", ".dat", ".mat"})
"""Files of WFDB records (WFDB header(5))."""
MOST_BYTES = 512 * 1024**2
"""Of all WFDB files of one upload together: they are held in memory until their headers are known."""
Wrap = Callable[[str, Mapping[str, bytes], float], bytes]
"""(header's name, name → content, POSIX time where the header has none) → Part 10 bytes. Raises Unusable."""


def usable(found: Iterable[Member], wrap: Wrap) -> Iterator[Member]:
    """DICOM files in their order, then the WFDB records among the rest; refusals carry their reason.

    Raises Unreadable where the WFDB files are too long together.
    """
    parts: dict[str, dict[str, Member]] = {}
    left = MOST_BYTES
    for member in found:
        path = PurePosixPath(member.name)
        if member.reason or is_dicom(member.content) or path.suffix.lower() not in SUFFIXES:
            yield checked(member)
        else:
            left -= len(member.content)
            if left < 0:
                raise Unreadable(f"The WFDB records are longer than the {MOST_BYTES} bytes taken at once.")
            parts.setdefault(str(path.parent), {})[path.name] = member
    for folder in parts.values():
        yield from _records(folder, wrap)


def _records(folder: Mapping[str, Member], wrap: Wrap) -> Iterator[Member]:
    """One object for each header; what no header names is refused."""
    named: set[str] = set()
    for name, member in folder.items():
        if name.lower().endswith(".hea"):
            files = {n: folder[n].content for n in (name, *signal_files(member.content)) if n in folder}
            named |= files.keys()
            yield _wrapped(member, name, files, wrap)
    yield from (replace(member, content=b"", reason="No WFDB header (.hea) beside this file names it.")
                for name, member in folder.items() if name not in named)


def _wrapped(member: Member, name: str, files: Mapping[str, bytes], wrap: Wrap) -> Member:
    try:
        return replace(member, content=wrap(name, files, member.modified), made_here=True)
    except Rejected as error:
        return replace(member, content=b"", reason=error.reason)


def signal_files(header: bytes) -> tuple[str, ...]:
    """The names in the first column of the signal lines."""
    lines = [line.split() for line in header.decode("ascii", "replace").splitlines() if not line.startswith("#")]
    return tuple(dict.fromkeys(words[0] for words in lines[1:] if words))
