"""Delivery and sending to Orthanc and DCMTK's receiver."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from adapters.dicom.content import upper_layer
from adapters.dicom.content.upper_layer import Malformed
from adapters.dicom.transport import contexts
from adapters.dicom.transport.scp import DicomServer
from adapters.dicom.transport.scu import NOT_SENT, DicomDestination, send_files
from adapters.files.store import FileObjectStore
from gateway.delivery import DeliveryState, Document, Kind
from gateway.errors import Permanent, Transient
from gateway.settings import DicomDestination as Configured
from gateway.settings import DicomSettings
from tests.dicom_intake import StoreIntake
from tests.dicom_objects import SERIES, part10_bytes, slice_dataset
from tests.peers.dcmtk import free_port, receiver, wait_for_port

pytestmark = pytest.mark.peer


def configured(port: int, **more: object) -> Configured:
    return Configured.model_validate({"name": "pacs", "type": "dicom", "host": "127.0.0.1", "port": port,
                                      "ae_title": "ORTHANC", **more})


def document(number: int = 1) -> Document:
    dataset = slice_dataset(number)
    return Document(Kind.SC, str(dataset.SOPInstanceUID), part10_bytes(dataset), str(dataset.SOPClassUID))


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[tuple[int, httpx.Client]]:
    """(DICOM port, REST client) of an Orthanc of this test's own."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if not program:
        pytest.skip("Orthanc is not installed")
    dicom, http = free_port(), free_port()
    configuration = tmp_path / "orthanc.json"
    configuration.write_text(json.dumps({
        "Name": "TEST", "StorageDirectory": str(tmp_path / "orthanc"), "IndexDirectory": str(tmp_path / "orthanc"),
        "DicomPort": dicom, "HttpPort": http, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC", "DicomCheckCalledAet": True, "Plugins": []}), encoding="utf-8")
    with subprocess.Popen([program, str(configuration)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_port(http)
            wait_for_port(dicom)
            with httpx.Client(base_url=f"http://127.0.0.1:{http}") as client:
                yield dicom, client
        finally:
            process.terminate()


def test_orthanc_holds_one_copy_of_what_was_delivered_twice(orthanc: tuple[int, httpx.Client]) -> None:
    port, rest = orthanc
    destination = DicomDestination(configured(port), 10)
    destination.probe()
    for _ in range(2):
        receipt = destination.deliver(document())
        assert receipt.state is DeliveryState.DELIVERED
        assert receipt.facts == {"status": "0x0000", "sop_instance_uid": f"{SERIES}.1"}
    (instance,) = rest.get("/instances").json()
    assert rest.get(f"/instances/{instance}/simplified-tags").json()["SOPInstanceUID"] == f"{SERIES}.1"


def test_orthanc_that_does_not_know_our_name_for_it_refuses_for_good(orthanc: tuple[int, httpx.Client]) -> None:
    destination = DicomDestination(configured(orthanc[0], ae_title="SOMEBODY"), 10)
    with pytest.raises(Permanent, match="called AE title not recognised"):
        destination.deliver(document())
    with pytest.raises(Transient):
        destination.probe()


def test_what_the_peer_has_no_context_for_is_refused_for_good(tmp_path: Path) -> None:
    dataset = slice_dataset()
    compressed = Document(Kind.SC, "1.2", part10_bytes(dataset, RLELossless), str(dataset.SOPClassUID))
    with receiver(tmp_path / "received") as port, pytest.raises(Permanent, match="does not accept SOP class"):
        DicomDestination(configured(port), 10).deliver(compressed)


@pytest.mark.parametrize(("status", "outcome"), [
    (0x0000, DeliveryState.DELIVERED), (0xB000, DeliveryState.DELIVERED), (0xB007, DeliveryState.DELIVERED),
    (0x0107, DeliveryState.DELIVERED), (0xA700, Transient), (0xA7FF, Transient), (0x0110, Transient),
    (0xA900, Permanent), (0xC000, Permanent), (0x0122, Permanent), (0xFE00, Permanent)])
def test_every_status_means_something(status: int, outcome: object) -> None:
    """A peer that answers with that status, whatever it is sent."""
    with answering(status) as port:
        destination = DicomDestination(configured(port), 10)
        if isinstance(outcome, DeliveryState):
            receipt = destination.deliver(document())
            assert receipt.state is outcome
            assert receipt.facts.get("warning", False) is (status != 0)
            assert receipt.facts["status"] == f"0x{status:04X}"
        else:
            with pytest.raises(outcome, match=f"0x{status:04X}"):  # type: ignore[call-overload]
                destination.deliver(document())


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x02\x00\xff\xff\xff\xff", b"",
                                   b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00", b"\x02\x00\x00\x00\x00\x08abcdefgh",
                                   upper_layer.pdu(2, bytes(68) + b"\x21\x00\xff\xff\x01"),
                                   b"\x03\x00\x00\x00\x00\x02\x00\x01"],
                         ids=["http", "endless", "closed", "abort", "short", "cut item", "cut rejection"])
def test_a_peer_that_speaks_no_dicom_is_tried_again_later(reply: bytes) -> None:
    with replying(reply) as port, pytest.raises(Transient):
        DicomDestination(configured(port), 5).deliver(document())


def test_files_of_more_than_128_contexts_are_sent_and_bad_ones_named(tmp_path: Path) -> None:
    intake = StoreIntake(FileObjectStore(tmp_path / "objects", 0))
    server = DicomServer(DicomSettings(port=0), intake)
    server.start()
    paths = []
    for number, sop_class in enumerate(contexts.storage_classes()[:140], start=1):
        dataset = slice_dataset(number)
        dataset.SOPClassUID = sop_class
        paths.append(tmp_path / f"{number:03}.dcm")
        paths[-1].write_bytes(part10_bytes(dataset, ExplicitVRLittleEndian))
    text = tmp_path / "readme.txt"
    text.write_text("no DICOM")
    seen: list[tuple[Path, int]] = []
    try:
        report = send_files("127.0.0.1", server.port, "ME", "TRIAGE", [*paths, text, tmp_path / "missing.dcm"],
                            lambda path, status: seen.append((path, status)))
    finally:
        server.stop()
    assert len(intake.taken) == 140
    assert {sent.path for sent in report.failures} == {text, tmp_path / "missing.dcm"}
    assert {sent.status for sent in report.failures} == {NOT_SENT}
    assert all(sent.error for sent in report.failures)
    assert seen == [(sent.path, sent.status) for sent in report.files]


def test_nobody_there_is_reported_for_every_file(tmp_path: Path) -> None:
    file = tmp_path / "a.dcm"
    file.write_bytes(part10_bytes(slice_dataset()))
    report = send_files("127.0.0.1", free_port(), "ME", "TRIAGE", [file, file])
    assert [sent.status for sent in report.files] == [NOT_SENT, NOT_SENT]
    assert "cannot be reached" in report.files[0].error


def test_the_kinds_are_those_that_dicom_can_carry() -> None:
    assert DicomDestination(configured(1)).kinds == {Kind.SOURCE, Kind.SR, Kind.SC, Kind.SEG}
    assert DicomDestination(configured(1, kinds=["sr", "json"])).kinds == {Kind.SR}


def test_command_sets_read_back() -> None:
    command = {upper_layer.AFFECTED_SOP_CLASS: "1.2.3", upper_layer.STATUS: 0xA700}
    read = upper_layer.decode_command(upper_layer.encode_command(command))
    assert {number: read[number] for number in command} == command
    with pytest.raises(Malformed):
        upper_layer.decode_command(upper_layer.encode_command(command)[:-1])


@contextlib.contextmanager
def served(conversation: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a peer that holds one conversation."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(ConnectionError):
                conversation(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def replying(reply: bytes) -> contextlib.AbstractContextManager[int]:
    def conversation(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(reply)

    return served(conversation)


def answering(status: int) -> contextlib.AbstractContextManager[int]:
    def conversation(connection: socket.socket) -> None:
        def body() -> tuple[int, bytes]:
            kind, length = upper_layer.pdu_head(connection.recv(6, socket.MSG_WAITALL))
            return kind, connection.recv(length, socket.MSG_WAITALL)

        body()
        syntax = str(ExplicitVRLittleEndian).encode()
        item = b"\x01\x00\x00\x00\x40\x00" + len(syntax).to_bytes(2, "big") + syntax
        connection.sendall(upper_layer.pdu(2, bytes(68) + b"\x21\x00" + len(item).to_bytes(2, "big") + item))
        body()
        while not body()[1][5] & 2:
            pass
        answer = {upper_layer.COMMAND_FIELD: upper_layer.C_STORE_RSP, upper_layer.RESPONDED_TO: 1,
                  upper_layer.DATA_SET_TYPE: upper_layer.NO_DATA_SET, upper_layer.STATUS: status}
        for fragment in upper_layer.command_pdus(1, upper_layer.encode_command(answer), 0):
            connection.sendall(fragment)
        if body()[0] == upper_layer.RELEASE_RQ:
            connection.sendall(upper_layer.pdu(upper_layer.RELEASE_RP, bytes(4)))

    return served(conversation)


def test_fragments_respect_the_peers_length() -> None:
    data = bytes(range(256)) * 10
    pdus = list(upper_layer.dataset_pdus(3, data, 100))
    assert max(map(len, pdus)) <= 106
    assert b"".join(part[12:] for part in pdus) == data
    assert [part[11] for part in pdus] == [0] * (len(pdus) - 1) + [2]
    (empty,) = upper_layer.dataset_pdus(3, b"", 100)
    assert empty[11] == 2
