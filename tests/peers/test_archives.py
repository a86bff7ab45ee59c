"""Asking archives and fetching from them: Orthanc, DCMTK's dcmqrscp, and archives that behave badly."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, RLELossless
from pynetdicom import AE, build_context, evt

from adapters.dicom.content import query
from adapters.dicom.transport.retrieve import DicomArchive
from adapters.dicom.transport.scp import DicomServer
from adapters.dicom.transport.scu import send_files
from adapters.files.store import FileObjectStore
from gateway.errors import GatewayError, Permanent, Transient
from gateway.fetching import ArchivedInstance, Fetched
from gateway.settings import DicomSettings
from tests.dicom_intake import StoreIntake
from tests.dicom_objects import SERIES, STUDY, part10_bytes, slice_dataset
from tests.peers.archives import configured, dcmqrscp
from tests.peers.dcmtk import free_port
from tests.peers.orthanc import AE_TITLE, orthanc

pytestmark = pytest.mark.peer
OTHER_SERIES = f"{STUDY}.2"


@pytest.fixture
def intake(tmp_path: Path) -> StoreIntake:
    return StoreIntake(FileObjectStore(tmp_path / "objects", 0))


def objects(third: UID) -> list[bytes]:
    """Five slices in two series; the third in that transfer syntax."""
    made = [part10_bytes(slice_dataset(number)) for number in (1, 2)]
    made.append(part10_bytes(slice_dataset(3), third))
    for number in (4, 5):
        dataset = slice_dataset(number)
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = OTHER_SERIES, f"{OTHER_SERIES}.{number}"
        made.append(part10_bytes(dataset))
    return made


def fill(port: int, title: str, folder: Path, third: UID = ExplicitVRLittleEndian) -> None:
    folder.mkdir()
    paths = []
    for number, content in enumerate(objects(third)):
        paths.append(folder / f"{number}.dcm")
        paths[-1].write_bytes(content)
    assert not send_files("127.0.0.1", port, "TRIAGE", title, paths).failures


@contextlib.contextmanager
def archive_of(kind: str, folder: Path, own_port: int) -> Iterator[tuple[int, str]]:
    """(port, AE title) of a filled archive."""
    if kind == "orthanc":
        with orthanc(folder / "pacs", knows=own_port) as pacs:
            fill(pacs.port, AE_TITLE, folder / "files", RLELossless)
            yield pacs.port, AE_TITLE
    else:
        with dcmqrscp(folder / "pacs", own_port) as port:
            fill(port, "QR", folder / "files")
            yield port, "QR"


@pytest.mark.parametrize("how", ["get", "move"])
@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
def test_what_is_missing_is_counted_listed_and_fetched(kind: str, how: str, tmp_path: Path,
                                                       intake: StoreIntake) -> None:
    server = DicomServer(DicomSettings(port=0), intake)
    server.start()
    try:
        with archive_of(kind, tmp_path, server.port) as (port, title):
            archive = DicomArchive(configured(port, title, retrieve=how), intake, "TRIAGE")
            assert archive.count(STUDY) == 5
            assert archive.count("1.2.3") is None
            held = archive.instances(STUDY)
            assert {one.series_instance_uid for one in held} == {SERIES, OTHER_SERIES}
            assert archive.instances("1.2.3") == ()
            (study,) = archive.studies_of("P-1")
            assert (study.study_instance_uid, study.moment, study.modalities) == (STUDY, "20240102030405", ("CT",))
            wanted = [one for one in held if one.sop_instance_uid in (f"{SERIES}.2", f"{OTHER_SERIES}.4",
                                                                      f"{OTHER_SERIES}.5")]
            assert archive.fetch(STUDY, wanted, held) == Fetched(3, told=how == "move")
            assert {tags["SOPInstanceUID"] for _, _, tags in intake.taken} == {one.sop_instance_uid for one in wanted}
            assert archive.fetch(STUDY, held, held) == Fetched(5, told=how == "move")
            assert {(sender.protocol, sender.name) for sender, _, _ in intake.taken} == {("dicom", title)}
    finally:
        server.stop()


def test_objects_come_by_c_get_as_they_are_held(tmp_path: Path, intake: StoreIntake) -> None:
    with orthanc(tmp_path / "pacs", knows=free_port()) as pacs:
        fill(pacs.port, AE_TITLE, tmp_path / "files", RLELossless)
        archive = DicomArchive(configured(pacs.port), intake, "TRIAGE")
        held = archive.instances(STUDY)
        archive.fetch(STUDY, held, held)
    syntaxes = {tags["SOPInstanceUID"]: tags["TransferSyntaxUID"] for _, _, tags in intake.taken}
    assert syntaxes[f"{SERIES}.3"] == RLELossless
    assert syntaxes[f"{SERIES}.1"] == ExplicitVRLittleEndian


# ---------------------------------------------------------------- bad archives


class BadArchive:
    """A pynetdicom archive; each handler is a test's."""

    def __init__(self, find: Callable[[Any], Any] | None = None, get: Callable[[Any], Any] | None = None,
                 move: Callable[[Any], Any] | None = None) -> None:
        entity = AE(ae_title="BAD")
        entity.supported_contexts = [build_context(uid) for uid in (query.FIND, query.GET, query.MOVE)]
        entity.add_supported_context(CTImageStorage, [ExplicitVRLittleEndian], scu_role=True, scp_role=True)
        handlers = [(event, handler) for event, handler in (
            (evt.EVT_C_FIND, find), (evt.EVT_C_GET, get), (evt.EVT_C_MOVE, move)) if handler]
        self._server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = int(self._server.socket.getsockname()[1])

    def __enter__(self) -> BadArchive:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()


