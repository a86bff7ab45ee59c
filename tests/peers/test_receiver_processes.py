"""Receiver processes: they store what comes, tell it, are started again when they die, and lose nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt

from adapters.dicom.content.recover import read_instance
from adapters.dicom.content.tags import TagStream, read_tags
from adapters.dicom.transport.association import Association, Peer
from adapters.dicom.transport.scp import DicomServer
from adapters.dicom.transport.scu import VERIFICATION, send_files
from adapters.dicom.transport.services import Service
from adapters.files.store import FileObjectStore
from adapters.receiver.processes import ReceiverProcesses, Told
from adapters.receiver.wire import Orders
from gateway.intake import Gate, ObjectIntake, SenderLeft
from gateway.ports import Outcome, Stored
from gateway.settings import DicomSettings, LogSettings
from gateway.study import Instance
from tests.dicom_objects import STUDY, part10_bytes, slice_dataset

pytestmark = [pytest.mark.peer, pytest.mark.slow]
FIND = "1.2.840.10008.5.1.4.31"


class Site:
    """An engine's process with two receiver processes, and what it has been told."""

    def __init__(self, folder: Path) -> None:
        self.indexed: dict[str, Instance] = {}
        self.counted: list[tuple[str, Stored | None]] = []
        self.gone: list[SenderLeft] = []
        self.change = threading.Condition()
        self.gate = Gate()
        self.store = FileObjectStore(folder / "objects", 0)
        settings = DicomSettings(port=0)
        orders = Orders(settings, LogSettings(), folder / "objects", 0, ("PatientComments",))
        self.receivers = ReceiverProcesses(2, orders, self.gate, Told(self, self.count, self.left, self.rebuild))
        find = Service([FIND], [(evt.EVT_C_FIND, lambda _: iter([(0x0000, None)]))])
        self.server = DicomServer(settings, ObjectIntake(self.store, TagStream, self, self.gate), [find],
                                  self.receivers.left, self.receivers.pass_on)

    def add(self, instance: Instance, *, conflict: bool) -> None:
        self._note(lambda: self.indexed.__setitem__(instance.sop_instance_uid, instance))

    def count(self, protocol: str, stored: Stored | None, number: int) -> None:
        self._note(lambda: self.counted.extend([(protocol, stored)] * number))

    def left(self, left: SenderLeft) -> None:
        self._note(lambda: self.gone.append(left))

    def rebuild(self) -> None:
        self.store.recover()
        for path in self.store.walk(0):
            self.add(read_instance(path, read_tags), conflict=False)

    def _note(self, what: object) -> None:
        with self.change:
            what()  # type: ignore[operator]
            self.change.notify_all()

    def awaits(self, truth: object) -> None:
        with self.change:
            assert self.change.wait_for(truth, 30)  # type: ignore[arg-type]

    def processes(self) -> list[int]:
        return [child.process.pid for child in self.receivers._children.values()]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.receivers.start()
    made.server.start()
    yield made
    made.server.stop()
    made.receivers.stop()


def written(folder: Path, *numbers: int) -> list[Path]:
    paths = []
    for number in numbers:
        paths.append(folder / f"{number}.dcm")
        paths[-1].write_bytes(part10_bytes(slice_dataset(number)))
    return paths


def send(site: Site, *paths: Path) -> None:
    assert not send_files("127.0.0.1", site.server.port, "CT", "TRIAGE", list(paths)).failures


def test_what_they_store_is_told_and_counted(site: Site, tmp_path: Path) -> None:
    paths = written(tmp_path, *range(1, 9))
    for path in paths:
        send(site, path)
    send(site, paths[0])
    site.awaits(lambda: len(site.gone) == 9 and len(site.counted) == 9)
    assert len(site.indexed) == 8
    assert {Path(one.path).name for one in site.indexed.values()} == {Path(p).name for p in site.store.walk(0)}
    assert [stored.outcome for _, stored in site.counted if stored].count(Outcome.DUPLICATE) == 1
    assert {left.sender.name for left in site.gone} == {"CT"}
    assert all(left.studies == {STUDY} and left.released for left in site.gone)
    instance = next(iter(site.indexed.values()))
    assert instance.sender == "dicom:CT"
    assert instance.received_at.tzinfo is not None


def test_associations_that_want_more_than_to_store_stay(site: Site) -> None:
    peer = Peer("127.0.0.1", site.server.port, "TRIAGE", "CT", 10)
    contexts = [(VERIFICATION, ImplicitVRLittleEndian), (FIND, ExplicitVRLittleEndian)]
    with Association(peer, contexts) as association:
        assert association.accepts(*contexts[1])
        assert association.echo(*contexts[0]).status == 0
    with Association(peer, contexts[:1]) as association:  # by a receiver process
        assert association.echo(*contexts[0]).status == 0


def test_a_shut_gate_is_shut_in_every_process(site: Site, tmp_path: Path) -> None:
    path, = written(tmp_path, 1)
    site.gate.shut("disk", "The disk is full.")
    pause = threading.Event()
    for _ in range(100):
        if send_files("127.0.0.1", site.server.port, "CT", "TRIAGE", [path]).failures:
            break
        pause.wait(0.1)
    assert send_files("127.0.0.1", site.server.port, "CT", "TRIAGE", [path]).failures
    site.gate.open("disk")
    for _ in range(100):
        if not send_files("127.0.0.1", site.server.port, "CT", "TRIAGE", [path]).failures:
            return
        pause.wait(0.1)
    raise AssertionError("the gate stays shut")


def test_a_process_that_is_killed_is_started_again_and_nothing_is_lost(site: Site, tmp_path: Path) -> None:
    before = site.processes()
    send(site, *written(tmp_path, 1, 2, 3, 4))
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    pause, paths = threading.Event(), written(tmp_path, 5, 6)
    for _ in range(100):  # by whoever is there: the engine's process, until others are
        if not send_files("127.0.0.1", site.server.port, "CT", "TRIAGE", paths).failures:
            break
        pause.wait(0.1)
    site.awaits(lambda: len(site.indexed) == 6)
    for _ in range(100):
        if len(site.processes()) == 2 and not set(site.processes()) & set(before):
            break
        pause.wait(0.1)
    send(site, *written(tmp_path, 7))
    site.awaits(lambda: len(site.indexed) == 7)


def test_stopping_leaves_no_process_and_loses_nothing_that_was_told(tmp_path: Path) -> None:
    made = Site(tmp_path)
    made.receivers.start()
    made.server.start()
    pids = made.processes()
    send(made, *written(tmp_path, 1, 2))
    made.server.stop()
    made.receivers.stop()
    assert len(made.indexed) == 2
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert list((tmp_path / "objects" / "journal").iterdir()) == []
