"""Objects that are no good, and senders that stop in the middle: the right status or an abort, a log line that says
why, and nothing half-written."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from structlog.testing import LogCapture

from adapters.dicom.content import part10
from adapters.dicom.content import upper_layer as ul
from adapters.dicom.transport.association import Association, Peer, Response
from adapters.dicom.transport.scp import DicomServer
from adapters.files.store import FileObjectStore
from gateway.ports import Outcome
from gateway.settings import DicomSettings
from tests.dicom_intake import StoreIntake
from tests.dicom_objects import SERIES, part10_bytes, slice_dataset

pytestmark = pytest.mark.peer
MR = "1.2.840.10008.5.1.4.1.1.4"
UID = f"{SERIES}.1"
EXPLICIT, IMPLICIT, BIG = ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian
ABORT = 7


@pytest.fixture(scope="module", autouse=True)
def log() -> Iterator[LogCapture]:
    """Nothing is written while pytest exchanges the streams: the receiver's threads outlive a test."""
    capture = LogCapture()
    structlog.configure(processors=[capture])
    yield capture
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad") / "objects"


@pytest.fixture(scope="module")
def running(objects: Path) -> Iterator[tuple[DicomServer, StoreIntake]]:
    intake = StoreIntake(FileObjectStore(objects, 0))
    started = DicomServer(DicomSettings(port=0, dimse_timeout=1, acse_timeout=5), intake)
    started.start()
    yield started, intake
    started.stop()


@pytest.fixture
def server(running: tuple[DicomServer, StoreIntake]) -> DicomServer:
    return running[0]


@pytest.fixture
def intake(running: tuple[DicomServer, StoreIntake]) -> StoreIntake:
    """What the test itself brings in."""
    running[1].taken.clear()
    return running[1]


@pytest.fixture
def nothing_more(server: DicomServer, intake: StoreIntake, objects: Path) -> Iterator[None]:
    """Nothing of the test's objects stays, and the next good one is taken."""
    before = kept(objects)
    yield
    assert (intake.taken, kept(objects)) == ([], before)
    assert sent(server, encoded()).status == 0


def encoded(change: Callable[[Dataset], object] = lambda _: None, syntax: str = EXPLICIT) -> bytes:
    dataset = slice_dataset()
    part10_bytes(dataset)  # adds pixels
    change(dataset)
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = syntax != BIG, syntax == IMPLICIT
    write_dataset(file, dataset)
    return bytes(file.getvalue())


def sent(server: DicomServer, content: bytes, *, uid: str = UID, sop_class: str = CTImageStorage,
         syntax: str = EXPLICIT) -> Response:
    with Association(Peer("127.0.0.1", server.port, "TRIAGE", "CT", 10), [(sop_class, syntax)]) as association:
        return association.store(sop_class, uid, syntax, content)


def kept(objects: Path) -> list[Path]:
    return sorted(path for path in objects.rglob("*")
                  if path.is_file() and path.suffix not in {".seg", ".lock"})


def without(keyword: str) -> bytes:
    return encoded(lambda dataset: delattr(dataset, keyword))


def with_uid(keyword: str, uid: str) -> bytes:
    return encoded(lambda dataset: setattr(dataset, keyword, uid))


def element(group: int, number: int, vr: bytes, length: int, value: bytes = b"") -> bytes:
    """In explicit VR little endian, with any length told."""
    head = struct.pack("<HH2s", group, number, vr)
    if vr in (b"OB", b"OW", b"SQ", b"UN"):
        return head + struct.pack("<HI", 0, length) + value
    return head + struct.pack("<H", length) + value


def pixels_of(length: int, value: bytes) -> bytes:
    """The slice with another pixel data element."""
    return encoded()[:-512 - 12] + element(0x7FE0, 0x0010, b"OB", length, value)


ITEM, ITEM_END, SEQUENCE_END = (struct.pack("<HHI", 0xFFFE, number, 0) for number in (0xE000, 0xE00D, 0xE0DD))
OPEN_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
UNDEFINED = 0xFFFFFFFF
OPEN_SEQUENCE = element(0x0040, 0xA730, b"SQ", UNDEFINED) + OPEN_ITEM

