"""The same object again, and the same SOP Instance UID with other content: over DIMSE and STOW-RS, over restarts."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from pydicom import dcmread

from adapters.database.connection import open_database
from adapters.database.tables import cases, instances, runs, studies
from adapters.dicom.content import part10
from adapters.dicom.transport.scu import send_files
from gateway.ports import KEPT_BESIDE
from tests.peers import hospital
from tests.peers.gateway_process import GatewayProcess, await_that, gateway
from tests.peers.receiving import Receiver, digest_of, receiver

pytestmark = [pytest.mark.peer, pytest.mark.slow]
STOW = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=limit'}


@pytest.fixture
def g(tmp_path: Path) -> Iterator[GatewayProcess]:
    with gateway(tmp_path / "gateway") as running:
        yield running


def stow(g: GatewayProcess, content: bytes) -> httpx.Response:
    body = b"--limit\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--limit--\r\n"
    answer = httpx.post(f"{g.url}/dicom-web/studies", content=body, headers=STOW, timeout=60, trust_env=False)
    assert answer.status_code in {200, 202}, answer.text
    return answer


def dimse(port: int, path: Path) -> None:
    assert not send_files("127.0.0.1", port, "CART", "TRIAGE", [path]).failures


def other_content(content: bytes) -> bytes:
    """The same object with one sample changed."""
    return content[:-2] + bytes((content[-2] ^ 1, content[-1]))


def files(g: GatewayProcess) -> list[Path]:
    return sorted((g.data / "instances").glob("[0-9a-f][0-9a-f]/*/*"))


def test_resends_do_nothing_and_other_content_is_a_conflict(g: GatewayProcess, tmp_path: Path) -> None:
    content = hospital.ecg("again", study="1.2.826.0.1.3680043.8.498.78.1")
    first, second = hospital.written(tmp_path / "sent", [content, other_content(content)])
    dimse(g.dicom_port, first)
    (item,) = g.await_worklist(lambda items: items and items[0]["state"] == "reported", "the report")
    assert not item["conflict"]

    def again() -> None:
        dimse(g.dicom_port, first)
        assert stow(g, content).status_code == 200

    again()
    (kept,) = files(g)
    before = kept.read_bytes()
    assert part10.split(before)[1] == part10.split(content)[1]
    assert [len(g.rows(table)) for table in (studies, instances, cases, runs)] == [1, 1, 1, 1]
    dimse(g.dicom_port, second)
    the_sender_is_told(g, second)
    await_that(lambda: g.worklist()[0]["conflict"], 20, "the conflict in the worklist")
    g.kill()
    g.start()
    again()
    dimse(g.dicom_port, second)
    assert kept.read_bytes() == before
    assert [len(g.rows(table)) for table in (studies, cases)] == [1, 1]
    (beside,) = set(files(g)) - {kept}
    assert digest_of(beside) == digest_of(second)
    assert beside.name.startswith(f"{kept.stem}.")
    assert [row.conflict for row in g.rows(instances)] == [False, True]
    assert [row.instance_count for row in g.rows(studies)] == [1]
    shown_as_conflict(g)


def test_an_object_of_another_study_under_the_same_uid_is_a_conflict_of_both(g: GatewayProcess, tmp_path: Path) -> None:
    content = hospital.ecg("shared", study="1.2.826.0.1.3680043.8.498.78.2")
    elsewhere = dcmread(BytesIO(content))
    elsewhere.StudyInstanceUID, elsewhere.PatientID = "1.2.826.0.1.3680043.8.498.78.3", "ANOTHER"
    other = BytesIO()
    elsewhere.save_as(other)
    first, second = hospital.written(tmp_path / "sent", [content, other.getvalue()])
    dimse(g.dicom_port, first)
    g.await_worklist(lambda items: items and items[0]["state"] == "reported", "the report")
    dimse(g.dicom_port, first)
    assert not g.worklist()[0]["conflict"]
    dimse(g.dicom_port, second)
    g.await_worklist(lambda items: [item["conflict"] for item in items] == [True, True], "the conflict of both")
    assert [row.instance_count for row in g.rows(studies)] == [1, 1]
    for item in g.worklist():
        assert "object-conflict" in [one["code"] for one in g.get(f"/api/cases/{item['case_id']}")["problems"]]


def test_a_damaged_file_is_mended_by_the_same_object_sent_again(g: GatewayProcess, tmp_path: Path) -> None:
    content = hospital.ecg("damaged", study="1.2.826.0.1.3680043.8.498.78.4")
    (sent,) = hospital.written(tmp_path / "sent", [content])
    dimse(g.dicom_port, sent)
    g.await_worklist(lambda items: items and items[0]["state"] == "reported", "the report")
    (kept,) = files(g)
    whole = kept.read_bytes()
    kept.write_bytes(other_content(whole))
    dimse(g.dicom_port, sent)
    await_that(lambda: kept.read_bytes() == whole, 20, "the file as it was")
    await_that(lambda: files(g) == [kept], 20, "nothing beside it")
    assert [row.conflict for row in g.rows(instances)] == [False]
    assert [item["conflict"] for item in g.worklist()] == [False]
    assert len(g.rows(runs)) == 1


def the_sender_is_told(g: GatewayProcess, path: Path) -> None:
    """By every door; the object is kept and its status is a success."""
    told = stow(g, path.read_bytes())
    (item,) = told.json()["00081199"]["Value"]
    assert (told.status_code, item["00081196"]["Value"]) == (202, [0xB00E])
    assert item["00000902"]["Value"] == [KEPT_BESIDE]
    (sent,) = send_files("127.0.0.1", g.dicom_port, "CART", "TRIAGE", [path]).files
    assert (sent.status, sent.error) == (0, KEPT_BESIDE)
    upload = httpx.post(f"{g.url}/api/studies", files={"file": ("second.dcm", path.read_bytes())}, trust_env=False)
    assert (upload.status_code, upload.json()["duplicate"]) == (200, 1)
    assert upload.json()["conflicts"] == [{"name": "second.dcm", "reason": KEPT_BESIDE}]


def shown_as_conflict(g: GatewayProcess) -> None:
    (item,) = g.worklist()
    case = g.get(f"/api/cases/{item['case_id']}")
    assert item["conflict"]
    assert case["conflict"]
    assert "object-conflict" in [problem["code"] for problem in case["problems"]]
    page = httpx.get(f"{g.url}/cases/{item['case_id']}", timeout=30, trust_env=False).text
    assert "Contradictory" in page
    assert "same UID with other content" in page


def test_a_conflict_is_told_from_the_files_alone(tmp_path: Path) -> None:
    content = hospital.ecg("again")
    sent = hospital.written(tmp_path / "sent", [content, other_content(content)])
    with receiver(tmp_path / "data") as running:
        for path in sent:
            dimse(running.port, path)
        running.kill()
        without_database(running)
        running.start()
        engine_rows = running.all_rows()
        assert sorted((digest, conflict) for _, digest, conflict in engine_rows) == sorted(
            [(digest_of(sent[0]), False), (digest_of(sent[1]), True)])
        dimse(running.port, sent[0])
        assert len(running.all_rows()) == 2


def test_a_resend_heals_an_index_that_misses_the_object(tmp_path: Path) -> None:
    """As after the death of a process that had stored it and could not tell."""
    content = hospital.ecg("again")
    sent = hospital.written(tmp_path / "sent", [content, other_content(content)])
    with receiver(tmp_path / "data") as running:
        for path in sent:
            dimse(running.port, path)
        known = await_that(lambda: len(rows := running.all_rows()) == 2 and rows, 20, "the index knows both")
        engine = open_database(running.url)
        with engine.begin() as connection:
            connection.execute(sa.delete(instances))
        engine.dispose()
        for path in sent:
            dimse(running.port, path)
        await_that(lambda: running.all_rows() == known, 20, "the index knows both again", running.all_rows)


def without_database(running: Receiver) -> None:
    for path in running.folder.glob("gateway.sqlite*"):
        path.unlink()
