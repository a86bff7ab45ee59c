"""Files sent over plain HTTP: kept (`/api/studies`), read once (`/api/predict`) or explained (`/api/explain`).

Each takes what `Convert.accepted` names, as one part or several parts named `file`, or as a zip.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar, cast

import structlog
from fastapi import APIRouter, Query, UploadFile

from adapters.web.archive import Member, members
from adapters.web.principal import Asker
from adapters.web.problems import Refusal, problems_of
from adapters.web.recordings import Convert, usable
from adapters.web.sayings import said_in_sentences
from adapters.web.schemas import KeptBeside, Prediction, RefusedFile, Uploaded
from adapters.web.spoken import Language
from gateway.errors import Rejected, Transient, Unreadable
from gateway.ports import Commands, Intake, Outcome, TagReader
from gateway.study import Sender

log = structlog.get_logger()
Reader = Annotated[str, Query(max_length=64, pattern="^[a-z0-9_]*$", description=(
    "which reader, where the rules send the study to several, e.g. ecg_mi; left out: that of the first rule"))]
Note = TypeVar("Note", KeptBeside, RefusedFile)
Split = Callable[[bytes], tuple[bytes, bytes]]
"""Part 10 bytes → (preamble + DICM + file meta, data set as it stands). Raises Unreadable."""
AT_ONCE = 2
_PATIENCE_SECONDS = 30.0
_PIECE = 1024 * 1024


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


@dataclass(frozen=True, slots=True)
class Door:
    """What uploads go through. `limit`: bytes that one file of an upload may unpack to.

    `known`: Study Instance UIDs → our ids of these studies, once the index has them. `identity`: (header, data set)
    → at least StudyInstanceUID. `held`: (header, data set) → whether an object of that UID and patient is here already.
    """

    intake: Intake
    split: Split
    convert: Convert
    limit: int
    identity: TagReader | None = None
    known: Callable[[Sequence[str]], Sequence[str]] = lambda _uids: ()
    held: Callable[[bytes, Sequence[bytes]], bool] = lambda _header, _dataset: False

    def objects(self, uploads: Sequence[UploadFile]) -> Iterator[Member]:
        """Each DICOM object of the uploads, as it came or made of something else; refusals carry their reason."""
        return usable((member for upload in uploads
                       for member in members(upload.file, upload.filename or "file", self.limit, self.convert.kind)),
                      self.convert)

    def opened(self, member: Member) -> tuple[bytes, Sequence[bytes]]:
        """(header, data set in pieces). Raises Unreadable."""
        header, dataset = self.split(cast(bytes, member.content))
        return header, [dataset[at:at + _PIECE] for at in range(0, len(dataset), _PIECE)] or [b""]

    def pairs(self, found: Iterator[Member], left_out: list[RefusedFile]) -> Iterator[tuple[bytes, Sequence[bytes]]]:
        """Objects for one reading; what is none is noted in `left_out`. Raises Unreadable where nothing is left."""
        any_there = False
        for member in found:
            if member.reason:
                left_out.append(RefusedFile(name=member.name, reason=member.reason))
                continue
            any_there = True
            yield self.opened(member)
        if not any_there:
            raise Unreadable(left_out[0].reason if left_out else f"There is no file to read. {self.taken}")

    @property
    def taken(self) -> str:
        return f"What is taken: {self.convert.accepted}."


def router(door: Door, commands: Commands, explain: Callable[[Iterable[bytes]], Any] | None) -> APIRouter:
    routes = APIRouter(prefix="/api", tags=["studies"])
    turns = Turns()

    @routes.post("/studies", response_model=Uploaded, summary="Send studies to be kept and read",
                 responses=problems_of(400, 413, 422, 503, 507))
    def upload(file: list[UploadFile], asker: Asker, language: Language) -> Uploaded:
        """Take in DICOM files, WFDB records, HL7 aECG, `.npy` ECGs, NIfTI CT volumes, WAV or FLAC sounds, JPEG or PNG
        photographs where a reader takes them, or zips."""
        door.intake.check()
        with turns.one():
            told = _take_all(door, file, Sender("upload", asker.name, asker.name))
        log.info("upload_taken", by=asker.name, stored=told.stored, duplicate=told.duplicate,
                 conflict=told.conflict, refused=len(told.refused))
        return told.model_copy(update={"conflicts": _in_words(told.conflicts, language),
                                       "refused": _in_words(told.refused, language)})

    @routes.post("/predict", response_model=Prediction, summary="Read one study and keep nothing",
                 responses=problems_of(400, 413, 422, 503, 507))
    def predict(file: list[UploadFile], language: Language, pipeline: Reader = "") -> Prediction:
        """One file (or one record, or a zip with the objects of one study) in, the result out; nothing is kept."""
        with turns.one():
            left_out: list[RefusedFile] = []
            result = commands.predict_study(door.pairs(door.objects(file), left_out), pipeline)
        return Prediction(**result, left_out=_in_words(left_out, language))

    if explain is not None:
        @routes.post("/explain", summary="Say which rule takes a study",
                     responses=problems_of(400, 413, 422, 503) | {200: {"description": "What each rule says."}})
        def explained(file: list[UploadFile]) -> Any:
            """Which rule takes the first study of the upload, and why the others do not; nothing is kept."""
            with turns.one():
                return explain(_explicable(door.objects(file)))

    return routes


def _in_words(told: list[Note], language: str) -> list[Note]:
    return [one.model_copy(update={"reason": said_in_sentences(one.reason, language)}) for one in told]


def _explicable(found: Iterator[Member]) -> Iterator[bytes]:
    """The objects, one at a time. Raises Unreadable where there is none."""
    empty, reason = True, ""
    for member in found:
        reason = reason or member.reason
        if not member.reason:
            empty = False
            yield bytes(member.content)
    if empty:
        raise Unreadable(reason or "There is no file to explain.")


def _take_all(door: Door, uploads: Sequence[UploadFile], sender: Sender) -> Uploaded:
    """A full disk or a broken archive stops the whole upload; what was stored before it stays."""
    counts = dict.fromkeys(Outcome, 0)
    refused: list[RefusedFile] = []
    beside: list[KeptBeside] = []
    studies: dict[str, None] = {}
    for member in door.objects(uploads):
        try:
            outcome, remark = _take(member, door, sender, studies)
        except Rejected as error:
            refused.append(RefusedFile(name=member.name, reason=error.reason))
            continue
        counts[outcome] += 1
        if remark:
            beside.append(KeptBeside(name=member.name, reason=remark))
    if not any(counts.values()):
        first = refused[0].reason if refused else "The upload holds no file that could be a study."
        raise Refusal(422, f"{first.rstrip('.')}. {door.taken}", refused=[r.model_dump() for r in refused])
    return Uploaded(stored=counts[Outcome.STORED], duplicate=counts[Outcome.DUPLICATE],
                    conflict=counts[Outcome.CONFLICT], conflicts=beside, refused=refused,
                    studies=list(door.known(list(studies))))


def _take(member: Member, door: Door, sender: Sender, studies: dict[str, None]) -> tuple[Outcome, str]:
    """What became of it, and what is to be told besides. Raises Rejected with the reason for a refusal."""
    if member.reason:
        raise Rejected(member.reason)
    header, dataset = door.opened(member)
    # What was made here goes out before the report that names it; what came as DICOM the archive has or gets.
    told = replace(sender, protocol=member.made_of) if member.made_of else sender
    if member.made_of and door.held(header, dataset):
        # Its UID is a digest of what was recorded: only the day on which the file came may be another.
        became = Outcome.DUPLICATE, ""
    else:
        stored = door.intake.take(told, header, dataset)
        became = stored.outcome, stored.remark
    if door.identity is not None:
        studies[str(door.identity(header, dataset)["StudyInstanceUID"])] = None
    return became
