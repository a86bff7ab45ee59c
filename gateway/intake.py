"""The one door for DICOM objects: stored durably, then handed to the index off the answer's path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePath
from typing import Any, Protocol

from gateway.errors import StorageFull, Unusable
from gateway.ports import Incoming, ObjectStore, Outcome, Piece, Reception, Stored, TagStream, TagStreamer
from gateway.study import Instance, Sender


class Index(Protocol):
    """Port: takes instances in batches, later; never loses one that is on disk (rebuilt from the files at start)."""

    def add(self, instance: Instance, *, conflict: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class SenderLeft:
    """An association of a sender is over, or a STOW-RS request. `studies`: Study Instance UIDs of the objects that were
    answered success."""

    sender: Sender
    studies: frozenset[str]
    released: bool
    """In good order (A-RELEASE); otherwise aborted, or the connection broke."""
    elsewhere: frozenset[str] = frozenset()
    """Studies that other associations have brought objects of and may bring more."""


class Gate:
    """Open or shut, with the reason that senders are told. Shut by the disk watch, and at shutdown."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def shut(self, who: str, reason: str) -> None:
        self._reasons[who] = reason

    def open(self, who: str) -> None:
        self._reasons.pop(who, None)

    @property
    def reason(self) -> str:
        """Empty when open."""
        return next(iter(self._reasons.values()), "")


class ObjectIntake:
    """Implements gateway.ports.Intake."""

    def __init__(self, store: ObjectStore, stream_tags: TagStreamer, index: Index, gate: Gate,
                 clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store, self._stream_tags, self._index, self._gate, self._clock = store, stream_tags, index, gate, clock

    def check(self) -> None:
        if self._gate.reason:
            raise StorageFull(self._gate.reason)

    def receive(self, sender: Sender, header: bytes) -> Reception:
        self.check()
        tags = self._stream_tags(header)
        return _Reception(self._store.begin(header), tags, self.check, self._clock, partial(self._note, sender))

    def bring(self, sender: Sender, header: bytes, dataset: Sequence[Piece], announced: Mapping[str, str]) -> Reception:
        self.check()
        tags = self._stream_tags(header)
        tags.feed_whole(dataset)
        uids = tags.uids()
        require_uids(uids, announced)
        incoming = self._store.take(header, dataset, uids["StudyInstanceUID"], uids["SOPInstanceUID"])
        return _Reception(incoming, tags, self.check, self._clock, partial(self._note, sender), uids)

    def take(self, sender: Sender, header: bytes, dataset: Sequence[bytes]) -> Stored:
        reception = self.receive(sender, header)
        try:
            for piece in dataset:
                reception.write(piece)
            return reception.finish()
        finally:
            reception.abort()

    def _note(self, sender: Sender, tags: Mapping[str, Any], stored: Stored, at: datetime) -> None:
        # Also what was here before: the process that stored it may have died before it could tell, and what the index
        # knows already it lets pass.
        instance = instance_of(tags, stored, sender, at)
        self._index.add(instance, conflict=stored.outcome is Outcome.CONFLICT or is_beside(instance))


class _Reception:
    """Implements gateway.ports.Reception."""

    def __init__(self, incoming: Incoming, stream: TagStream, check: Callable[[], None], clock: Callable[[], datetime],
                 note: Callable[[Mapping[str, Any], Stored, datetime], None],
                 uids: Mapping[str, str] | None = None) -> None:
        self._incoming, self._stream, self._check, self._clock, self._note = incoming, stream, check, clock, note
        self._uids = uids
        self._stored: tuple[Stored, datetime] | None = None

    def write(self, piece: Piece) -> None:
        self._stream.feed(piece)
        self._incoming.write(piece)

    def uids(self) -> Mapping[str, str]:
        if self._uids is None:
            self._uids = self._stream.uids()
        return self._uids

    def tags(self) -> Mapping[str, Any]:
        return self._stream.tags()

    def stage(self) -> None:
        uids = self.uids()
        self._check()
        self._incoming.stage(uids["StudyInstanceUID"], uids["SOPInstanceUID"])

    def finish(self) -> Stored:
        uids = self.uids()
        self._check()
        stored = self._incoming.finish(uids["StudyInstanceUID"], uids["SOPInstanceUID"])
        self._stored = stored, self._clock()
        return stored

    def abort(self) -> None:
        if self._stored is not None:
            stored, at = self._stored
            stored = self._incoming.file(stored)
            self._stored = None
            self._note(self.tags(), stored, at)
        self._incoming.abort()


def require_uids(uids: Mapping[str, str], announced: Mapping[str, str]) -> None:
    """Only for what comes over DIMSE (PS3.4 B.2.2): in files the two often differ, and the data set counts. Raises
    Unusable."""
    for keyword, uid in announced.items():
        if uids[keyword] != uid:
            raise Unusable(f"{keyword} of the data set is not the one announced.", element=keyword)


def is_beside(instance: Instance) -> bool:
    """Whether its file is one that the store keeps beside the first of its UID: `<SOP Instance UID>.<digest>.dcm`."""
    return PurePath(instance.path).stem.startswith(f"{instance.sop_instance_uid}.")


def instance_of(tags: Mapping[str, Any], stored: Stored, sender: Sender, received_at: datetime) -> Instance:
    """The Instance of a stored object."""
    return Instance(
        sop_instance_uid=str(tags["SOPInstanceUID"]), sop_class_uid=str(tags["SOPClassUID"]),
        study_instance_uid=str(tags["StudyInstanceUID"]), series_instance_uid=str(tags["SeriesInstanceUID"]),
        transfer_syntax_uid=str(tags.get("TransferSyntaxUID", "")), path=stored.path, size=stored.size,
        digest=stored.digest, tags=tags, received_at=received_at, sender=f"{sender.protocol}:{sender.name}")
