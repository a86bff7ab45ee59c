"""Orthanc's DICOMweb plugin as the archive that stores over STOW-RS, asks over QIDO-RS and fetches over WADO-RS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from adapters.database.tables import instances
from adapters.dicom.content.part10 import split
from adapters.dicom.transport.scu import send_files
from tests.ct_series import series
from tests.peers.gateway_process import GatewayProcess, await_that, gateway
from tests.peers.orthanc import AE_TITLE, Orthanc, orthanc

pytestmark = [pytest.mark.peer, pytest.mark.slow]

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
COUNT = 6


@pytest.fixture
def running(tmp_path: Path) -> Iterator[GatewayProcess]:
    with gateway(tmp_path / "gateway", routes=[]) as started:
        yield started


@pytest.fixture
def archive(tmp_path: Path, running: GatewayProcess) -> Iterator[Orthanc]:
    if not PLUGIN.exists():
        pytest.skip("Orthanc's DICOMweb plugin is not installed")
    servers = {"TRIAGE": {"Url": f"{running.url}/dicom-web/", "HasDelete": False, "ChunkedTransfers": True}}
    with orthanc(tmp_path / "orthanc", Plugins=[str(PLUGIN)], DicomWeb={"Servers": servers}) as started:
        yield started



def ask(archive: Orthanc, path: str, body: dict[str, Any]) -> Any:
    answer = archive.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_orthanc_stores_here_it_finds_and_gets_back_byte_for_byte(
        archive: Orthanc, running: GatewayProcess, tmp_path: Path) -> None:
    slices = [Path(one.path) for one in series(tmp_path, COUNT, shape=(64, 48))]
    datasets = {split(path.read_bytes())[1] for path in slices}
    report = send_files("127.0.0.1", archive.port, "CT", AE_TITLE, slices)
    assert not report.failures, report.failures
    study, = archive.ask("/studies")
    ask(archive, "/dicom-web/servers/TRIAGE/stow", {"Resources": [study], "Synchronous": True})
    kept = await_that(lambda: len(rows := running.rows(instances)) == COUNT and rows, 20, "the index")
    assert {split(Path(one.path).read_bytes())[1] for one in kept} == datasets

    archive.client.delete(f"/studies/{study}").raise_for_status()
    uid = dcmread(slices[0], stop_before_pixels=True).StudyInstanceUID
    found = ask(archive, "/dicom-web/servers/TRIAGE/qido",
                {"Uri": "/studies", "Arguments": {"StudyInstanceUID": uid}})
    assert [one["0020000D"]["Value"] for one in found] == [uid]
    ask(archive, "/dicom-web/servers/TRIAGE/retrieve", {"Resources": [{"Study": uid}], "Synchronous": True})
    fetched = [archive.client.get(f"/instances/{one}/file").content for one in archive.ask("/instances")]
    assert len(fetched) == COUNT
    assert {split(content)[1] for content in fetched} == datasets