REFUSED = {
    "no SOP class": (without("SOPClassUID"), 0xA900, "SOPClassUID"),
    "no SOP instance": (without("SOPInstanceUID"), 0xA900, "SOPInstanceUID"),
    "no study": (without("StudyInstanceUID"), 0xA900, "StudyInstanceUID"),
    "no series": (without("SeriesInstanceUID"), 0xA900, "SeriesInstanceUID"),
    "empty study": (with_uid("StudyInstanceUID", ""), 0xA900, "StudyInstanceUID"),
    "another SOP class": (with_uid("SOPClassUID", MR), 0xA900, "SOPClassUID"),
    "another SOP instance": (with_uid("SOPInstanceUID", "1.2.3"), 0xA900, "SOPInstanceUID"),
    "two study UIDs": (with_uid("StudyInstanceUID", "1.2\\1.3"), 0xA900, "StudyInstanceUID"),
    "letters in a UID": (with_uid("StudyInstanceUID", "1.2.x"), 0xA900, "StudyInstanceUID is no UID"),
    "dots for a UID": (with_uid("StudyInstanceUID", "..."), 0xA900, "StudyInstanceUID is no UID"),
    "a UID that begins with a dot": (with_uid("StudyInstanceUID", ".225949"), 0xA900, "StudyInstanceUID is no UID"),
    "two dots in a UID": (with_uid("SeriesInstanceUID", "1..2.3"), 0xA900, "SeriesInstanceUID is no UID"),
    "a path for a UID": (with_uid("SeriesInstanceUID", "../../etc/passwd"), 0xA900, "SeriesInstanceUID is no UID"),
    "nothing": (b"", 0xA900, "SOPClassUID"),
    "cut in a value": (encoded()[:-100], 0xC000, "cut short"),
    "cut in a head": (encoded()[:-512 - 8], 0xC000, "cut short"),
    "4 GB announced": (pixels_of(0xFFFFFFFE, bytes(1000)), 0xC000, "cut short"),
    "pixels never delimited": (pixels_of(UNDEFINED, ITEM + ITEM), 0xC000, "cut short"),
    "an item beyond the end": (pixels_of(UNDEFINED, struct.pack("<HHI", 0xFFFE, 0xE000, 10**6)), 0xC000, "cut short"),
    "no item in a sequence": (pixels_of(UNDEFINED, element(0x0008, 0x0005, b"CS", 2, b"  ")), 0xC000, "no"),
    "100 sequences deep": (encoded()[:-512 - 12] + OPEN_SEQUENCE * 100, 0xC000, "nested"),
    "noise": (bytes(range(256)) * 20, 0xC000, ""),
    "a whole file": (part10_bytes(slice_dataset()), 0xA900, "SOPClassUID"),
    "file meta before it": (part10.build(part10.FileMeta(MR, "1.2.3", BIG))[132:] + encoded(), 0xC000,
                            "file meta information"),
}


@pytest.mark.usefixtures("nothing_more")
@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_object_is_refused_with_its_reason(server: DicomServer, name: str, log: LogCapture) -> None:
    content, status, word = REFUSED[name]
    log.entries.clear()
    response = sent(server, content)
    assert response.status == status, response
    (line,) = [line for line in log.entries if line["event"] == "object_refused"]
    assert (line["status"], line["calling"]) == (f"0x{status:04X}", "CT")
    assert word in line["reason"]
    assert word in response.comment


@pytest.mark.usefixtures("nothing_more")
@pytest.mark.parametrize(("uid", "sop_class", "status"), [
    ("", CTImageStorage, 0x0117), ("1." * 40, CTImageStorage, 0x0117), ("1.2.x.4", CTImageStorage, 0x0117),
    ("1..2", CTImageStorage, 0x0117), ("../../etc", CTImageStorage, 0x0117), ("1.2.3", MR, 0xA900)])
def test_a_request_that_names_no_object_is_refused(server: DicomServer, uid: str, sop_class: str,
                                                   status: int) -> None:
    response = sent(server, encoded(), uid=uid, sop_class=sop_class)
    assert response.status == status
    assert "UID" in response.comment


@pytest.mark.usefixtures("nothing_more")
def test_a_class_other_than_that_of_its_context_is_not_supported(server: DicomServer) -> None:
    with Raw(server.port) as raw:
        raw.command({ul.AFFECTED_SOP_CLASS: MR})
        raw.dataset(encoded())
        assert raw.status() == 0x0122


@pytest.mark.parametrize("content", [
    element(0x0008, 0x0000, b"UL", 4, struct.pack("<I", 7)) + encoded(),
    encoded() + element(0xFFFC, 0xFFFC, b"OB", 10, bytes(10)), encoded() + bytes(100),
    pixels_of(UNDEFINED, ITEM + struct.pack("<HHI", 0xFFFE, 0xE000, 4) + b"abcd" + SEQUENCE_END),
    encoded()[:-512 - 12] + OPEN_SEQUENCE * 3 + (ITEM_END + SEQUENCE_END) * 3,
    encoded(lambda dataset: setattr(dataset, "ReferencedImageSequence", Sequence([Dataset()])))],
    ids=["group length lies", "trailing padding", "zeros behind", "encapsulated", "undefined lengths", "empty item"])
def test_what_is_only_odd_is_stored_byte_for_byte(server: DicomServer, intake: StoreIntake, content: bytes) -> None:
    assert sent(server, content).status == 0
    assert part10.split(Path(intake.taken[0][1].path).read_bytes())[1] == content


