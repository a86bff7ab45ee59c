"""The seams to the outside. Adapters implement these; gateway/app.py joins them; tests fake only these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from gateway.browsing import EVERYTHING, Facets, WorklistFilter
from gateway.delivery import DeliveryState, Kind
from gateway.pipeline import Array, Ecg, Floats, Volume
from gateway.result import ModelRelease
from gateway.study import Instance, Patient, Priority, Sender

# ---------------------------------------------------------------- in: objects


class Outcome(StrEnum):
    """What became of a received object. All but an exception are answered with success."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """The same SOP Instance UID with the same data set is here already: one copy, no new case."""
    CONFLICT = "conflict"
    """The same SOP Instance UID with other content: kept beside the first, flagged, never overwriting it."""


@dataclass(frozen=True, slots=True)
class Stored:
    path: str
    digest: str
    size: int
    outcome: Outcome


Piece = bytes | bytearray | memoryview
"""Bytes of an object as they come; views are good during the call only."""


class Incoming(Protocol):
    """An object that is being written. One thread at a time; ends with `finish` or `abort`."""

    def write(self, piece: Piece) -> None:
        """More of the data set. Raises StorageFull, Transient; then only `abort` is left."""
        ...

    def finish(self, study_instance_uid: str, sop_instance_uid: str) -> Stored:
        """Returns once file and directory entry are durable. Raises StorageFull, Transient; then nothing stays."""
        ...

    def abort(self) -> None:
        """Nothing stays. After `finish`, or again, it does nothing."""
        ...


class ObjectStore(Protocol):
    """Durable files; on failure nothing stays. Thread-safe."""

    def begin(self, header: bytes) -> Incoming:
        """`header`: preamble, DICM and group 2. Raises StorageFull, Transient."""
        ...

    def put(self, study_instance_uid: str, sop_instance_uid: str, header: bytes, dataset: Iterable[bytes]) -> Stored:
        """A whole object; `dataset`: the bytes as received. Raises StorageFull, Transient."""
        ...

    def walk(self, since: float) -> Iterable[str]:
        """Paths of object files in study folders changed after `since` (POSIX seconds)."""
        ...

    def delete(self, path: str) -> None: ...

    def free_bytes(self) -> int: ...

    def used_share(self) -> float:
        """Used share of the file system in [0, 1]."""
        ...


class Reception(Protocol):
    """One object on its way in. One thread at a time; ends with `finish` or `abort`."""

    def write(self, piece: Piece) -> None:
        """More of the data set. Raises Unreadable, StorageFull, Transient; then only `abort` is left."""
        ...

    def tags(self) -> Mapping[str, Any]:
        """Of the whole data set, once all of it was written. Raises Unreadable, Unusable."""
        ...

    def finish(self) -> Stored:
        """Store it durably. Raises Unreadable, Unusable, StorageFull, Transient.

        It is handed to the index by `abort`, which always comes last: the peer may be answered before.
        """
        ...

    def abort(self) -> None:
        """Nothing stays of what was not finished. Again, it does nothing."""
        ...


class Intake(Protocol):
    """The one door for DICOM objects, whichever protocol brought them. Thread-safe."""

    def check(self) -> None:
        """Raise StorageFull (with a sentence) when nothing new may be taken in; else return."""
        ...

    def receive(self, sender: Sender, header: bytes) -> Reception:
        """An object whose data set comes in pieces. `header`: preamble + DICM + file meta as Part 10.

        Raises Unreadable, StorageFull, Transient.
        """
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
        """Raises Unreadable."""
        ...

    def tags(self) -> Mapping[str, Any]:
        """Keyword → value, once everything has been fed; what `TagReader` says. Raises Unreadable, Unusable."""
        ...


TagStreamer = Callable[[bytes], TagStream]
"""header → reader of the data set that follows it; raises Unreadable."""

TagReader = Callable[[bytes, Sequence[bytes]], Mapping[str, Any]]
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

# ---------------------------------------------------------------- reading


class Loader(Protocol):
    """Pixels and samples for the pipelines' requests. Raises Unusable where the instances are not what was asked."""

    def load_volume(self, instances: tuple[Instance, ...]) -> Volume: ...

    def load_ecg(self, instances: tuple[Instance, ...]) -> Ecg: ...


class Inference(Protocol):
    """Models of model_repository/, in process or on Triton; the same inputs give the same outputs to 1e-4."""

    def release(self, model: str) -> ModelRelease:
        """Name, version and hash of what is ready to run. Raises NotReady (not loaded, hash mismatch, server down)."""
        ...

    def infer(self, model: str, inputs: Mapping[str, Array], outputs: tuple[str, ...]) -> dict[str, Array]:
        """Raises Transient on timeout or a lost server, Permanent on wrong names or shapes."""
        ...

    def models(self) -> tuple[str, ...]:
        """Names present in the repository."""
        ...


# ---------------------------------------------------------------- what the pages, FHIR and the terminal read


