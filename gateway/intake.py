"""The one door for DICOM objects: stored durably, then handed to the index off the answer's path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from gateway.errors import StorageFull, Transient
from gateway.ports import ObjectStore, Outcome, Stored, TagReader
from gateway.study import Instance, Sender


class Index(Protocol):
    """Port: takes instances in batches, later; never loses one that is on disk (rebuilt from the files at start)."""

    def add(self, instance: Instance, *, conflict: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class SenderLeft:
    """An association of a sender is over. `studies`: Study Instance UIDs of the objects that were answered success."""

    sender: Sender
    studies: frozenset[str]
    released: bool
    """In good order (A-RELEASE); otherwise aborted, or the connection broke."""


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

    def __init__(self, store: ObjectStore, read_tags: TagReader, index: Index, gate: Gate,
                 clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store, self._read_tags, self._index, self._gate, self._clock = store, read_tags, index, gate, clock

    def check(self) -> None:
        if self._gate.reason:
            raise StorageFull(self._gate.reason)

    def take(self, sender: Sender, header: bytes, dataset: Sequence[bytes]) -> Stored:
        tags = self._read_tags(header, dataset)
        self.check()
        try:
            stored = self._store.put(str(tags["StudyInstanceUID"]), str(tags["SOPInstanceUID"]), header, dataset)
        except OSError as error:
            raise Transient(f"the object could not be stored: {error.strerror}") from error
        if stored.outcome is not Outcome.DUPLICATE:
            self._index.add(instance_of(tags, stored, sender, self._clock()),
                            conflict=stored.outcome is Outcome.CONFLICT)
        return stored


def instance_of(tags: Mapping[str, Any], stored: Stored, sender: Sender, received_at: datetime) -> Instance:
    """The Instance of a stored object."""
    return Instance(
        sop_instance_uid=str(tags["SOPInstanceUID"]), sop_class_uid=str(tags["SOPClassUID"]),
        study_instance_uid=str(tags["StudyInstanceUID"]), series_instance_uid=str(tags["SeriesInstanceUID"]),
        transfer_syntax_uid=str(tags.get("TransferSyntaxUID", "")), path=stored.path, size=stored.size,
        digest=stored.digest, tags=tags, received_at=received_at, sender=f"{sender.protocol}:{sender.name}")