@pytest.mark.parametrize("size", [512, 200_000], ids=["small", "large"])
@pytest.mark.parametrize(("announced", "written"), [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT)])
def test_a_data_set_in_another_syntax_than_announced_is_kept_as_what_it_is(
        server: DicomServer, intake: StoreIntake, log: LogCapture, announced: str, written: str, size: int) -> None:
    content = encoded(lambda dataset: setattr(dataset, "PixelData", bytes(range(256)) * (size // 256)), written)
    log.entries.clear()
    assert sent(server, content, syntax=announced).status == 0
    stored = intake.taken[0][1]
    header, kept_bytes = part10.split(Path(stored.path).read_bytes())
    assert kept_bytes == content
    assert part10.parse(header).transfer_syntax_uid == written
    assert intake.taken[0][2]["TransferSyntaxUID"] == written
    (line,) = [line for line in log.entries if line["event"] == "data_set_in_other_transfer_syntax"]
    assert line["sender"] == "CT"
    assert sent(server, content, syntax=announced).status == 0
    assert intake.taken[1][1].outcome is Outcome.DUPLICATE


@pytest.mark.usefixtures("nothing_more")
@pytest.mark.parametrize("syntax", [IMPLICIT, BIG])
def test_a_cut_object_is_refused_in_every_encoding(server: DicomServer, syntax: str) -> None:
    assert sent(server, encoded(syntax=syntax)[:-1], syntax=syntax).status == 0xC000


# ---------------------------------------------------------------- senders that stop in the middle


class Raw:
    """An association whose bytes are the test's own."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), 20)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send(ul.associate_request("CT", "TRIAGE", [ul.Context(1, CTImageStorage, (EXPLICIT,))]))
        assert self.pdu()[0] == ul.ASSOCIATE_AC

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, content: bytes) -> None:
        self._connection.sendall(content)

    def command(self, changed: dict[int, int | str]) -> None:
        fields: dict[int, int | str] = {
            ul.AFFECTED_SOP_CLASS: CTImageStorage, ul.COMMAND_FIELD: ul.C_STORE_RQ, ul.MESSAGE_ID: 1, ul.PRIORITY: 0,
            ul.DATA_SET_TYPE: 0, ul.AFFECTED_SOP_INSTANCE: UID}
        for pdu in ul.command_pdus(1, ul.encode_command(fields | changed), 16384):
            self.send(pdu)

    def dataset(self, content: bytes) -> None:
        for pdu in ul.dataset_pdus(1, content, 16384):
            self.send(pdu)

    def pdu(self) -> tuple[int, bytes]:
        """(0, nothing) when the connection has ended."""
        head = self._read(6)
        return (head[0], self._read(int.from_bytes(head[2:6], "big"))) if head else (0, b"")

    def status(self) -> int:
        message = ul.Message()
        ul.receive(message, self.pdu()[1])
        return int(ul.decode_command(bytes(message.received))[ul.STATUS])

    def _read(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            piece = self._connection.recv(size - len(received))
            if not piece:
                break
            received += piece
        return received


PART_OF_IT = next(ul.dataset_pdus(1, encoded() * 300, 16384))


@pytest.mark.usefixtures("nothing_more")
@pytest.mark.parametrize("stop", [b"", PART_OF_IT, PART_OF_IT[:3], PART_OF_IT[:8], PART_OF_IT[:5000]],
                         ids=["after the command", "between fragments", "in a PDU's head", "in a value's head",
                              "in a value"])
def test_a_sender_that_goes_quiet_is_aborted_and_leaves_nothing(server: DicomServer, stop: bytes,
                                                                log: LogCapture) -> None:
    log.entries.clear()
    with Raw(server.port) as raw:
        raw.command({})
        raw.send(stop)
        assert raw.pdu()[0] == ABORT
    assert ("sender_went_quiet", "CT") in [(line["event"], line.get("calling")) for line in log.entries]


@pytest.mark.usefixtures("nothing_more")
def test_a_sender_that_sends_byte_by_byte_is_aborted(server: DicomServer) -> None:
    with Raw(server.port) as raw:
        raw.command({})
        raw._connection.settimeout(0.05)
        for at in range(2000):
            try:
                raw.send(PART_OF_IT[at:at + 1])
                assert raw.pdu()[0] == ABORT
            except TimeoutError:
                continue
            break
        else:
            pytest.fail("it was never aborted")


@pytest.mark.usefixtures("nothing_more")
@pytest.mark.parametrize("wrong", [
    ul.pdu(4, struct.pack(">IBB", 2, 1, 0)), ul.pdu(4, b"abc"), ul.pdu(4, struct.pack(">IBB", 1, 1, 3)),
    ul.pdu(4, struct.pack(">IBB", 10**6, 1, 0)), ul.pdu(4, struct.pack(">IBB", 2, 99, 3)), ul.pdu(9, b""),
    b"".join(ul.command_pdus(1, ul.encode_command({ul.COMMAND_FIELD: ul.C_STORE_RQ, ul.DATA_SET_TYPE: 0})[:-3], 0))],
    ids=["data before its command", "a cut value", "a value of length 1", "a value beyond its PDU",
         "a context nobody accepted", "an unknown PDU", "a cut command"])
def test_what_breaks_the_protocol_is_aborted_at_once(server: DicomServer, wrong: bytes, log: LogCapture) -> None:
    log.entries.clear()
    with Raw(server.port) as raw:
        raw.send(wrong)
        assert raw.pdu()[0] == ABORT
    assert ("protocol_violation", "CT") in [(line["event"], line.get("calling")) for line in log.entries]
