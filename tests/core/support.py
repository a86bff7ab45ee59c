"""The core with real database, engine and files; only pipelines, encoders and destinations are small stand-ins."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import sqlalchemy as sa

from adapters.database.command_rows import CommandRows
from adapters.database.connection import migrate, open_database
from adapters.database.engine import DbosEngine
from adapters.database.index import InstanceIndex
from adapters.database.messages import DatabaseMessageLog
from adapters.database.queries import DatabaseQueries
from adapters.files.documents import DocumentFolder
from gateway.case import Reading
from gateway.clockwork import AssemblyClock
from gateway.codes import Code
from gateway.delivery import DeliveryState, Document, Kind, Receipt
from gateway.documents import Claims
from gateway.errors import Permanent, Transient
from gateway.identity import document_uid
from gateway.pipeline import Analysis, Picture, Selection, Steps
from gateway.planning import Planner
from gateway.publishing import Publisher
from gateway.reading import Fulfilment
from gateway.result import Finding, ModelRelease, Provenance, Result, Verdict
from gateway.settings import Settings
from gateway.study import Instance, Study
from gateway.work import Parts, Work
from tests.untouched import Untouched


class StandInPipeline:
    """Calls a study a pathology when an instance carries the tag BodyPartExamined SICK."""

    name, version, title = "stand_in", "1", "Stand-in"
    models: tuple[str, ...] = ("stand_in",)
    procedure = ("1", "99TRIAGE", "stand-in")
    modalities: tuple[str, ...] = ("OT",)
    block: threading.Event | None = None
    words: Mapping[str, Mapping[str, str]] = MappingProxyType({})

    def select(self, study: Study) -> Selection:
        return Selection(tuple(i for i in study.instances if i.tags.get("Modality") == "OT"))

    def analyse(self, study: Study, selection: Selection, releases: tuple[ModelRelease, ...]) -> Steps[Analysis]:
        if self.block is not None:
            self.block.wait(20)
        sick = any(i.tags.get("BodyPartExamined") == "SICK" for i in selection.instances)
        finding = Finding("X", Code("1", "99TRIAGE", "x"), "X", 0.9 if sick else 0.1, 0.5, 1.0)
        return Analysis(Result(Verdict.PATHOLOGY if sick else Verdict.NORMAL, finding.probability, (finding,),
                               Provenance(self.name, self.version, releases),
                               tuple(i.sop_instance_uid for i in selection.instances)))
        yield


class StandInInference:
    """`down`: nothing is ready."""

    down = False

    def release(self, model: str) -> ModelRelease:
        if self.down:
            raise Transient("the model is not ready")
        return ModelRelease(model, "1", "0" * 64, False)


class PlainEncoder:
    per_destination = False

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def encode(self, reading: Reading, picture: Picture | None, destination: str) -> Document | None:
        text = "|".join([reading.study.patient.patient_id, reading.study.study_instance_uid,
                         reading.result.verdict.value, reading.run.predecessor_sr_uid,
                         reading.run.created_at.isoformat()])
        return Document(self.kind, document_uid(reading.run.run_id, self.kind.value), text.encode(), "1.2.3")

    def read_back(self, document: Document) -> Claims:
        patient, study, verdict, _, _ = document.content.decode().split("|")
        return Claims(self.kind, patient, study, verdict=verdict)


@dataclass
class MemoryDestination:
    name: str
    kinds: frozenset[Kind] = frozenset({Kind.SR, Kind.SC, Kind.SOURCE})
    down: bool = False
    refuses: bool = False
    received: list[Document] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def deliver(self, document: Document) -> Receipt:
        if self.down:
            raise Transient("connection refused")
        if self.refuses:
            raise Permanent("status 0x0122")
        with self.changed:
            self.received.append(document)
            self.changed.notify_all()
        return Receipt(DeliveryState.DELIVERED, {"status": "0x0000"})

    def probe(self) -> None: ...


@dataclass
class Core:
    settings: Settings
    database: sa.Engine
    rows: CommandRows
    queries: DatabaseQueries
    work: Work
    engine: DbosEngine
    index: InstanceIndex
    messages: DatabaseMessageLog
    clock: AssemblyClock
    pipeline: StandInPipeline
    inference: StandInInference
    destinations: dict[str, MemoryDestination]
    documents: DocumentFolder

    def receive(self, study: str, sop: str, **tags: object) -> None:
        self.index.add(instance(study, sop, **tags), conflict=False)

    def await_case(self, condition: Callable[..., bool], timeout: float = 20) -> object:
        """The first worklist line that meets the condition; polled, because the database has no events."""
        limit = threading.Event()
        deadline = datetime.now(UTC).timestamp() + timeout
        while True:
            items = self.queries.worklist(100).items
            for item in items:
                if condition(item):
                    return item
            if datetime.now(UTC).timestamp() > deadline:
                raise AssertionError(f"never came; there are {[(i.state, i.verdict, i.deliveries) for i in items]}")
            limit.wait(0.05)


def instance(study: str, sop: str, **tags: object) -> Instance:
    told = {"StudyInstanceUID": study, "SOPInstanceUID": sop, "SeriesInstanceUID": study + ".1", "SOPClassUID": "1.2",
            "Modality": "OT", "PatientID": "P1", **tags}
    return Instance(sop, "1.2", study, study + ".1", "1.2.840.10008.1.2.1", f"/nowhere/{study}/{sop}.dcm", 10,
                    sop.replace(".", "") + str(tags.get("digest", "")), told, datetime.now(UTC), "dicom:CT1")


def elsewhere(tmp: Path) -> str:
    """A database of its own for each folder on the server that TRIAGE_TEST_POSTGRESQL names, empty for SQLite."""
    server = os.environ.get("TRIAGE_TEST_POSTGRESQL", "")
    if not server:
        return ""
    name = "core_" + hashlib.sha256(str(tmp).encode()).hexdigest()[:16]
    engine = sa.create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if not connection.execute(sa.text("select 1 from pg_database where datname = :name"), {"name": name}).scalar():
            connection.execute(sa.text(f'create database "{name}"'))
    engine.dispose()
    return f"{server}/{name}"


@contextmanager
def core(tmp: Path, *, destinations: Sequence[MemoryDestination] = (), start: bool = True, url: str = "",
         held_back: Callable[[int, datetime], float] = lambda _study, _at: 0.0, **changes: object) -> Iterator[Core]:
    """A running core in a folder; a second one in the same folder afterwards is a restart."""
    settings = Settings.model_validate({
        "data_dir": tmp, "assembly": {"quiet_seconds": 0.2, "max_wait_seconds": 5},
        "delivery": {"first_retry_seconds": 0.2},
        "routes": [{"name": "ot", "when": {"Modality": "OT"}, "pipeline": "stand_in"}], **changes})
    url = url or elsewhere(tmp)
    database = open_database(url or f"sqlite:///{tmp / 'gateway.sqlite'}")
    migrate(database)
    files = DocumentFolder(tmp / "documents")
    rows = CommandRows(database, files.get)
    pipeline, inference = StandInPipeline(), StandInInference()
    found = {d.name: d for d in destinations}
    encoders = [PlainEncoder(kind) for kind in (Kind.SR, Kind.SC, Kind.DIAGNOSTIC_REPORT)]
    publisher = Publisher(encoders, found, files, lambda path: b"source|" * 5)
    pipelines = {"stand_in": pipeline}
    planner = Planner(settings.routes, pipelines, list(found), lambda model: "f")
    work = Work(Parts(rows, planner, pipelines, Fulfilment(None, inference), inference, publisher, found), settings,
                held_back=held_back)
    engine = DbosEngine(work, url=url or f"sqlite:///{tmp / 'engine.sqlite'}", executor_id="test", workers=2,
                        destinations=list(found))
    work.use(engine)
    clock = AssemblyClock(work)
    index = InstanceIndex(database, "SITE", lambda _: clock.poke(), Untouched())
    messages = DatabaseMessageLog(database, lambda _: clock.poke())
    if start:
        index.start()
        engine.start()
        messages.start()
        clock.start()
    try:
        yield Core(settings, database, rows, DatabaseQueries(database, files.get), work, engine, index, messages,
                   clock, pipeline, inference, found, files)
    finally:
        if start:
            messages.stop()
            clock.stop()
            index.stop()
        engine.stop()  # else the next one of this process would be told of this one's database
        database.dispose()
