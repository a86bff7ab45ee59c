"""Ports of receiving: where objects are kept, the door they come through, and how their tags are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from gateway.pipeline import Floats
from gateway.ports.incoming import Incoming, Piece, Stored
from gateway.ports.together import ReceptionTogether, Together
from gateway.study import Patient, Sender


class ObjectStore(Protocol):
    """Durable files; on failure nothing stays. Thread-safe."""

    def begin(self, header: bytes) -> Incoming:
        """`header`: preamble, DICM and group 2. Raises StorageFull, Transient."""
        ...

    def take(self, header: bytes, dataset: Sequence[Piece], study_instance_uid: str,
             sop_instance_uid: str) -> Incoming:
        """A whole object, which is lent: as `begin`, `write` and `stage`. Raises StorageFull, Transient."""
        ...

    def together(self) -> Together: ...

    def put(self, study_instance_uid: str, sop_instance_uid: str, header: bytes, dataset: Iterable[bytes]) -> Stored:
        """A whole object; `dataset`: the bytes as received. Raises StorageFull, Transient."""
        ...

    def prepare(self, megabytes: int) -> None:
        """Make ready what takes long to be made, for so much that comes at once."""
        ...

    def recover(self, patience: float = 0) -> None:
        """Other processes of this store have died: bring back what they had taken in. Raises StorageFull, Transient.

        `patience`: seconds that those have to end which are about to.
        """
        ...

    def walk(self, since: float) -> Iterable[str]:
        """Paths of object files in study folders changed after `since` (POSIX seconds)."""
        ...

    def delete(self, path: str) -> None: ...

    def restore(self, path: str, copy: str) -> None:
        """`path` has been damaged since it was stored; `copy`, which came later and was kept beside it, takes its
        place. Raises StorageFull, Transient."""
        ...

    def free_bytes(self) -> int: ...

    def may_put_off(self) -> bool:
        """Whether there is room enough for objects that have no file yet, which take it twice until they have. Does not
        raise."""
        ...

    def used_share(self) -> float:
        """Used share of the file system in [0, 1]."""
        ...


class Reception(Protocol):
    """One object on its way in. One thread at a time; ends with `finish` or `abort`."""

    def write(self, piece: Piece) -> None:
        """More of the data set. Raises Unreadable, StorageFull, Transient; then only `abort` is left."""
        ...

    def uids(self) -> Mapping[str, str]:
        """SOPClassUID, SOPInstanceUID, StudyInstanceUID, SeriesInstanceUID, once the whole data set was written. Raises
        Unreadable, Unusable."""
        ...

    def tags(self) -> Mapping[str, Any]:
        """Of the whole data set, once all of it was written. Raises Unreadable, Unusable."""
        ...

    def lies(self) -> object | None:
        """See `TagStream.lies`."""
        ...

    def stage(self) -> None:
        """Do what of `finish` needs no waiting for the disk, so that several objects share the waiting. Optional.
        Raises Unreadable, Unusable, StorageFull."""
        ...

    def finish(self) -> Stored:
        """Store it durably; after `stage` perhaps without its file. Raises Unreadable, Unusable, StorageFull,
        Transient.

        It gets its file and is handed to the index by `abort`, which always comes last: the peer may be answered
        before.
        """
        ...

    def abort(self) -> None:
        """Nothing stays of what was not finished. Again, it does nothing. After `stage` it raises StorageFull and
        Transient where a finished object cannot get its file now: nothing is lost, to be called again."""
        ...


class Intake(Protocol):
    """The one door for DICOM objects, whichever protocol brought them. Thread-safe."""

    def check(self) -> None:
        """Raise StorageFull (with a sentence) when nothing new may be taken in; else return."""
        ...

    def may_put_off(self) -> bool:
        """Whether `Reception.file` may be put off until there is time for it: see `ObjectStore.may_put_off`."""
        ...

    def receive(self, sender: Sender, header: bytes) -> Reception:
        """An object whose data set comes in pieces. `header`: preamble + DICM + file meta as Part 10.

        Raises Unreadable, StorageFull, Transient.
        """
        ...

    def bring(self, sender: Sender, header: bytes, dataset: Sequence[Piece], announced: Mapping[str, str]) -> Reception:
        """An object that has come whole, which is lent: as `receive`, `write` and `stage`.

        `announced`: what SOPClassUID and SOPInstanceUID must be. Raises Unreadable, Unusable, StorageFull, Transient.
        """
        ...

    def together(self) -> ReceptionTogether | None:
        """For objects that lie like others; None where they are taken one by one."""
        ...

    def take(self, sender: Sender, header: bytes, dataset: Sequence[bytes]) -> Stored:
        """Store one object durably and hand it to the index; returns after the bytes are on disk.

        `header`: preamble + DICM + file meta as Part 10; `dataset`: as received, in pieces.
        Raises Unreadable / Unusable (no SOP, series or study UID), StorageFull, Transient.
        """
        ...


class TagStream(Protocol):
    """The tags of a data set, read while its bytes pass."""

    def feed(self, piece: Piece) -> None:
        """Raises Unreadable, and Mislabelled as soon as it shows."""
        ...

    def feed_whole(self, pieces: Sequence[Piece]) -> None:
        """The whole data set at once, instead of `feed`. Raises Unreadable, Mislabelled."""
        ...

    def uids(self) -> Mapping[str, str]:
        """SOPClassUID, SOPInstanceUID, StudyInstanceUID, SeriesInstanceUID, once everything has been fed. Raises
        Unreadable, Unusable; `tags` does not raise any more then."""
        ...

    def tags(self) -> Mapping[str, Any]:
        """Keyword → value, once everything has been fed; what `TagReader` says. Raises Unreadable, Unusable."""
        ...

    def lies(self) -> object | None:
        """How the data set lies, where all of it lies like another; for who made this."""
        ...


TagStreamer = Callable[[bytes], TagStream]
"""header → reader of the data set that follows it; raises Unreadable."""

TagReader = Callable[[bytes, Iterable[bytes]], Mapping[str, Any]]
"""(header, dataset) → tags by DICOM keyword incl. SOPClassUID, TransferSyntaxUID; raises Unreadable, Unusable."""


@dataclass(frozen=True, slots=True)
class EcgSource:
    """A resting ECG that came without DICOM (FHIR Observation, WFDB, aECG): becomes a waveform object of its own.

    `key`: what makes it the same recording when sent again; UIDs derive from it. `signal` mV (leads, samples).
    """

    key: tuple[str, ...]
    patient: Patient
    signal: Floats
    rate: float
    leads: tuple[str, ...]
    recorded_at: datetime
    accession_number: str = ""
    study_instance_uid: str = ""
    age_years: int | None = None
    description: str = ""


EcgWriter = Callable[[EcgSource], bytes]
"""EcgSource → DICOM Part 10 bytes (12-lead or general ECG Waveform Storage), the same bytes for the same source."""
