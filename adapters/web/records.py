"""The records of a batch: which files make one record, and the DICOM objects of each, read one record at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol
from zipfile import ZipInfo

from adapters.web.archive import WFDB_SUFFIXES, Member, beginning, is_dicom, member, members, opened
from adapters.web.recordings import Convert, files_beside, segments, usable
from gateway.errors import Rejected
from gateway.ports import TagReader

_ENOUGH_FOR_UIDS = 256 * 1024
_ENDINGS = ("", ".hea", ".npy", ".dcm", ".xml", ".nii", ".nii.gz", ".zip")
"""What a table of paths may leave out."""
NOT_THERE = "There is no such file."


@dataclass(frozen=True, slots=True)
class Record:
    """`files`: names in the zip, or paths under the root. `reason`: why it cannot be read."""

    name: str
    files: tuple[str, ...] = ()
    reason: str = ""


class Source(AbstractContextManager["Source"], Protocol):
    """Where a batch's files are; used within its context."""

    def plan(self, wanted: Sequence[str] | None) -> list[Record]:
        """The records, in a lasting order; `wanted`: paths of a table, None: all there are."""
        ...

    def objects(self, record: Record) -> Iterator[Member]:
        """The DICOM objects of one record, as they came or made of something else."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are understood. `limit`: bytes that one zip may unpack to; `identity`: (header, data set) → UIDs."""

    convert: Convert
    limit: int
    split: Callable[[bytes], tuple[bytes, bytes]]
    identity: TagReader

    def study_of(self, head: bytes) -> str:
        """Study Instance UID in the beginning of a DICOM file, "" where it does not come so soon."""
        try:
            header, dataset = self.split(head)
            return str(self.identity(header, [dataset]).get("StudyInstanceUID", ""))
        except Rejected:
            return ""