WANTED = [ArchivedInstance(SERIES, f"{SERIES}.{number}", str(CTImageStorage)) for number in (1, 2, 3)]


def bad(port: int, intake: StoreIntake, **more: Any) -> DicomArchive:
    return DicomArchive(configured(port, "BAD", **{"timeout_seconds": 1, "fetch_timeout_seconds": 2, **more}), intake,
                        "TRIAGE")


def whole(number: int, study: str = STUDY) -> Dataset:
    dataset = dcmread(BytesIO(part10_bytes(slice_dataset(number))))
    dataset.StudyInstanceUID = study
    return dataset


def test_sub_operations_that_fail_are_counted_and_what_came_is_kept(intake: StoreIntake) -> None:
    def get(_event: Any) -> Iterator[Any]:
        yield 3
        yield 0xFF00, whole(1)
        yield 0xFF00, whole(2, study="1.2.3.4")  # nobody asked for that one
        yield 0xFF00, whole(3)

    with BadArchive(get=get) as archive:
        fetched = bad(archive.port, intake).fetch(STUDY, WANTED, WANTED)
    assert (fetched.completed, fetched.failed >= 1) == (2, True)
    assert {tags["SOPInstanceUID"] for _, _, tags in intake.taken} == {f"{SERIES}.1", f"{SERIES}.3"}


def test_an_archive_that_aborts_in_the_middle_leaves_what_came(intake: StoreIntake) -> None:
    def get(event: Any) -> Iterator[Any]:
        yield 3
        yield 0xFF00, whole(1)
        event.assoc.abort()

    with BadArchive(get=get) as archive:
        fetched = bad(archive.port, intake).fetch(STUDY, WANTED, WANTED)
    assert fetched.completed == 1
    assert fetched.why


def test_an_archive_that_refuses_says_why(intake: StoreIntake) -> None:
    def refuse(_event: Any) -> Iterator[Any]:
        yield 1
        yield 0xA702, None

    with BadArchive(get=refuse, find=lambda event: iter([(0xA700, None)])) as archive:
        assert "0xA702" in bad(archive.port, intake).fetch(STUDY, WANTED, WANTED).why
        with pytest.raises(Transient, match="0xA700"):
            bad(archive.port, intake).count(STUDY)


def test_an_archive_that_hangs_is_left(intake: StoreIntake) -> None:
    go_on = threading.Event()

    def hang(_event: Any) -> Iterator[Any]:
        go_on.wait(20)
        yield 0

    with BadArchive(get=hang, find=hang, move=hang) as archive:
        for ask in (lambda one: one.count(STUDY), lambda one: one.instances(STUDY)):
            with pytest.raises(Transient):
                ask(bad(archive.port, intake))
        assert bad(archive.port, intake).fetch(STUDY, WANTED, WANTED).why
        assert bad(archive.port, intake, retrieve="move").fetch(STUDY, WANTED, WANTED).why
        go_on.set()


def test_an_archive_that_never_comes_to_an_end_is_left(intake: StoreIntake) -> None:
    over = threading.Event()

    def endless(event: Any) -> Iterator[Any]:
        answer = Dataset()
        answer.QueryRetrieveLevel, answer.StudyInstanceUID = "STUDY", "1.2.3"
        while not over.wait(0.01) and event.assoc.is_established:
            yield 0xFF00, answer

    with BadArchive(find=endless) as archive:
        asked = bad(archive.port, intake, timeout_seconds=0.5)
        with pytest.raises(Transient):
            asked.count(STUDY)
        over.set()


@pytest.mark.parametrize("answers", [
    [{"NumberOfStudyRelatedInstances": "5"}], [{"StudyInstanceUID": "1.2", "NumberOfStudyRelatedInstances": "5"}], []])
def test_a_count_of_another_study_is_no_count(intake: StoreIntake, answers: list[dict[str, str]]) -> None:
    def find(_event: Any) -> Iterator[Any]:
        for answer in answers:
            dataset = Dataset()
            dataset.QueryRetrieveLevel = "STUDY"
            for keyword, value in answer.items():
                setattr(dataset, keyword, value)
            yield 0xFF00, dataset

    with BadArchive(find=find) as archive:
        assert bad(archive.port, intake).count(STUDY) is None


def test_an_archive_that_does_not_count_is_counted_for(intake: StoreIntake) -> None:
    def find(event: Any) -> Iterator[Any]:
        asked = event.identifier
        answer = Dataset()
        answer.QueryRetrieveLevel, answer.StudyInstanceUID = asked.QueryRetrieveLevel, STUDY
        if asked.QueryRetrieveLevel == "STUDY":
            yield 0xFF00, answer
            return
        answer.SeriesInstanceUID = SERIES
        for number in (1, 2, 2) if asked.QueryRetrieveLevel == "IMAGE" else (0,):
            answer.SOPInstanceUID = f"{SERIES}.{number}"
            yield 0xFF00, answer

    with BadArchive(find=find) as archive:
        assert bad(archive.port, intake).count(STUDY) == 2


def test_nobody_there_rejections_and_noise_are_told(intake: StoreIntake) -> None:
    with pytest.raises(Transient, match="cannot be reached"):
        bad(free_port(), intake).count(STUDY)
    entity = AE(ae_title="OTHER")
    entity.require_called_aet = True
    entity.supported_contexts = [build_context(query.FIND)]
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        with pytest.raises(Permanent, match="rejects the association"):
            bad(server.socket.getsockname()[1], intake).count(STUDY)
    finally:
        server.shutdown()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def noise() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)

        thread = threading.Thread(target=noise)
        thread.start()
        with pytest.raises(GatewayError):
            bad(listener.getsockname()[1], intake).count(STUDY)
        thread.join(10)
