"""Where an object's file belongs, and whether a file that is there already is that object, part of it, or another."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from adapters.dicom.content import part10
from adapters.files.durable import BLOCK
from gateway.errors import Unreadable
from gateway.ports import Outcome

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LARGEST_META = 1024 * 1024


def file_name(uid: str) -> str:
    """The UID itself where it is one (PS3.5 9.1), else a hash of it that no UID can equal: never a path."""
    if len(uid) <= 64 and _UID.fullmatch(uid):
        return uid
    return "x" + hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:40]


@lru_cache(maxsize=1024)
def study_folder(root: Path, study_instance_uid: str) -> Path:
    # not for secrecy: two hex digits keep directories short
    shard = hashlib.sha1(study_instance_uid.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:2]
    return root / shard / file_name(study_instance_uid)


def candidates(directory: Path, name: str, digest: str) -> Iterator[tuple[Path, Outcome]]:
    yield directory / f"{name}.dcm", Outcome.STORED
    yield directory / f"{name}.{digest[:8]}.dcm", Outcome.CONFLICT
    yield directory / f"{name}.{digest}.dcm", Outcome.CONFLICT


def may_be_part(path: Path, whole: memoryview) -> bool:
    """Whether there is a file that may be what a crash left of writing `whole`, and is not all of it."""
    try:
        if path.stat().st_size > len(whole):
            return False
        there, wanted = path.read_bytes(), bytes(whole)
    except FileNotFoundError:
        return False
    return there != wanted and is_part(there, wanted)


def is_part(there: bytes, whole: bytes) -> bool:
    """Whether a file is what a crash left of writing `whole`: each block as it should be, or never written."""
    return len(there) <= len(whole) and all(
        there[at:at + BLOCK] == whole[at:at + BLOCK] or whole.startswith(there[at:at + BLOCK].rstrip(b"\0"), at)
        for at in range(0, len(there), BLOCK))


def holds(path: Path, digest: str) -> bool:
    """Whether the file has that data set; one that another process is just writing may have none yet."""
    try:
        return _dataset_digest(path) == digest
    except Unreadable:
        return False


def _dataset_digest(path: Path) -> str:
    """SHA-256 of the data set in a stored file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(part10.header_length(file.read(_LARGEST_META)))
        while piece := file.read(1024 * 1024):
            digest.update(piece)
    return digest.hexdigest()
