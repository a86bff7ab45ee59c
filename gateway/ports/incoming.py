"""Ports of receiving: one object that is being written, and what becomes of it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol


class Outcome(StrEnum):
    """What became of a received object. All but an exception are answered with success."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """The same SOP Instance UID with the same data set is here already: one copy, no new case."""
    CONFLICT = "conflict"
    """The same SOP Instance UID with other content: kept beside the first, flagged, never overwriting it."""


KEPT_BESIDE = "Conflict: kept beside another object of the same UID."
"""For the sender of such an object; it fits the 64 characters of a DICOM LO."""


class Stored(NamedTuple):
    """`digest`: SHA-256 of the data set (hex); empty while an object that was staged has no file."""

    path: str
    digest: str
    size: int
    outcome: Outcome

    @property
    def remark(self) -> str:
        """What its sender is told besides: KEPT_BESIDE, whenever its file is one beside the first of its UID
        (`<SOP Instance UID>.<digest>.dcm`), and "" else."""
        if self.outcome is Outcome.STORED and not self.digest:
            return ""
        named_apart = self.path.endswith((f".{self.digest[:8]}.dcm", f".{self.digest}.dcm"))
        return KEPT_BESIDE if self.outcome is Outcome.CONFLICT or named_apart else ""


Piece = bytes | bytearray | memoryview
"""Bytes of an object as they come; views are good during the call only."""


class Incoming(Protocol):
    """An object that is being written. One thread at a time; ends with `finish` or `abort`."""

    def write(self, piece: Piece, /) -> None:
        """More of the data set. Raises StorageFull, Transient; then only `abort` is left."""
        ...

    def stage(self, study_instance_uid: str, sop_instance_uid: str, /) -> None:
        """Do what of `finish` needs no waiting for the disk, so that several objects share the waiting. Optional."""
        ...

    def finish(self, study_instance_uid: str, sop_instance_uid: str, /) -> Stored:
        """Returns once it is durable, after `stage` perhaps without its file. Raises StorageFull, Transient; then
        nothing stays."""
        ...

    def file(self, stored: Stored) -> Stored:
        """`stored` as it is once the object has its file, which it has now; only after `stage` this may be another.
        Raises StorageFull, Transient: nothing is lost, to be asked again."""
        ...

    def abort(self) -> None:
        """Nothing stays. After `finish`, or again, it does nothing."""
        ...
