"""The receiver alone (door, store and index; no readers) as a process that is killed and started again, senders that
never give up, and what has to be true of every object that was acknowledged."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from adapters.database.connection import database_url, migrate, open_database
from adapters.database.index import InstanceIndex
from adapters.database.tables import instances
from adapters.dicom.content import part10
from adapters.dicom.content.recover import read_instance
from adapters.dicom.content.tags import read_tags, tag_streamer
from adapters.dicom.transport.association import Association, Peer
from adapters.dicom.transport.scp import DicomServer
from adapters.files.durable import FileLayer
from adapters.files.store import FileObjectStore
from adapters.receiver.processes import ReceiverProcesses, Told
from adapters.receiver.wire import Orders
from gateway.errors import GatewayError, Unreadable
from gateway.intake import Gate, ObjectIntake
from gateway.logs import configure_logs
from gateway.settings import DicomSettings, LogSettings
from tests.dicom_objects import part10_bytes, slice_dataset
from tests.peers.dcmtk import free_port
from tests.peers.gateway_process import await_that

ROOT_UID = "1.2.826.0.1.3680043.8.498.66"
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])
MakeLayer = Callable[[], FileLayer]


# ---------------------------------------------------------------- the process


def _serve(folder: Path, port: int, url: str, make_layer: MakeLayer, processes: int, ready: Any) -> None:
    """Runs until it is killed. Killing its process group ends whatever it has started."""
    os.setsid()
    log = os.open(folder / "receiver.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    configure_logs(LogSettings(format="json"))
    engine = open_database(url)
    migrate(engine)
    store = FileObjectStore(store_root(folder), 0, make_layer())
    index = InstanceIndex(engine, "SITE", lambda _: None, store, "receiver")
    index.start()
    rebuild = partial(index.rebuild, store.walk, partial(read_instance, read_tags=read_tags))
    store.recover(patience=10)
    rebuild()

    def ended() -> None:
        store.recover()
        rebuild()

    settings, gate = DicomSettings(port=port), Gate()
    receivers = ReceiverProcesses(
        processes, Orders(settings, LogSettings(format="json"), store_root(folder).resolve(), 0, ()), gate,
        Told(index, lambda *_: None, lambda _: None, ended))
    receivers.start()
    DicomServer(settings, ObjectIntake(store, tag_streamer(), index, gate), pass_on=receivers.pass_on).start()
    ready.send(True)
    threading.Event().wait()


def store_root(folder: Path) -> Path:
    return folder / "instances"


@dataclass
class Receiver:
    """`folder`: its data. `make_layer`: the file layer of its store, made in the process. `processes`: how many store
    besides (on the ordinary file layer)."""

    folder: Path
    make_layer: MakeLayer = FileLayer
    database_url: str = ""
    processes: int = 0
    port: int = field(default_factory=free_port)
    process: Any = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.url = database_url(self.database_url, self.folder)

    @property
    def objects(self) -> Path:
        return store_root(self.folder)

    def start(self, seconds: float = 60) -> None:
        """Returns once it listens and has rebuilt its index."""
        ours, theirs = _FORKS.Pipe(duplex=False)
        self.process = _FORKS.Process(target=_serve, daemon=False,
                                      args=(self.folder, self.port, self.url, self.make_layer, self.processes,
                                            theirs))
        self.process.start()
        theirs.close()
        with ours:
            assert ours.poll(seconds), f"the receiver does not start:\n{self.tail()}"
            try:
                ours.recv()
            except EOFError:
                self.process.join(10)  # it killed itself before it was ready

    def kill(self) -> None:
        """kill -9 of everything it has started."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                self.process.kill()
            self.process.join(20)
            self.process.close()
            self.process = None

    def children(self) -> list[int]:
        """Process ids of those that store besides."""
        told = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return sorted(int(one) for path in told for one in path.read_text(encoding="ascii").split())

    def alive(self) -> bool:
        return self.process is not None and self.process.is_alive()

    def log(self) -> str:
        log = self.folder / "receiver.log"
        return log.read_text(errors="replace") if log.exists() else "no log"

    def tail(self) -> str:
        return self.log()[-4000:]

    def all_rows(self) -> list[tuple[str, str, bool]]:
        """(path, digest, conflict) of the index, by path."""
        return sorted(row[1:] for row in self._read())

    def rows(self) -> dict[str, tuple[str, str, bool]]:
        """The same by SOP Instance UID, where each is there once."""
        found = self._read()
        told = {uid: (path, digest, conflict) for uid, path, digest, conflict in found}
        assert len(told) == len(found), "an object has several rows"
        return told

    def _read(self) -> list[tuple[str, str, str, bool]]:
        engine = open_database(self.url)
        try:
            with engine.connect() as connection:
                c = instances.c
                found = connection.execute(sa.select(c.sop_instance_uid, c.path, c.digest, c.conflict)).all()
                return [(row.sop_instance_uid, row.path, row.digest, row.conflict) for row in found]
        finally:
            engine.dispose()


@contextmanager
def receiver(folder: Path, make_layer: MakeLayer = FileLayer, url: str = "", processes: int = 0) -> Iterator[Receiver]:
    running = Receiver(folder, make_layer, url, processes)
    try:
        running.start()
        yield running
    finally:
        running.kill()


# ---------------------------------------------------------------- the senders


