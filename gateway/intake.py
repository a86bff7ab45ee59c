"""The one door for DICOM objects: stored durably, then handed to the index off the answer's path."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, Protocol

import structlog

from gateway.errors import GatewayError, Mislabelled, StorageFull, Unusable
from gateway.ports import (
    Incoming,
    ObjectStore,
    Outcome,
    Piece,
    Reception,
    ReceptionTogether,
    Stored,
    TagStream,
    TagStreamer,
)
from gateway.study import Instance, Sender
from gateway.together import TakenTogether


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
        self._change = threading.Lock()
        self.reason = ""
        """Empty when open."""

    def shut(self, who: str, reason: str) -> None:
        with self._change:
            self._reasons[who] = reason
            self._choose()

    def open(self, who: str) -> None:
        with self._change:
            self._reasons.pop(who, None)
            self._choose()

    def _choose(self) -> None:
        self.reason = next(iter(self._reasons.values()), "")


Count = Callable[[str, Stored | None], None]
"""Told once of each object: its protocol, and as what it was stored, once it has its file; None for a refused one."""


def _uncounted(_protocol: str, _stored: Stored | None) -> None:
    """Nobody counts."""


class ObjectIntake:
    """Implements gateway.ports.Intake."""

    def __init__(self, store: ObjectStore, stream_tags: TagStreamer, index: Index, gate: Gate, *,
                 count: Count = _uncounted, clock: Callable[[], float] = time.time) -> None:
        """`clock`: POSIX seconds."""
        self._store, self.stream_tags, self._index, self._gate = store, stream_tags, index, gate
        self.count, self.clock = count, clock

    def check(self) -> None:
        reason = self._gate.reason
        if reason:
            raise StorageFull(reason)

    def is_shut(self) -> bool:
        return bool(self._gate.reason)

    def may_put_off(self) -> bool:
        return self._store.may_put_off()

    def together(self) -> ReceptionTogether:
        return TakenTogether(self, self._store.together())

    def receive(self, sender: Sender, header: bytes) -> Reception:
        try:
            self.check()
            tags = self.stream_tags(header)
            return _Reception(self, sender, self.begin(header), tags)
        except GatewayError:
            self.count(sender.protocol, None)
            raise

    def bring(self, sender: Sender, header: bytes, dataset: Sequence[Piece], announced: Mapping[str, str]) -> Reception:
        try:
            self.check()
            tags, true = self._read(sender, header, dataset)
            uids = tags.uids()
            require_uids(uids, announced)
            incoming = self._store.take(true, dataset, uids["StudyInstanceUID"], uids["SOPInstanceUID"])
            return _Reception(self, sender, incoming, tags, uids, as_announced=true is header)
        except GatewayError:
            self.count(sender.protocol, None)
            raise

    def _read(self, sender: Sender, header: bytes, dataset: Sequence[Piece]) -> tuple[TagStream, bytes]:
        """The data set's tags, and the header that is true of it."""
        tags = self.stream_tags(header)
        try:
            tags.feed_whole(dataset)
        except Mislabelled as error:
            tags, header = self.relabelled(sender, error.header), error.header
            tags.feed_whole(dataset)
        return tags, header

    def relabelled(self, sender: Sender, header: bytes) -> TagStream:
        """For a data set that is in another transfer syntax than was announced: kept under the `header` that says so,
        since others could not read it."""
        structlog.get_logger().warning("data_set_in_other_transfer_syntax", protocol=sender.protocol,
                                       sender=sender.name, address=sender.address)
        return self.stream_tags(header)

    def begin(self, header: bytes) -> Incoming:
        """Raises StorageFull, Transient."""
        return self._store.begin(header)

    def take(self, sender: Sender, header: bytes, dataset: Sequence[bytes]) -> Stored:
        reception = self.receive(sender, header)
        try:
            for piece in dataset:
                reception.write(piece)
            return reception.finish()
        finally:
            reception.abort()

    def note(self, sender: Sender, tags: Mapping[str, Any], stored: Stored, at: float) -> None:
        """An object has its file."""
        # Also what was here before: the process that stored it may have died before it could tell, and what the index
        # knows already it lets pass.
        instance = instance_of(tags, stored, sender, datetime.fromtimestamp(at, UTC))
        self._index.add(instance, conflict=stored.outcome is Outcome.CONFLICT or is_beside(instance))


class _Reception:
    """Implements gateway.ports.Reception."""

    __slots__ = ("_as_announced", "_incoming", "_intake", "_is_begun", "_is_counted", "_sender", "_stored", "_stream",
                 "_uids")

    def __init__(self, intake: ObjectIntake, sender: Sender, incoming: Incoming, stream: TagStream,
                 uids: Mapping[str, str] | None = None, *, as_announced: bool = False) -> None:
        """`as_announced`: whether the header is true of the data set, which is known to have come whole."""
        self._as_announced = as_announced
        self._intake, self._sender, self._incoming, self._stream, self._uids = intake, sender, incoming, stream, uids
        self._stored: tuple[Stored, float] | None = None
        self._is_begun = self._is_counted = False

    def write(self, piece: Piece) -> None:
        try:
            self._feed(piece)
            self._incoming.write(piece)
        except GatewayError:
            self._count(None)
            raise
        self._is_begun = True

    def _feed(self, piece: Piece) -> None:
        try:
            self._stream.feed(piece)
        except Mislabelled as error:
            if self._is_begun:  # with a piece too short to show it, under a header that is not true
                raise
            self._incoming.abort()
            self._incoming = self._intake.begin(error.header)
            self._stream = self._intake.relabelled(self._sender, error.header)
            self._stream.feed(piece)

    def uids(self) -> Mapping[str, str]:
        if self._uids is None:
            try:
                self._uids = self._stream.uids()
            except GatewayError:
                self._count(None)
                raise
        return self._uids

    def tags(self) -> Mapping[str, Any]:
        try:
            return self._stream.tags()
        except GatewayError:
            self._count(None)
            raise

    def lies(self) -> object | None:
        return self._stream.lies() if self._as_announced else None

    def stage(self) -> None:
        uids = self.uids()
        try:
            self._intake.check()
            self._incoming.stage(uids["StudyInstanceUID"], uids["SOPInstanceUID"])
        except GatewayError:
            self._count(None)
            raise

    def finish(self) -> Stored:
        uids = self._uids or self.uids()
        try:
            self._intake.check()
            stored = self._incoming.finish(uids["StudyInstanceUID"], uids["SOPInstanceUID"])
        except GatewayError:
            self._count(None)
            raise
        self._stored = stored, self._intake.clock()
        return stored

    def _count(self, stored: Stored | None) -> None:
        """Once, whatever comes after a refusal."""
        if not self._is_counted:
            self._is_counted = True
            self._intake.count(self._sender.protocol, stored)

    def abort(self) -> None:
        if self._stored is not None:
            stored, at = self._stored
            stored = self._incoming.file(stored)
            self._stored = None
            self._count(stored)
            self._intake.note(self._sender, self._stream.tags(), stored, at)
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
