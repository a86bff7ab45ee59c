"""A series over one association: most of it is compared, not read, and becomes of it what becomes of every object."""

from __future__ import annotations

import array
import errno
import fcntl
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ImplicitVRLittleEndian, MRImageStorage

from adapters.dicom.content import part10, upper_layer
from adapters.dicom.content.tags import EXPLICIT_LITTLE_ENDIAN, read_tags, tag_streamer
from adapters.dicom.transport import express
from adapters.dicom.transport.association import Association, Peer
from adapters.dicom.transport.scp import DicomServer
from adapters.dicom.transport.scu import VERIFICATION
from adapters.files.durable import FileLayer
from adapters.files.store import FileObjectStore
from gateway.intake import Gate, ObjectIntake
from gateway.settings import DicomSettings
from gateway.study import Instance
from gateway.together import TakenTogether
from tests.alike import CLASS, request
from tests.dicom_objects import part10_bytes, slice_dataset
from tests.peers.gateway_process import await_that

pytestmark = [pytest.mark.peer, pytest.mark.skipif(
    express.compiled() is None, reason="there was no C compiler when the project was installed")]
SERIES = range(100, 160)


class Failing(FileLayer):
    """Fails so many syncs of files from now on."""

    failures = 0

    def sync_file(self, descriptor: int) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EIO, "broken")
        super().sync_file(descriptor)


class Index:
    """What it was told."""

    def __init__(self) -> None:
        self.found: list[tuple[Instance, bool]] = []
        self._told = threading.Condition()

    def add(self, instance: Instance, *, conflict: bool) -> None:
        with self._told:
            self.found.append((instance, conflict))
            self._told.notify_all()

    def await_told(self, number: int) -> list[tuple[Instance, bool]]:
        with self._told:
            assert self._told.wait_for(lambda: len(self.found) >= number, 20)
            return list(self.found)