def made(uid: str, study: str, chance: random.Random, largest: int = 300_000, size: int = 0) -> bytes:
    """A data set in explicit VR little endian, with noise for pixels: of each size that the store has a way for, above
    all of those that are journaled; or of that size."""
    dataset = slice_dataset()
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid, study, f"{study}.1"
    content = part10.split(part10_bytes(dataset))[1]
    size = size or 2 * chance.choice((256, chance.randrange(256, largest // 2), chance.randrange(256, largest // 2),
                              chance.choice((largest // 2, largest * 3 // 2))))
    return content[:-512 - 4] + size.to_bytes(4, "little") + chance.randbytes(size)


class Sender:
    """Sends objects one after another for as long as it may, and again what was not acknowledged.

    `sent`: SHA-256 of every data set that was tried, by UID; `acknowledged`: of those that were answered 0x0000.
    """

    def __init__(self, port: int, number: int, seed: int) -> None:
        self._peer = Peer("127.0.0.1", port, "TRIAGE", f"SENDER{number}", 20)
        self._chance = random.Random(seed * 1000 + number)
        self._number, self._count = number, 0
        self._size = 0
        """Of the pixels of what is sent now, where all lies alike."""
        self._again: list[tuple[str, bytes]] = []
        self._ended = threading.Event()
        self.progress = threading.Event()
        self.sent: dict[str, str] = {}
        self.acknowledged: dict[str, str] = {}
        self.refused: list[int] = []
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "a sender is still at it"

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                with Association(self._peer, [(CTImageStorage, ExplicitVRLittleEndian)]) as association:
                    self._size = self._chance.choice((0, 512, 20_000))
                    for _ in range(self._chance.randrange(1, 60)):
                        self._send(association)
                        if self._ended.is_set():
                            break
            except GatewayError:
                self._ended.wait(0.02)

    def _next(self) -> tuple[str, bytes]:
        if self._again and self._chance.random() < 0.9:
            return self._again[0]
        self._count += 1
        study = f"{ROOT_UID}.{self._number}.{self._count // 40}"
        uid = f"{study}.1.{self._count}"
        self._again.insert(0, (uid, made(uid, study, self._chance, size=self._size)))
        return self._again[0]

    def _send(self, association: Association) -> None:
        uid, dataset = self._next()
        digest = hashlib.sha256(dataset).hexdigest()
        self.sent[uid] = digest
        status = association.store(CTImageStorage, uid, ExplicitVRLittleEndian, dataset).status
        if status:
            self.refused.append(status)
            self._ended.wait(0.02)
            return
        self.acknowledged[uid] = digest
        # Sometimes it is sent again although it was acknowledged: nothing must come of it.
        self._again = [waiting for waiting in self._again if waiting[0] != uid or self._chance.random() < 0.05]
        self.progress.set()


@contextmanager
def senders(port: int, seed: int, number: int = 2) -> Iterator[list[Sender]]:
    working = [Sender(port, n, seed) for n in range(1, number + 1)]
    for sender in working:
        sender.start()
    try:
        yield working
    finally:
        for sender in working:
            sender.end()


# ---------------------------------------------------------------- what has to be true


def await_progress(working: list[Sender]) -> None:
    """Each sender has been answered success after now."""
    for sender in working:
        sender.progress.clear()
    for sender in working:
        assert sender.progress.wait(30), "a sender gets nothing stored"


def acknowledged(working: list[Sender]) -> dict[str, str]:
    return {uid: digest for sender in working for uid, digest in sender.acknowledged.copy().items()}


def tried(working: list[Sender]) -> dict[str, str]:
    return {uid: digest for sender in working for uid, digest in sender.sent.copy().items()}


def digest_of(path: Path) -> str:
    return hashlib.sha256(part10.split(path.read_bytes())[1]).hexdigest()


def _digest_so_far(path: Path) -> str:
    """Empty for a file that has just begun."""
    try:
        return digest_of(path)
    except Unreadable:
        return ""


def nothing_is_lost(running: Receiver, kept: dict[str, str], checked: set[str]) -> None:
    """Every acknowledged object has its file, with the bytes that were sent, and its row. `checked`: those whose bytes
    have been compared before; only their rows and files are looked for."""
    rows = running.rows()
    lost = [uid for uid in kept if uid not in rows]
    assert not lost, f"{len(lost)} acknowledged objects are not in the index"
    for uid, digest in kept.items():
        path, noted, conflict = rows[uid]
        assert noted == digest, "the index has another digest"
        assert not conflict
        if uid in checked:
            assert Path(path).exists(), "the file of an acknowledged object is gone"
        else:
            assert digest_of(Path(path)) == digest, "an acknowledged object has other bytes"
            checked.add(uid)


def nothing_half_written(running: Receiver, working: list[Sender], before: set[Path], checked: set[str]) -> None:
    """Every visible file is whole and was sent; of what the dead process was writing (`before`) nothing is left."""
    assert not [path for path in before if path.exists()], "scratch files of a dead process are left"
    found = [path for path in running.objects.glob("[0-9a-f][0-9a-f]/*/*") if str(path) not in checked]
    assert all(path.suffix == ".dcm" for path in found), "a file is no object"
    # One may be being written at this moment, before anybody is told of it.
    await_that(lambda: {_digest_so_far(path) for path in found} <= set(tried(working).values()), 5,
               "every file holds what was sent")
    checked |= set(map(str, found))


def scratch_files(running: Receiver) -> set[Path]:
    return set(running.objects.glob(".*/*.part"))


def memory(pid: int, what: str) -> int:
    """Bytes of `VmRSS` or of its peak `VmHWM` (writing 5 to /proc/PID/clear_refs begins the peak anew)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))
