"""STOW-RS: parts one by one onto the intake, and the standard's answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request
from pydicom.dataset import Dataset

from adapters.dicom.content import part10
from adapters.dicom.transport import parts
from adapters.dicom.transport.stow import build_router
from adapters.files.store import FileObjectStore
from gateway.errors import StorageFull, Transient
from gateway.study import Principal
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


async def post(client: httpx.AsyncClient, content: bytes, path: str = "studies", kind: str = KIND) -> httpx.Response:
    return await client.post(f"/dicom-web/{path}", content=content, headers={"Content-Type": kind, "X-Name": "pacs"})


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


async def test_a_part_that_is_larger_than_memory_allows_is_stored_too(client: httpx.AsyncClient,
                                                                      intake: StoreIntake) -> None:
    dataset = slice_dataset()
    dataset.add_new(0x00091010, "OB", os.urandom(parts.IN_MEMORY + 1024))
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
    assert "The data set has no StudyInstanceUID." in response.text
    assert len(intake.taken) == 1


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


@pytest.mark.parametrize(("kind", "content", "status", "said"), [
    ("application/json", b"{}", 415, "multipart/related"),
    ('multipart/related; type="application/dicom+json"; boundary=limit', body(b"x"), 415, "multipart/related"),
    ("", b"", 415, "multipart/related"),
    ('multipart/related; type="application/dicom"', body(b"x"), 400, "boundary"),
    (KIND, b"", 400, "ends before its closing boundary"),
    (KIND, b"nonsense", 400, "no multipart message"),
    (KIND, body(part10_bytes(slice_dataset()))[:-20], 400, "ends before its closing boundary"),
    (KIND, bytes(LONGEST + 1), 413, "longer than")])
async def test_what_is_no_store_request_is_refused_with_a_sentence(client: httpx.AsyncClient, kind: str, content: bytes,
                                                                   status: int, said: str) -> None:
    response = await post(client, content, kind=kind)
    assert response.status_code == status
    assert said in response.json()["detail"]


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


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_parts_come_out_whole_however_the_body_is_cut(size: int) -> None:
    contents = [part10_bytes(slice_dataset(1)), part10_bytes(slice_dataset(2)) + b"\r\n--limi", b""]
    whole, reader, found = body(*contents), parts.PartReader(b"limit"), []
    for begin in range(0, len(whole), size):
        for part in reader.feed(whole[begin:begin + size]):
            assert part.media_type == "application/dicom"
            found.append(part)
    assert reader.finished
    assert len(found) == 3
    for part, content in zip(found[:2], contents, strict=False):
        with part.opened() as (header, dataset):
            assert (header, b"".join(dataset)) == part10.split(content)
        part.close()