class ZipRecords(Source):
    """Records of a zip on disk."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self._path, self._reading = path, reading
        self._open = ExitStack()

    def __enter__(self) -> ZipRecords:
        """Raises Unreadable."""
        file = self._open.enter_context(self._path.open("rb"))
        self._archive, infos = self._open.enter_context(opened(file, self._reading.limit))
        self._infos = {info.filename: info for info in infos}
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def plan(self, wanted: Sequence[str] | None) -> list[Record]:
        found = _grouped(list(self._infos.values()), lambda info: beginning(self._archive, info, _ENOUGH_FOR_UIDS),
                         self._reading)
        if wanted is None:
            return found
        known = {name: record for record in found for name in (record.name, *record.files)}
        return [_named(path, next((known[path + end] for end in _ENDINGS if path + end in known), None))
                for path in dict.fromkeys(_tidy(path) for path in wanted)]

    def objects(self, record: Record) -> Iterator[Member]:
        kept = (member(self._archive, self._infos[name], self._reading.convert.kind)
                for name in dict.fromkeys(record.files) if name in self._infos)
        return usable(kept, self._reading.convert)


def _named(path: str, record: Record | None) -> Record:
    return Record(path, reason=NOT_THERE) if record is None else Record(path, record.files, record.reason)


def _tidy(path: str) -> str:
    return path.strip().replace("\\", "/").removeprefix("./")


def _grouped(infos: Sequence[ZipInfo], begin: _Begin, reading: Reading) -> list[Record]:
    """One record for each WFDB header, converted file and DICOM study; other files are none."""
    single: dict[str, Record] = {}
    headers: dict[str, bytes] = {}
    studies: dict[str, list[str]] = {}
    for info in infos:
        head, reason = begin(info)
        name = info.filename
        path = PurePosixPath(name)
        if reason:
            single[name] = Record(name, reason=reason)
        elif path.suffix.lower() == ".hea":
            single[name] = Record(str(path.with_suffix("")))
            headers[name] = head
        elif is_dicom(head):
            studies.setdefault(reading.study_of(head) or name, []).append(name)
        elif path.suffix.lower() not in WFDB_SUFFIXES and reading.convert.kind(head):
            single[name] = Record(name, (name,))
    parts = {_beside(name, part) for name, head in headers.items() for part in segments(head)}
    recorded = {name: _of_header(name, headers) for name in headers if name not in parts}
    return [*(recorded.get(name, record) for name, record in single.items() if name not in parts),
            *_study_records(studies)]


def _of_header(name: str, headers: Mapping[str, bytes]) -> Record:
    names = files_beside(headers[name], lambda part: headers.get(_beside(name, part), b""))
    return Record(str(PurePosixPath(name).with_suffix("")), (name, *(_beside(name, one) for one in names)))


def _beside(path: str, name: str) -> str:
    return str(PurePosixPath(path).with_name(PurePosixPath(name).name))


def _study_records(studies: dict[str, list[str]]) -> list[Record]:
    """A study of one object is known by its file, one of many by its folder where no other study shares that."""
    folders = [str(PurePosixPath(names[0]).parent) for names in studies.values()]
    return [Record(names[0] if len(names) == 1 or folders.count(folder) > 1 or folder == "." else folder, tuple(names))
            for names, folder in zip(studies.values(), folders, strict=True)]


class _Begin(Protocol):
    def __call__(self, info: ZipInfo, /) -> tuple[bytes, str]: ...


class FolderRecords(Source):
    """Records under a folder that the configuration opens to batches; nothing outside of it is ever read."""

    def __init__(self, root: Path, reading: Reading) -> None:
        self._root, self._reading = root.resolve(), reading

    def __exit__(self, *_: object) -> None: ...

    def plan(self, wanted: Sequence[str] | None) -> list[Record]:
        """Raises Rejected nowhere: what is not there or leads out is a record that says so."""
        return [self._record(_tidy(path)) for path in dict.fromkeys(wanted or ())]

    def objects(self, record: Record) -> Iterator[Member]:
        with ExitStack() as open_files:
            yield from usable(self._members(record, open_files), self._reading.convert)

    def _members(self, record: Record, open_files: ExitStack) -> Iterator[Member]:
        for name in record.files:
            path = self._inside(name)
            if path is None:
                yield Member(name, reason=NOT_THERE)
                continue
            file: IO[bytes] = open_files.enter_context(path.open("rb"))
            yield from (_dated(one, path) for one in members(file, name, self._reading.limit,
                                                             self._reading.convert.kind))

    def _record(self, name: str) -> Record:
        path = next((found for end in _ENDINGS if (found := self._inside(name + end)) is not None), None)
        if path is None:
            return Record(name, reason=f"{NOT_THERE} Paths are taken from within batch.root alone.")
        inside = str(path.relative_to(self._root))
        if path.is_dir():
            files = sorted(str(one.relative_to(self._root)) for one in path.rglob("*")
                           if one.is_file() and not one.name.startswith("."))
            return Record(name, tuple(files), "" if files else "The folder is empty.")
        beside: tuple[str, ...] = ()
        if path.suffix.lower() == ".hea":
            names = files_beside(_head(path), lambda one: _head(path.with_name(PurePosixPath(one).name)))
            beside = tuple(_beside(inside, one) for one in names)
        return Record(name, (inside, *beside))

    def _inside(self, name: str) -> Path | None:
        """The file or folder of that name, links followed, where it lies within the root."""
        if not name or "\0" in name:
            return None
        try:
            path = (self._root / name).resolve()
            return path if path.is_relative_to(self._root) and path != self._root and path.exists() else None
        except (OSError, RuntimeError):
            return None


def _dated(found: Member, path: Path) -> Member:
    return Member(found.name, found.content, found.reason, path.stat().st_mtime, found.made_of)


def _head(header: Path) -> bytes:
    """Empty where it is not there."""
    try:
        with header.open("rb") as file:
            return file.read(_ENOUGH_FOR_UIDS)
    except OSError:
        return b""