class Receiver:
    """A store and a server; `taken`: UIDs of what was compared; `beside`: called before each of them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files, self.index, self.gate = Failing(), Index(), Gate()
        self.store = FileObjectStore(folder, 0, self.files)
        self.store.prepare(32)
        self.taken: list[str] = []
        self.beside: Callable[[], None] = lambda: None
        take = TakenTogether.take

        def noting(together: Any, sender: Any, header: Any, dataset: Any, study: str, uid: str) -> Any:
            self.beside()
            taken = take(together, sender, header, dataset, study, uid)
            if taken is not None:
                self.taken.append(uid)
            return taken

        monkeypatch.setattr(TakenTogether, "take", noting)
        intake = ObjectIntake(self.store, tag_streamer(), self.index, self.gate)
        self.server = DicomServer(DicomSettings(port=0), intake)
        self.server.start()

    def send(self, objects: Sequence[tuple[str, bytes]]) -> list[int]:
        peer = Peer("127.0.0.1", self.server.port, "TRIAGE", "CT", 10)
        with Association(peer, [(CLASS, EXPLICIT_LITTLE_ENDIAN)]) as association:
            return [association.store(CLASS, uid, EXPLICIT_LITTLE_ENDIAN, dataset).status for uid, dataset in objects]


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    made = Receiver(tmp_path / "objects", monkeypatch)
    yield made
    made.server.stop()
    made.store.close()


def slices(numbers: Sequence[int] = SERIES, **changes: object) -> list[tuple[str, bytes]]:
    found = []
    for number in numbers:
        sent = slice_dataset(number)
        for keyword, value in changes.items():
            setattr(sent, keyword, value)
        found.append((str(sent.SOPInstanceUID), part10.split(part10_bytes(sent))[1]))
    return found


def kept(found: Sequence[tuple[Instance, bool]]) -> dict[str, bytes]:
    return {instance.sop_instance_uid: part10.split(Path(instance.path).read_bytes())[1] for instance, _ in found}


def test_a_series_is_compared_kept_and_indexed(receiver: Receiver) -> None:
    sent = slices()
    assert set(receiver.send(sent)) == {0}
    found = receiver.index.await_told(len(sent))
    assert len(receiver.taken) >= len(sent) - 4
    assert kept(found) == dict(sent)
    for instance, conflict in found:
        header, dataset = part10.split(Path(instance.path).read_bytes())
        assert instance.tags == read_tags(header, [dataset])
        assert part10.parse(header) == part10.FileMeta(CLASS, instance.sop_instance_uid, EXPLICIT_LITTLE_ENDIAN, "CT")
        assert (instance.sender, conflict) == ("dicom:CT", False)


def test_the_same_again_is_there_once(receiver: Receiver, tmp_path: Path) -> None:
    sent = slices()
    for _ in range(2):
        assert set(receiver.send(sent)) == {0}
    found = receiver.index.await_told(2 * len(sent))
    assert {instance.path for instance, _ in found} == {str(path) for path in (tmp_path / "objects").rglob("*.dcm")}
    assert kept(found) == dict(sent)
    assert not any(conflict for _, conflict in found)


def test_twice_on_one_association_is_there_once(receiver: Receiver, tmp_path: Path) -> None:
    sent = [one for each in slices() for one in (each, each)]
    assert set(receiver.send(sent)) == {0}
    assert kept(receiver.index.await_told(len(sent))) == dict(sent)
    assert len(list((tmp_path / "objects").rglob("*.dcm"))) == len(SERIES)


def test_other_content_is_kept_beside(receiver: Receiver, tmp_path: Path) -> None:
    first, other = slices(), slices(PatientID="P-2")
    assert set(receiver.send(first)) == set(receiver.send(other)) == {0}
    found = receiver.index.await_told(2 * len(first))
    assert sum(conflict for _, conflict in found) == len(first)
    assert len(list((tmp_path / "objects").rglob("*.dcm"))) == 2 * len(first)


def test_two_that_send_the_same_at_once(receiver: Receiver, tmp_path: Path) -> None:
    sent, statuses = slices(), list[int]()
    threads = [threading.Thread(target=lambda: statuses.extend(receiver.send(sent))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [0] * len(sent) * len(threads)
    assert kept(receiver.index.await_told(len(sent) * len(threads))) == dict(sent)
    assert len(list((tmp_path / "objects").rglob("*.dcm"))) == len(sent)


def test_what_lies_otherwise_in_between(receiver: Receiver) -> None:
    sent = [one for number in SERIES for one in slices([number], **({"PatientID": "P" * number} if number % 7 == 0
                                                                      else {"InstanceNumber": number % 11}))]
    assert set(receiver.send(sent)) == {0}
    found = receiver.index.await_told(len(sent))
    assert kept(found) == dict(sent)
    assert 0 < len(receiver.taken) < len(sent)
    told = {instance.sop_instance_uid: instance.tags["PatientID"] for instance, _ in found}
    assert [told[uid] for uid, _ in sent] == ["P" * n if n % 7 == 0 else "P-1" for n in SERIES]


def test_an_instance_under_a_false_name_is_refused(receiver: Receiver) -> None:
    sent = slices()
    (uid, _), (_, dataset) = sent[40], sent[41]
    assert receiver.send([*sent[:30], (uid, dataset), *sent[30:40]]) == [0] * 30 + [0xA900] + [0] * 10
    assert kept(receiver.index.await_told(40)) == dict(sent[:40])


def test_data_sets_in_another_syntax_than_announced_are_kept_under_the_true_one(receiver: Receiver) -> None:
    sent = [(str(slice_dataset(n).SOPInstanceUID),
             part10.split(part10_bytes(slice_dataset(n), ImplicitVRLittleEndian))[1]) for n in SERIES]
    assert set(receiver.send(sent)) == {0}
    found = receiver.index.await_told(len(sent))
    assert kept(found) == dict(sent)
    assert {instance.transfer_syntax_uid for instance, _ in found} == {ImplicitVRLittleEndian}
    assert not receiver.taken


def test_another_study_is_read_anew(receiver: Receiver) -> None:
    first, other = slices(), slices(range(200, 260), StudyInstanceUID="1.2.826.0.1.3680043.8.498.2")
    assert set(receiver.send([*first, *other])) == {0}
    found = receiver.index.await_told(len(first) + len(other))
    assert kept(found) == dict([*first, *other])
    assert len({instance.study_instance_uid for instance, _ in found}) == 2
    assert len(receiver.taken) > len(first)


def test_a_gate_that_shuts_is_noticed(receiver: Receiver) -> None:
    sent = slices()
    with Association(Peer("127.0.0.1", receiver.server.port, "TRIAGE", "CT", 10),
                     [(CLASS, EXPLICIT_LITTLE_ENDIAN)]) as association:
        def status(one: tuple[str, bytes]) -> int:
            return association.store(CLASS, one[0], EXPLICIT_LITTLE_ENDIAN, one[1]).status

        assert {status(one) for one in sent[:30]} == {0}
        receiver.gate.shut("test", "the disk is full")
        receiver.index.await_told(30)  # the dispatcher has looked since
        assert status(sent[30]) == 0xA700
        receiver.gate.open("test")
        assert status(sent[31]) == 0


def test_a_sync_that_fails_loses_nothing_that_was_answered(receiver: Receiver) -> None:
    sent = slices()
    receiver.beside = lambda: setattr(receiver.files, "failures", 1 if len(receiver.taken) == 20 else 0)
    statuses = receiver.send(sent)
    answered = dict(one for one, status in zip(sent, statuses, strict=True) if status == 0)
    assert set(statuses) <= {0, 0xA700}
    assert len(answered) >= len(sent) - 1
    assert kept(receiver.index.await_told(len(answered))) == answered
    assert not any(conflict for _, conflict in receiver.index.found)


def test_what_is_under_way_when_the_server_stops_is_finished(receiver: Receiver) -> None:
    asked = [(str(other), ImplicitVRLittleEndian) for other in (MRImageStorage, VERIFICATION)]  # as they are numbered
    with Association(Peer("127.0.0.1", receiver.server.port, "TRIAGE", "CT", 10),
                     [*asked, (CLASS, EXPLICIT_LITTLE_ENDIAN)]) as association:
        for number in range(10, 20):
            association._send(request(number).encoded)
            assert told(association) == 0
        assert receiver.taken
        receiver.index.await_told(10)
        await_that(lambda: not receiver.server._busy, 20, "all have their files")
        last = request(20).encoded
        association._send(last[:-1000])
        while unread(receiver):
            pass
        stopping = threading.Thread(target=receiver.server.stop)
        stopping.start()
        await_that(lambda: receiver.server._busy, 20, "the object is under way")
        association._send(last[-1000:])
        assert told(association) == 0
        stopping.join(20)
    assert request(20).uid in kept(receiver.index.await_told(11))


def unread(receiver: Receiver) -> int:
    """Bytes that have come and were not read."""
    (descriptor,) = receiver.server._dispatcher._channels
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


def told(association: Association) -> int | str:
    """The status of the next response."""
    return upper_layer.decode_command(association._read()[1][6:])[upper_layer.STATUS]