@dataclass(frozen=True, slots=True)
class DeliveryView:
    delivery_id: int
    case_id: str
    destination: str
    kind: Kind
    state: DeliveryState
    attempts: int
    last_error: str = ""
    next_attempt_at: datetime | None = None
    delivered_at: datetime | None = None
    receipt: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaseView:
    """One worklist line (CONTRACT, `/api/worklist`), and more for the case page. Times are aware UTC."""

    case_id: str
    run_id: str
    study_instance_uid: str
    accession_number: str
    patient_id: str
    patient_name: str
    modality: str
    pipeline: str
    state: str
    completeness: str
    read_at: datetime | None
    verdict: str | None
    risk: float | None
    priority: Priority
    received_at: datetime
    reported_at: datetime | None
    demonstration: bool
    findings: tuple[Mapping[str, Any], ...] = ()
    """{code, display, probability, threshold, present} each; `code` is the label."""
    deliveries: tuple[DeliveryView, ...] = ()
    cases: tuple[str, ...] = ()
    patient_birth_date: str = ""
    patient_sex: str = ""
    patient_issuer: str = ""
    study_description: str = ""
    problems: tuple[Mapping[str, str], ...] = ()
    """{code, text}: why undetermined, failed, unsupported or partial."""
    summary: str = ""
    error: str = ""
    conflict: bool = False
    missing: tuple[Mapping[str, Any], ...] = ()
    """{lack, missing, of, series} each: what the study is known to lack (gateway.completion.Missing)."""
    due_at: datetime | None = None
    """When a person should have looked: the time budget of its priority, counted from the first object."""
    band: int = 2
    """gateway.triage.Band: the first key of the order."""
    place_reasons: tuple[Mapping[str, Any], ...] = ()
    """Why it stands where it does: {code, values} each, from gateway.triage.explain, the weightiest first."""


@dataclass(frozen=True, slots=True)
class CaseDetail:
    """A case with its full result (JSON form), its order, its versions."""

    case: CaseView
    result: Mapping[str, Any] | None
    order: Mapping[str, Any] | None
    runs: tuple[Mapping[str, Any], ...]
    """{run_id, number, created_at, state, verdict, risk, current, error} each, newest first."""
    instances: int
    documents: tuple[Mapping[str, str], ...]
    """{kind, identity, destination} each."""
    evidence: tuple[Mapping[str, Any], ...] = ()
    """{kind, …} each: why the study was taken as complete, then what was said of it (gateway.assembly.Handover)."""
    prior: Mapping[str, Any] | None = None
    """{state, study_instance_uid, archive, objects, error} of the earlier study that its route asks for
    (gateway.fetching.PriorState); None where none was asked for."""


@dataclass(frozen=True, slots=True)
class Page:
    items: tuple[CaseView, ...]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """FHIR search of what the gateway made: every field optional. `updated`: (prefix, aware datetime) pairs.

    Prefixes are `ge` and `lt` (the FHIR adapter turns the others and partial dates into these).
    """

    case_id: str = ""
    study_instance_uid: str = ""
    accession_number: str = ""
    patient_id: str = ""
    patient_issuer: str = ""
    status: str = ""
    updated: tuple[tuple[str, datetime], ...] = ()
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class StoredDocument:
    case_id: str
    run_id: str
    kind: Kind
    identity: str
    destination: str
    content: bytes
    created_at: datetime


class Queries(Protocol):
    """What can be asked. No method changes anything. Cursors are opaque strings; a bad one raises Unusable."""

    def worklist(self, limit: int, cursor: str | None = None, where: WorklistFilter = EVERYTHING) -> Page:
        """Sickest first, one item per study, told by its most urgent case that the filter lets through."""
        ...

    def facets(self, where: WorklistFilter = EVERYTHING) -> Facets: ...

    def case(self, case_id: str) -> CaseDetail | None: ...

    def document(self, case_id: str, kind: Kind) -> StoredDocument | None:
        """The newest run's document of that kind (any destination), None where there is none."""
        ...

    def deliveries(self, state: DeliveryState | None = None, limit: int = 100, *, before_id: int | None = None,
                   destination: str = "", case_id: str = "") -> tuple[DeliveryView, ...]:
        """The newest first, those with a smaller id than `before_id`."""
        ...

    def reports(self, query: ReportQuery) -> tuple[tuple[StoredDocument, ...], int]:
        """Current DIAGNOSTIC_REPORT documents (a FHIR Bundle each), newest first, and how many match in all."""
        ...

    def orders(self, order_id: str) -> Mapping[str, Any] | None: ...

    def senders(self) -> tuple[Mapping[str, Any], ...]:
        """{protocol, name, last_heard, count} each."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Cases by state (`cases.reported`), deliveries by state (`deliveries.dead`), instances, studies."""
        ...


class Commands(Protocol):
    """What can be ordered. Each raises Unusable where the thing is not there or not in a state for it."""

    def cancel(self, case_id: str) -> None: ...

    def replay(self, case_id: str) -> str:
        """The same version again: read again (a failed or cancelled case), else deliver again; returns the run id."""
        ...

    def rerun(self, case_id: str) -> str:
        """Plan the study anew with the models and rules of now; returns the new run, which supersedes the last."""
        ...

    def retry_delivery(self, delivery_id: int) -> None: ...

    def retry_dead(self, destination: str = "") -> int:
        """All that is dead or waits for its next attempt (to one destination) is tried now; returns how many."""
        ...

    def set_priority(self, case_id: str, priority: Priority) -> None: ...

    def mark_read(self, case_id: str) -> None:
        """Opened to the end on the page: sets read_at."""
        ...

    def mark_unread(self, case_id: str) -> None:
        """Read by mistake: the case takes its place among the unread again."""
        ...

    def predict_study(self, objects: Iterable[tuple[bytes, Sequence[bytes]]]) -> Mapping[str, Any]:
        """(header, data set) of each object of one study in, the result's JSON form out, nothing kept.

        Raises Unusable when no pipeline takes it, or there is more than one study.
        """
        ...


class Health(Protocol):
    def ready(self) -> tuple[bool, Mapping[str, str]]:
        """(can take and read studies, {part: `ok` or why not})."""
        ...
