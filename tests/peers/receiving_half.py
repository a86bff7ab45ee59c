"""The receiving half of a gateway in this process: real store, database, index, receiver and commitment desk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from adapters.database.command_rows import CommandRows
from adapters.database.commitments import DatabaseCommitments
from adapters.database.connection import migrate, open_database
from adapters.database.index import InstanceIndex
from adapters.dicom.content.part10 import split
from adapters.dicom.content.tags import TagStream
from adapters.dicom.transport.commitment_scp import CommitmentScp
from adapters.dicom.transport.requestor import known_peers
from adapters.dicom.transport.scp import DicomServer
from adapters.files.documents import DocumentFolder
from adapters.files.intact import is_intact
from adapters.files.store import FileObjectStore
from adapters.receiver.processes import ReceiverProcesses, Told
from adapters.receiver.wire import Orders
from gateway.commitment_desk import CommitmentDesk
from gateway.intake import Gate, ObjectIntake
from gateway.repository import DeliveryTicket, Ticket
from gateway.settings import Settings
from gateway.study import Sender
from tests.untouched import Untouched


@dataclass
class Queue:
    """In the engine's place: what was queued."""

    deliveries: list[DeliveryTicket] = field(default_factory=list)

    def enqueue_run(self, ticket: Ticket, delay: timedelta = timedelta()) -> None:
        raise AssertionError("nothing is read here")

    def enqueue_delivery(self, ticket: DeliveryTicket, delay: timedelta = timedelta()) -> None:
        self.deliveries.append(ticket)


@dataclass
class ReceivingHalf:
    settings: Settings
    database: sa.Engine
    rows: CommandRows
    commitments: DatabaseCommitments
    index: InstanceIndex
    intake: ObjectIntake
    scp: CommitmentScp
    desk: CommitmentDesk
    server: DicomServer
    queue: Queue
    asked: list[tuple[str, str, list[str]]]
    """(transaction UID, peer, SOP Instance UIDs) of requests that studies were told of."""

    def take(self, part10: bytes, sender: str = "CT1") -> str:
        """Store an object as a sender would; returns its path."""
        header, dataset = split(part10)
        return self.intake.take(Sender("dicom", sender), header, [dataset]).path

    def shown(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.commitments.shown()]

    def await_shown(self, condition: Callable[[dict[str, Any]], Any], seconds: float = 20) -> dict[str, Any]:
        """The first commitment that meets the condition; polled, because the database has no events."""
        pause, until = threading.Event(), datetime.now(UTC).timestamp() + seconds
        while True:
            for row in self.shown():
                if condition(row):
                    return row
            assert datetime.now(UTC).timestamp() < until, f"never came; there are {self.shown()}"
            pause.wait(0.02)


@contextmanager
def receiving_half(folder: Path, **settings: Any) -> Iterator[ReceivingHalf]:
    """A second one in the same folder afterwards is a restart. Port 0 unless the settings name one. With
    `dicom.processes` above 1 those store what comes, as in a whole gateway."""
    folder.mkdir(exist_ok=True)
    settings["dicom"] = {"port": 0, **settings.get("dicom", {})}
    told = Settings.model_validate({"data_dir": folder, "delivery": {"timeout_seconds": 3}, **settings})
    database = open_database(f"sqlite:///{folder / 'gateway.sqlite'}")
    migrate(database)
    index = InstanceIndex(database, "SITE", lambda _: None, Untouched())
    intake = ObjectIntake(FileObjectStore(folder / "instances", 0), TagStream, index, Gate())
    rows, commitments, queue = CommandRows(database, DocumentFolder(folder / "documents").get), DatabaseCommitments(
        database, "SITE"), Queue()
    scp = CommitmentScp(known_peers(told), told.delivery.timeout_seconds)
    asked: list[tuple[str, str, list[str]]] = []
    desk = CommitmentDesk(commitments, scp, rows, queue, is_intact, index.flush,
                          lambda uid, peer, named, _: asked.append((uid, peer, list(named))),
                          patience=timedelta(seconds=1.5))
    scp.use(desk)
    receivers = ReceiverProcesses(
        told.dicom.processes if told.dicom.processes > 1 else 0,
        Orders(told.dicom, told.log, (folder / "instances").resolve(), 0, ()), Gate(),
        Told(index, lambda *_: None, lambda _: None, lambda: None))
    server = DicomServer(told.dicom, intake, [scp.service()], pass_on=receivers.pass_on)
    receivers.start()
    index.start()
    desk.start()
    server.start()
    try:
        yield ReceivingHalf(told, database, rows, commitments, index, intake, scp, desk, server, queue, asked)
    finally:
        server.stop()
        receivers.stop()
        desk.stop()
        index.stop()
        database.dispose()
