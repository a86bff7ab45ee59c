"""Storage commitment with Orthanc: asked by it of what it forwards, and given by it for what we deliver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.dicom.transport.scu import send_files
from tests.dicom_objects import SERIES, STUDY, part10_bytes, slice_dataset
from tests.peers.dcmtk import free_port
from tests.peers.gateway_process import await_that, gateway
from tests.peers.orthanc import AE_TITLE, Orthanc, orthanc
from tests.peers.receiving_half import receiving_half

pytestmark = [pytest.mark.peer, pytest.mark.slow]


def filled(pacs: Orthanc, folder: Path, count: int) -> list[str]:
    """Orthanc's ids of CT slices that it now holds."""
    folder.mkdir()
    paths = []
    for number in range(1, count + 1):
        paths.append(folder / f"{number}.dcm")
        paths[-1].write_bytes(part10_bytes(slice_dataset(number)))
    assert not send_files("127.0.0.1", pacs.port, "CT1", AE_TITLE, paths).failures
    return [held["ID"] for held in pacs.held(STUDY).values()]


def outcome(pacs: Orthanc, transaction: str) -> dict[str, Any]:
    """Orthanc's report on a transaction, once it has one."""
    def told() -> dict[str, Any] | None:
        report: dict[str, Any] = pacs.ask(f"/storage-commitment/{transaction}")
        return report if report["Status"] != "Pending" else None

    found: dict[str, Any] = await_that(told, 30, "a report")
    return found


def test_what_orthanc_forwards_with_storage_commitment_is_committed_to(tmp_path: Path) -> None:
    port = free_port()
    with orthanc(tmp_path / "pacs", knows=port) as pacs, gateway(
            tmp_path / "gateway", dicom={"port": port, "peers": {AE_TITLE: {"host": "127.0.0.1", "port": pacs.port}}},
            assembly={"quiet_seconds": 60}) as running:
        ids = filled(pacs, tmp_path / "files", 12)
        answer = pacs.client.post("/modalities/TRIAGE/store", json={"Resources": ids, "StorageCommitment": True,
                                                                    "Synchronous": True})
        answer.raise_for_status()
        report = outcome(pacs, answer.json()["StorageCommitmentTransactionUID"])
        assert report["Status"] == "Success"
        assert len(report["Success"]) == 12
        (told,) = running.get("/api/commitments")["items"]
        assert (told["direction"], told["peer"], told["state"], told["objects"]) == ("in", AE_TITLE, "reported", 12)
        # The request is evidence: the study has not waited for a minute.
        running.await_worklist(lambda items: items and items[0]["state"] == "unsupported", "the hand-over", 20)


def test_orthanc_is_told_what_is_missing(tmp_path: Path) -> None:
    port = free_port()
    with orthanc(tmp_path / "pacs", knows=port) as pacs, receiving_half(
            tmp_path / "gateway", dicom={"port": port, "peers": {AE_TITLE: {"host": "127.0.0.1", "port": pacs.port}}}):
        ids = filled(pacs, tmp_path / "files", 3)
        pacs.client.post("/modalities/TRIAGE/store", json=ids[:2]).raise_for_status()
        answer = pacs.client.post("/modalities/TRIAGE/storage-commitment", json={"Resources": ids})
        answer.raise_for_status()
        report = outcome(pacs, answer.json()["ID"])
        assert report["Status"] == "Failure"
        assert len(report["Success"]) == 2
        (failure,) = report["Failures"]
        assert failure["Description"]
        assert failure["SOPInstanceUID"].startswith(SERIES)
