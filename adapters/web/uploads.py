"""Files sent over plain HTTP: kept (`/api/studies`), read once (`/api/predict`) or explained (`/api/explain`).

Each takes DICOM files, WFDB records (the header and its signal files as several parts named `file`), or a zip of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import structlog
from fastapi import APIRouter, UploadFile

from adapters.web.archive import Member, members
from adapters.web.principal import Asker
from adapters.web.problems import Refusal
from adapters.web.recordings import Wrap, usable
from adapters.web.schemas import RefusedFile, Uploaded
from gateway.errors import Rejected, Transient, Unreadable
from gateway.ports import Commands, Intake
from gateway.study import Sender

log = structlog.get_logger()
Split = Callable[[bytes], tuple[bytes, bytes]]
"""Part 10 bytes → (preamble + DICM + file meta, data set as it stands). Raises Unreadable."""
AT_ONCE = 2
_PATIENCE_SECONDS = 30.0


class Turns:
    """At most `AT_ONCE` uploads in memory; the next waits a little, then is asked to come again."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(AT_ONCE)

    @contextmanager
    def one(self) -> Iterator[None]:
        if not self._free.acquire(timeout=_PATIENCE_SECONDS):
            raise Transient("The gateway is busy with other uploads.")
        try:
            yield
        finally:
            self._free.release()


def router(intake: Intake, commands: Commands, split: Split, explain: Callable[[bytes], Any] | None,
           limit: int, wrap: Wrap) -> APIRouter:
    """`limit`: bytes that one file of an upload may unpack to. `wrap`: a WFDB record as a DICOM object."""
    routes = APIRouter(prefix="/api", tags=["studies"])
    turns = Turns()

    @routes.post("/studies", response_model=Uploaded)
    def upload(file: list[UploadFile], asker: Asker) -> Uploaded:
        """Take in DICOM files, WFDB records, or zips of them."""
        intake.check()
        sender = Sender("upload", asker.name, asker.name)
        with turns.one():
            told = _take_all(usable(_files(file, limit), wrap), intake, split, sender)
        log.info("upload_taken", by=asker.name, stored=told.stored, duplicate=told.duplicate,
                 conflict=told.conflict, refused=len(told.refused))
        return told

    @routes.post("/predict")
    def predict(file: list[UploadFile]) -> dict[str, Any]:
        """Read one DICOM object or one WFDB record and return its result; nothing is kept."""
        with turns.one():
            header, dataset = split(_one(usable(_files(file, limit), wrap)))
            return dict(commands.predict(header, [dataset]))

    if explain is not None:
        @routes.post("/explain")
        def explained(file: list[UploadFile]) -> Any:
            """Which rule takes this object, and why the others do not; nothing is kept."""
            with turns.one():
                return explain(_one(usable(_files(file, limit), wrap)))

    return routes


def _files(uploads: Sequence[UploadFile], limit: int) -> Iterator[Member]:
    for upload in uploads:
        yield from members(upload.file, upload.filename or "file", limit)


def _one(found: Iterator[Member]) -> bytes:
    """The only object of the upload; any file that is none is a reason to refuse."""
    first = next(found, None)
    if first is None or next(found, None) is not None:
        raise Unreadable("Exactly one object is read at a time: one DICOM file, or one WFDB record with its files.")
    if first.reason:
        raise Unreadable(first.reason)
    return first.content


def _take_all(files: Iterator[Member], intake: Intake, split: Split, sender: Sender) -> Uploaded:
    """A full disk or a broken archive stops the whole upload; what was stored before it stays."""
    counts = {"stored": 0, "duplicate": 0, "conflict": 0}
    refused: list[RefusedFile] = []
    for member in files:
        reason = member.reason or _take(member, intake, split, sender, counts)
        if reason:
            refused.append(RefusedFile(name=member.name, reason=reason))
    if not any(counts.values()):
        raise Refusal(422, refused[0].reason if refused else "The upload holds no file that could be a study.",
                      refused=[r.model_dump() for r in refused])
    return Uploaded(**counts, refused=refused)


def _take(member: Member, intake: Intake, split: Split, sender: Sender, counts: dict[str, int]) -> str:
    """The reason for a refusal, or "" and one more counted."""
    try:
        header, dataset = split(member.content)
        # What was wrapped here goes out before the report that names it; what came as DICOM the archive has or gets.
        told = replace(sender, protocol="wfdb") if member.made_here else sender
        stored = intake.take(told, header, [dataset])
    except Rejected as error:
        return error.reason
    counts[stored.outcome.value] += 1
    return ""
