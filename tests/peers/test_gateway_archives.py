"""A whole gateway beside an archive: what a sender left out is fetched, and the newest prior beside a new study."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, TwelveLeadECGWaveformStorage
from pynetdicom import AE, evt

from adapters.database.tables import instances, priors, studies
from adapters.dicom.transport.scu import send_files
from gateway.study import Patient
from tests.peers.archives import dcmqrscp
from tests.peers.dcmtk import free_port
from tests.peers.gateway_process import ROUTES, GatewayProcess, await_that, gateway
from tests.peers.hospital import ecg, storescu, study_of, written
from tests.peers.orthanc import AE_TITLE, Orthanc, orthanc

pytestmark = [pytest.mark.peer, pytest.mark.slow]
JANE = Patient("JANE", "HOSP", "Roe^Jane", "19600101", "F")


def beside(pacs: Orthanc, how: str) -> dict[str, Any]:
    return {"name": "pacs", "host": "127.0.0.1", "port": pacs.port, "ae_title": AE_TITLE, "retrieve": how,
            "timeout_seconds": 10}


def dated(content: bytes, folder: Path, date: str) -> Path:
    """The object as a study of that day."""
    (path,) = written(folder / date, [content])
    dataset = dcmread(path)
    dataset.StudyDate, dataset.StudyTime = date, "101010"
    dcmwrite(path, dataset)
    return path


def by_study(running: GatewayProcess) -> dict[str, int]:
    """Study Instance UID → how many of its objects are here."""
    names = {row.id: row.study_instance_uid for row in running.rows(studies)}
    found = dict.fromkeys(names.values(), 0)
    for row in running.rows(instances):
        found[names[row.study_id]] += 1
    return found


@pytest.mark.parametrize("how", ["get", "move"])
def test_what_is_missing_and_the_newest_prior_are_fetched(how: str, tmp_path: Path) -> None:
    port = free_port()
    today = [ecg(f"now{number}", patient=JANE, study="1.2.3", seed=number) for number in range(3)]
    files = written(tmp_path / "today", today)
    older = [dated(ecg(f"then{year}", patient=JANE, seed=year), tmp_path / "older", f"20{year}0101")
             for year in (10, 21, 20)]
    other = dated(ecg("other", seed=9), tmp_path / "other", "20240101")
    prior = study_of(older[1].read_bytes())
    with orthanc(tmp_path / "pacs", knows=port) as pacs:
        assert not send_files("127.0.0.1", pacs.port, "TRIAGE", AE_TITLE, [*files, *older, other]).failures
        with gateway(tmp_path / "gateway", dicom={"port": port}, archives=[beside(pacs, how)],
                     assembly={"quiet_seconds": 30, "settle_seconds": 1, "count_from": "pacs"},
                     routes=[{**ROUTES[0], "prior": "newest"}],
                     destinations=[{"name": "folder", "type": "folder", "path": str(tmp_path / "out")}]) as running:
            storescu(port, files[0])
            (case,) = running.await_delivered(1)
            assert case["completeness"] == "complete"
            assert by_study(running) == {"1.2.3": 3, prior: 1}
            (row,) = running.rows(priors)
            assert (row.state, row.prior_study_instance_uid, row.objects) == ("fetched", prior, 1)
            told = running.get(f"/api/cases/{case['case_id']}")["prior"]
            assert (told["state"], told["study_instance_uid"]) == ("fetched", prior)
            # Sent by somebody, the prior is a study like any other, although each of its objects is here.
            storescu(port, older[1])
            running.await_delivered(2)
            assert "Jane" not in json.dumps(running.tail(200_000))


@contextmanager
def somebody_else() -> Iterator[tuple[int, list[str]]]:
    """(port, what came) of a receiver that takes ECGs and is not the gateway."""
    came: list[str] = []

    def take(event: Any) -> int:
        came.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    entity = AE(ae_title="TRIAGE")
    entity.add_supported_context(TwelveLeadECGWaveformStorage, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    try:
        yield int(server.socket.getsockname()[1]), came
    finally:
        server.shutdown()


def test_what_the_archive_sends_to_somebody_else_has_not_come(tmp_path: Path) -> None:
    words = "objects came: the archive says it sent them; see where its entry for our AE title points"
    port = free_port()
    today = written(tmp_path / "today", [ecg(f"now{number}", patient=JANE, study="1.2.3", seed=number)
                                         for number in range(2)])
    older = dated(ecg("then", patient=JANE), tmp_path / "older", "20210101")
    with somebody_else() as (elsewhere, came), dcmqrscp(tmp_path / "pacs", elsewhere) as pacs:
        assert not send_files("127.0.0.1", pacs, "TRIAGE", "QR", [*today, older]).failures
        archive = {"name": "pacs", "host": "127.0.0.1", "port": pacs, "ae_title": "QR", "retrieve": "move",
                   "timeout_seconds": 5}
        with gateway(tmp_path / "gateway", dicom={"port": port}, archives=[archive],
                     assembly={"quiet_seconds": 2, "settle_seconds": 1, "max_wait_seconds": 15, "count_from": "pacs"},
                     routes=[{**ROUTES[0], "prior": "newest", "prior_wait_seconds": 4}],
                     destinations=[{"name": "folder", "type": "folder", "path": str(tmp_path / "out")}]) as running:
            storescu(port, today[0])
            (case,) = running.await_delivered(1)
            assert case["completeness"] == "partial"
            prior = await_that(lambda: (told := running.get(f"/api/cases/{case['case_id']}")["prior"])["state"]
                               == "failed" and told, 30, "the prior is given up")
            assert (prior["objects"], prior["error"]) == (0, f"pacs: 0 of 1 {words}.")
            assert by_study(running) == {"1.2.3": 1}
            lines = [json.loads(line) for line in running.log.read_text(encoding="utf-8").splitlines()
                     if "missing_objects_did_not_come" in line]
            assert {line["error"] for line in lines} == {f"0 of 1 {words}."}
            assert len(came) >= 2


def test_an_archive_that_is_down_holds_up_no_reading(tmp_path: Path) -> None:
    port = free_port()
    down = {"name": "pacs", "host": "127.0.0.1", "port": free_port(), "ae_title": "PACS", "timeout_seconds": 2}
    with gateway(tmp_path, dicom={"port": port}, archives=[down],
                 assembly={"quiet_seconds": 1, "count_from": "pacs"},
                 routes=[{**ROUTES[0], "prior": "newest", "prior_wait_seconds": 4}],
                 destinations=[{"name": "folder", "type": "folder", "path": str(tmp_path / "out")}]) as running:
        storescu(port, *written(tmp_path / "files", [ecg("one")]))
        running.await_delivered(1)
        await_that(lambda: running.rows(priors)[0].state == "failed", 30, "the prior is given up")
        assert "cannot be reached" in running.rows(priors)[0].error
