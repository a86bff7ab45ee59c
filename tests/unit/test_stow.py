"""STOW-RS: parts one by one onto the intake, and the standard's answers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import httpx
import pytest
from fastapi import FastAPI, Request
from pydicom.dataset import Dataset
from structlog.testing import capture_logs

from adapters.dicom.content import part10
from adapters.dicom.content.stow_response import Outcome
from adapters.dicom.transport import parts
from adapters.dicom.transport.stow import build_router
from adapters.dicom.transport.stow_part import StowPart
from adapters.files.store import FileObjectStore
from adapters.web.request_log import RequestLog
from adapters.web.server import HttpServer
from gateway.errors import StorageFull, Transient, Unreadable
from gateway.intake import SenderLeft
from gateway.ports import KEPT_BESIDE
from gateway.settings import HttpSettings
from gateway.study import Principal, Sender
from tests.dicom_intake import StoreIntake
from tests.dicom_objects import SERIES, STUDY, UNCOMPRESSED, part10_bytes, slice_dataset

KIND = 'multipart/related; type="application/dicom"; boundary=limit'
LONGEST = 20 * 1024 * 1024


@pytest.fixture
def intake(tmp_path: Path) -> StoreIntake:
    return StoreIntake(FileObjectStore(tmp_path / "objects", 0))


@pytest.fixture
def client(intake: StoreIntake) -> httpx.AsyncClient:
    def principal_of(request: Request) -> Principal:
        return Principal(request.headers.get("x-name", "anonymous"))

    app = FastAPI()
    app.include_router(build_router(intake, principal_of, LONGEST))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


def body(*contents: bytes, kind: str = "application/dicom") -> bytes:
    whole = b"".join(b"--limit\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" + content + b"\r\n"
                     for content in contents)
    return whole + b"--limit--\r\n"


async def post(client: httpx.AsyncClient, content: bytes, path: str = "studies", kind: str = KIND,
               accept: str = "*/*") -> httpx.Response:
    return await client.post(f"/dicom-web/{path}", content=content,
                             headers={"Content-Type": kind, "X-Name": "pacs", "Accept": accept})


def answer(response: httpx.Response) -> Dataset:
    assert response.headers["content-type"] == "application/dicom+json"
    return Dataset.from_json(response.text)


async def test_instances_are_stored_as_they_came(client: httpx.AsyncClient, intake: StoreIntake) -> None:
    contents = [part10_bytes(slice_dataset(number), syntax) for number, syntax in enumerate(UNCOMPRESSED, start=1)]
    response = await post(client, body(*contents))
    assert response.status_code == 200
    told = answer(response)
    assert [item.ReferencedSOPInstanceUID for item in told.ReferencedSOPSequence] == [
        f"{SERIES}.{number}" for number in range(1, 5)]
    assert "FailedSOPSequence" not in told
    assert [Path(stored.path).read_bytes() for _, stored, _ in intake.taken] == contents
    assert (intake.taken[0][0].protocol, intake.taken[0][0].name) == ("dicomweb", "pacs")


async def test_a_part_of_many_pieces_is_stored_as_it_came(client: httpx.AsyncClient, intake: StoreIntake) -> None:
    dataset = slice_dataset()
    dataset.add_new(0x00091010, "OB", os.urandom(5_000_000))
    dataset.add_new(0x00090010, "LO", "TEST")
    content = part10_bytes(dataset)
    assert (await post(client, body(content))).status_code == 200
    assert Path(intake.taken[0][1].path).read_bytes() == content


async def test_a_bad_part_harms_no_other(client: httpx.AsyncClient, intake: StoreIntake) -> None:
    bare = slice_dataset(2)
    del bare.StudyInstanceUID
    response = await post(client, body(part10_bytes(slice_dataset(1)), part10_bytes(bare),
                                       part10_bytes(slice_dataset(3))[:-50], b"no DICOM at all"))
    assert response.status_code == 202
    told = answer(response)
    assert [item.ReferencedSOPInstanceUID for item in told.ReferencedSOPSequence] == [f"{SERIES}.1"]
    assert [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in told.FailedSOPSequence] == [
        (f"{SERIES}.2", 0xA900), (f"{SERIES}.3", 0xC000)]
    (other,) = told[0x0008119A].value
    assert other.FailureReason == 0xC000
    for tag in ("00081198", "00081199"):
        for item in response.json()[tag]["Value"]:
            assert list(item) == sorted(item)
    assert "The data set has no StudyInstanceUID." in response.text
    assert len(intake.taken) == 1


@pytest.mark.parametrize("preamble", [b"<html><script>", b"%PDF-1.7", b"\x7fELF", "\ufeff<HTML>".encode("utf-16-le")])
async def test_what_is_something_else_as_well_is_refused(client: httpx.AsyncClient, intake: StoreIntake,
                                                         preamble: bytes) -> None:
    whole = part10_bytes(slice_dataset())
    told = await post(client, body(preamble.ljust(128, b"\0") + whole[128:]))
    assert told.status_code == 409
    assert "at once" in answer(told).FailedSOPSequence[0][0x00000902].value
    assert intake.taken == []
    tiff = b"II*\0".ljust(128, b"\0") + whole[128:]
    assert (await post(client, body(tiff))).status_code == 200


async def test_who_sends_other_content_under_a_uid_is_warned(client: httpx.AsyncClient) -> None:
    first, other = slice_dataset(), slice_dataset()
    other.PatientComments = "another"
    assert (await post(client, body(part10_bytes(first)))).status_code == 200
    warned = await post(client, body(part10_bytes(other)))
    (item,) = answer(warned).ReferencedSOPSequence
    assert (warned.status_code, item.WarningReason) == (202, 0xB00E)
    assert item[0x00000902].value == KEPT_BESIDE
    assert (await post(client, body(part10_bytes(first)))).status_code == 200


async def test_nothing_stored_is_a_conflict_and_a_full_disk_is_busy(client: httpx.AsyncClient,
                                                                    intake: StoreIntake) -> None:
    content = body(part10_bytes(slice_dataset()))
    assert (await post(client, body(b"x" * 200))).status_code == 409
    intake.failure = Transient("The storage does not work.")
    busy = await post(client, content)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "30")
    assert answer(busy).FailedSOPSequence[0].FailureReason == 0xA700
    intake.failure = ZeroDivisionError("Secret")
    failed = await post(client, content)
    assert failed.status_code == 409
    assert answer(failed).FailedSOPSequence[0].FailureReason == 0x0110
    assert "Secret" not in failed.text
    intake.failure, intake.refusal = None, StorageFull("The free-space floor is reached.")
    shut = await post(client, content)
    assert (shut.status_code, shut.json()["detail"]) == (503, "The free-space floor is reached.")
    intake.refusal = None
    assert (await post(client, content)).status_code == 200


async def test_the_study_of_the_url_counts(client: httpx.AsyncClient) -> None:
    content = body(part10_bytes(slice_dataset()))
    assert (await post(client, content, f"studies/{STUDY}")).status_code == 200
    wrong = await post(client, content, "studies/1.2.3")
    assert wrong.status_code == 409
    assert answer(wrong).FailedSOPSequence[0].FailureReason == 0xA900


async def test_what_was_stored_is_told_with_the_url_to_retrieve_it(client: httpx.AsyncClient) -> None:
    service = "http://gateway/dicom-web/studies"
    for path in ("studies", f"studies/{STUDY}"):
        told = answer(await post(client, body(part10_bytes(slice_dataset(1)), part10_bytes(slice_dataset(2))), path))
        assert told.RetrieveURL == f"{service}/{STUDY}"
        assert [item.RetrieveURL for item in told.ReferencedSOPSequence] == [
            f"{service}/{STUDY}/series/{SERIES}/instances/{SERIES}.{number}" for number in (1, 2)]


async def test_several_studies_have_no_url_together(client: httpx.AsyncClient) -> None:
    other = slice_dataset(2)
    other.StudyInstanceUID = "1.2.3"
    response = await post(client, body(part10_bytes(slice_dataset(1)), part10_bytes(other)))
    assert response.json()["00081190"] == {"vr": "UR"}
    assert [item.RetrieveURL.split("/")[5] for item in answer(response).ReferencedSOPSequence] == [STUDY, "1.2.3"]
    nothing = await post(client, body(b"x" * 200))
    assert nothing.json()["00081190"] == {"vr": "UR"}


@pytest.mark.parametrize("study", ["abc", "1.2x", "1" * 65])
async def test_a_url_without_a_uid_is_refused_at_once(client: httpx.AsyncClient, intake: StoreIntake,
                                                      study: str) -> None:
    refused = await post(client, body(part10_bytes(slice_dataset())), f"studies/{study}")
    assert (refused.status_code, intake.taken) == (400, [])
    assert refused.json()["detail"] == "A UID has 1 to 64 digits and dots."


@pytest.mark.parametrize("accept", [
    "text/html", "application/dicom+xml", 'multipart/related; type="application/dicom+json"',
    "application/dicom+json;q=0"])
async def test_who_cannot_read_the_answer_is_told_before_anything_is_stored(
        client: httpx.AsyncClient, intake: StoreIntake, accept: str) -> None:
    refused = await post(client, body(part10_bytes(slice_dataset())), accept=accept)
    assert (refused.status_code, intake.taken) == (406, [])
    assert "application/dicom+json" in refused.json()["detail"]


@pytest.mark.parametrize("accept", [
    "application/dicom+json", "application/json", "application/*", "", "text/html, */*;q=0.1"])
async def test_who_can_read_dicom_json_is_answered(client: httpx.AsyncClient, accept: str) -> None:
    assert answer(await post(client, body(part10_bytes(slice_dataset())), accept=accept)).ReferencedSOPSequence


@pytest.mark.parametrize(("kind", "content", "status", "said"), [
    ("application/json", b"{}", 415, "multipart/related"),
    ('multipart/related; type="application/dicom+json"; boundary=limit', body(b"x"), 415, "multipart/related"),
    ("", b"", 415, "multipart/related"),
    ('multipart/related; type="application/dicom"', body(b"x"), 400, "boundary"),
    (f"{KIND}{'x' * 300}", body(b"x"), 400, "boundary that Content-Type names is too long"),
    (KIND, b"", 400, "ends before its closing boundary"),
    (KIND, b"nonsense", 400, "no multipart message"),
    (KIND, body(part10_bytes(slice_dataset()))[:-20], 400, "ends before its closing boundary"),
    (KIND, b"--limit\r\nA: " + b"x" * 9000 + b"\r\n\r\nx\r\n--limit--\r\n", 400, "no multipart message"),
    (KIND, b"--limit\r\n" + b"A: b\r\n" * 9000 + b"\r\nx\r\n--limit--\r\n", 400, "no multipart message"),
    (KIND, bytes(LONGEST + 1), 413, "raise http.maximum_upload_bytes")])
async def test_what_is_no_store_request_is_refused_with_a_sentence(client: httpx.AsyncClient, kind: str, content: bytes,
                                                                   status: int, said: str) -> None:
    response = await post(client, content, kind=kind)
    assert response.status_code == status
    assert said in response.json()["detail"]


async def test_a_request_of_too_many_parts_is_refused(client: httpx.AsyncClient,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.dicom.transport.stow.MOST_PARTS", 2)
    response = await post(client, body(b"a", b"b", b"c"))
    assert response.status_code == 400
    assert "more than 2 parts" in response.json()["detail"]


async def test_a_body_of_unknown_length_is_stopped_where_it_is_too_long(client: httpx.AsyncClient) -> None:
    async def endless() -> Iterator[bytes]:  # type: ignore[misc]
        yield b"--limit\r\n\r\n"
        while True:
            yield bytes(1024 * 1024)

    response = await client.post("/dicom-web/studies", content=endless(), headers={"Content-Type": KIND})
    assert response.status_code == 413


async def test_other_parts_are_refused_by_their_type(client: httpx.AsyncClient) -> None:
    response = await post(client, body(b"{}", kind="application/dicom+json"))
    assert response.status_code == 409
    assert "Only parts of type application/dicom" in response.text


class Collected:
    def __init__(self, media_type: str) -> None:
        self.media_type, self.content, self.ended = media_type, b"", False

    def write(self, piece: memoryview) -> None:
        assert not self.ended
        self.content += piece

    def end(self) -> None:
        self.ended = True


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_parts_come_out_whole_however_the_body_is_cut(size: int) -> None:
    contents = [part10_bytes(slice_dataset(1)), part10_bytes(slice_dataset(2)) + b"\r\n--limi", b""]
    found: list[Collected] = []

    def opened(media_type: str) -> Collected:
        found.append(Collected(media_type))
        return found[-1]

    whole, reader = body(*contents), parts.PartReader(b"limit", opened)
    for begin in range(0, len(whole), size):
        reader.feed(whole[begin:begin + size])
    assert reader.finished
    assert [(part.media_type, part.content, part.ended) for part in found] == [
        ("application/dicom", content, True) for content in contents]


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
@pytest.mark.parametrize("preamble", [b"", b"\r\n", b"A note - --limit - for people.\r\n--limits\r\n--limi\r\n"])
@pytest.mark.parametrize("padding", [b"", b" \t "])
def test_a_preamble_and_padding_are_passed_over(size: int, preamble: bytes, padding: bytes) -> None:
    found: list[Collected] = []

    def opened(media_type: str) -> Collected:
        found.append(Collected(media_type))
        return found[-1]

    padded = body(b"one", b"two").replace(b"--limit", b"--limit" + padding, 2).removesuffix(b"\r\n")
    whole, reader = preamble + padded + padding + b"\r\nAn epilogue.\r\n", parts.PartReader(b"limit", opened)
    for begin in range(0, len(whole), size):
        reader.feed(whole[begin:begin + size])
    reader.require_whole()
    assert [(part.content, part.ended) for part in found] == [(b"one", True), (b"two", True)]


async def test_a_request_with_preamble_and_padding_is_stored(client: httpx.AsyncClient, intake: StoreIntake) -> None:
    content = body(part10_bytes(slice_dataset())).replace(b"--limit", b"--limit \t", 1)
    assert (await post(client, b"This is a message of several parts.\r\n" + content)).status_code == 200
    assert len(intake.taken) == 1


async def test_a_preamble_without_end_is_not_collected(client: httpx.AsyncClient, intake: StoreIntake) -> None:
    content = body(part10_bytes(slice_dataset()))
    assert (await post(client, bytes(parts.LONGEST_PREAMBLE - 20) + b"\r\n" + content)).status_code == 200
    refused = await post(client, bytes(parts.LONGEST_PREAMBLE) + b"\r\n" + content)
    assert (refused.status_code, len(intake.taken)) == (400, 1)
    assert "lack the boundary" in refused.json()["detail"]
    reader = parts.PartReader(b"limit", Collected)
    for _ in range(parts.LONGEST_PREAMBLE // 1024 - 1):
        reader.feed(bytes(1024))
    with pytest.raises(Unreadable):
        reader.feed(bytes(1024))


@pytest.mark.parametrize("size", [1, 131, 4096])
def test_a_part_is_stored_the_same_however_it_is_cut(intake: StoreIntake, size: int) -> None:
    content, outcomes = part10_bytes(slice_dataset()), list[Outcome]()
    part = StowPart(intake, Sender("dicomweb", "pacs"), "", "application/dicom", outcomes.append)
    for begin in range(0, len(content), size):
        part.write(memoryview(content)[begin:begin + size])
    part.end()
    assert [(o.sop_instance_uid, o.failure) for o in outcomes] == [(f"{SERIES}.1", 0)]
    assert Path(intake.taken[0][1].path).read_bytes() == content


def files_of(intake: StoreIntake, tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "objects").rglob("*")
            if path.is_file() and path.suffix not in {".seg", ".lock"}]


@pytest.mark.parametrize(("changed", "said"), [
    ("MediaStorageSOPInstanceUID", "SOPInstanceUID"), ("MediaStorageSOPClassUID", "SOPClassUID")])
async def test_file_meta_that_contradicts_its_data_set_is_refused(client: httpx.AsyncClient, intake: StoreIntake,
                                                                  tmp_path: Path, changed: str, said: str) -> None:
    header, dataset = part10.split(part10_bytes(slice_dataset()))
    meta = part10.parse(header)
    other = (part10.FileMeta(meta.sop_class_uid, "1.2.3.4", meta.transfer_syntax_uid) if said == "SOPInstanceUID"
             else part10.FileMeta("1.2.840.10008.5.1.4.1.1.4", meta.sop_instance_uid, meta.transfer_syntax_uid))
    response = await post(client, body(part10.build(other) + dataset, part10_bytes(slice_dataset(2))))
    assert response.status_code == 202
    (failed,) = answer(response).FailedSOPSequence
    assert (failed.FailureReason, failed.ReferencedSOPInstanceUID) == (0xA900, other.sop_instance_uid)
    assert f"{said} of the data set" in response.text
    assert len(files_of(intake, tmp_path)) == 1


@pytest.mark.parametrize("cut", [100, 140, 300, 700])
async def test_a_request_that_breaks_off_leaves_nothing_of_its_last_part(client: httpx.AsyncClient,
                                                                         intake: StoreIntake, tmp_path: Path,
                                                                         cut: int) -> None:
    whole = body(part10_bytes(slice_dataset(1)), part10_bytes(slice_dataset(2)))
    start = whole.index(b"--limit", 10) + 47
    response = await post(client, whole[:start + cut])
    assert response.status_code == 400
    assert [tags["SOPInstanceUID"] for _, _, tags in intake.taken] == [f"{SERIES}.1"]
    assert len(files_of(intake, tmp_path)) == 1


def test_a_sender_that_disconnects_is_no_failure_of_the_gateway(intake: StoreIntake) -> None:
    def principal_of(_: Request) -> Principal:
        return Principal("pacs")

    over, app = Event(), FastAPI()
    app.include_router(build_router(intake, principal_of, LONGEST))
    app.add_middleware(RequestLog, observe=lambda *_: over.set())
    server = HttpServer(app, HttpSettings(port=0))
    server.start()
    try:
        with capture_logs() as logs:
            break_off(server.port, body(part10_bytes(slice_dataset(1)), part10_bytes(slice_dataset(2))))
            assert over.wait(30)
    finally:
        server.stop()
    assert [entry for entry in logs if entry["event"].startswith("http_") and entry["log_level"] != "debug"] == [
        {"event": "http_asker_left", "log_level": "warning", "route": "/dicom-web/studies", "address": "127.0.0.1"}]
    assert f"{SERIES}.2" not in [tags["SOPInstanceUID"] for _, _, tags in intake.taken]


def break_off(port: int, content: bytes) -> None:
    """Send all but the end, and leave."""
    head = (f"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: {KIND}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sender:
        sender.sendall(head.encode() + content[:-300])


async def test_a_header_without_end_is_refused_and_not_collected(client: httpx.AsyncClient) -> None:
    endless = bytes(128) + b"DICM" + b"\2\0\1\0OB\0\0\xfe\xff\xff\xff" + bytes(3_000_000)
    response = await post(client, body(endless))
    assert response.status_code == 409
    assert "file meta information is too long" in response.text


async def test_the_end_of_a_request_is_told_with_the_studies_that_it_brought(intake: StoreIntake) -> None:
    def principal_of(_: Request) -> Principal:
        return Principal("pacs")

    left: list[SenderLeft] = []
    app = FastAPI()
    app.include_router(build_router(intake, principal_of, LONGEST, left.append))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")
    whole = body(part10_bytes(slice_dataset(1)), part10_bytes(slice_dataset(2)))
    assert (await post(client, whole)).status_code == 200
    assert (await post(client, whole[:-100])).status_code == 400
    assert (await post(client, b"--limit--\r\n")).status_code == 400
    assert [(one.sender.name, one.studies, one.released) for one in left] == [
        ("pacs", frozenset({STUDY}), True), ("pacs", frozenset({STUDY}), False)]
