"""Destinations that are down, refuse for good, or hang: everything arrives in the end, nothing waits for others."""

from __future__ import annotations

import json
import socket
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.hl7_ris import Ris
from tests.peers import hospital
from tests.peers.dcmtk import free_port
from tests.peers.gateway_process import GatewayProcess, await_that, gateway
from tests.peers.orthanc import destination, orthanc

pytestmark = [pytest.mark.peer, pytest.mark.slow]
KINDS = {"PACS": {"sr", "sc"}, "RIS": {"oru"}, "EHR": {"diagnostic_report"}}


def ledger(g: GatewayProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = g.get("/api/deliveries", limit=1000)["items"]
    return found


def states(g: GatewayProcess) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in ledger(g):
        found.setdefault(line["destination"], set()).add(line["state"])
    return found


def test_destinations_that_are_down_get_everything_once_they_are_up(tmp_path: Path) -> None:
    pacs, ris, ehr = free_port(), free_port(), free_port()
    paths = hospital.written(tmp_path / "sent", [hospital.ecg("A"), hospital.ecg("B", kind="afib")])
    with gateway(tmp_path / "gateway", destinations=[destination(pacs), *hospital.destinations(ris, ehr)]) as g:
        hospital.storescu(g.dicom_port, *paths)
        await_that(lambda: len(ledger(g)) == 8 and all(line["attempts"] for line in ledger(g)), 40,
                   "every delivery was tried", lambda: ledger(g))
        assert {line["state"] for line in ledger(g)} == {"pending"}
        with ExitStack() as up:
            archive = up.enter_context(orthanc(tmp_path / "orthanc", port=pacs))
            received = up.enter_context(Ris(port=ris)).received
            documents = up.enter_context(hospital.ehr(ehr)).documents
            items = g.await_delivered(2)
            assert Counter(tags["Modality"] for tags in archive.held().values()) == {"SR": 2, "OT": 2}
            assert (len(received), len(documents)) == (2, 2)
        assert {item["verdict"] for item in items} == {"normal", "pathology"}


def test_refused_for_good_is_dead_listed_and_sent_on_retry(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    with ExitStack() as around:
        pacs = around.enter_context(hospital.Pacs(status=0x0122))
        ris = around.enter_context(Ris(code="AR"))
        ehr = around.enter_context(hospital.ehr())
        ehr.status = 422
        told = [destination(pacs.port), *hospital.destinations(ris.port, ehr.port),
                {"name": "ARCHIVE", "type": "folder", "path": str(folder)}]
        g = around.enter_context(gateway(tmp_path / "gateway", destinations=told))
        hospital.storescu(g.dicom_port, *hospital.written(tmp_path / "sent", [hospital.ecg("A")]))
        dead = {name: {"dead"} for name in KINDS}
        await_that(lambda: states(g) == dead | {"ARCHIVE": {"delivered"}}, 40, "three are dead, one has it",
                   lambda: ledger(g))
        listed(g)
        pacs.status, ris.code, ehr.status = 0x0000, "AA", 0
        g.cli("deliveries", "retry", "--destination", "PACS")
        await_that(lambda: states(g)["PACS"] == {"delivered"}, 20, "the PACS has it", lambda: ledger(g))
        assert (states(g)["RIS"], states(g)["EHR"]) == ({"dead"}, {"dead"})
        assert g.post("/api/deliveries/retry", {}) == {"retried": 2}
        await_that(lambda: set.union(*states(g).values()) == {"delivered"}, 20, "everybody has it", lambda: ledger(g))
        assert sorted(pacs.order) == ["OT", "SR"]
        assert (len(ris.received), len(ehr.documents)) == (1, 1)
        assert len(g.case_of(g.worklist()[0]["study_instance_uid"])["runs"]) == 1


def listed(g: GatewayProcess) -> None:
    """What `triage-gateway deliveries --state dead --json` says, and why each is dead."""
    lines = json.loads(g.cli("deliveries", "--state", "dead", "--json").stdout)["items"]
    assert {name: {line["kind"] for line in lines if line["destination"] == name} for name in KINDS} == KINDS
    why = {line["destination"]: line["last_error"] for line in lines}
    assert "0x0122" in why["PACS"]
    assert "AR" in why["RIS"]
    assert "422" in why["EHR"]


def test_a_destination_that_hangs_delays_no_other(tmp_path: Path) -> None:
    """The silent one accepts connections and says nothing; meanwhile everybody else is served, study after study."""
    with hospital.Pacs() as pacs, socket.create_server(("127.0.0.1", 0)) as silent:
        told = [{"name": "SILENT", "type": "dicom", "host": "127.0.0.1", "port": silent.getsockname()[1],
                 "ae_title": "SILENT"}, destination(pacs.port)]
        with gateway(tmp_path / "gateway", destinations=told, delivery={
                "first_retry_seconds": 0.1, "timeout_seconds": 60}) as g:
            for number in range(4):
                path = hospital.written(tmp_path / "sent", [hospital.ecg(f"S{number}")])
                hospital.storescu(g.dicom_port, *path)
            await_that(lambda: len(pacs.order) == 8, 50, "the other PACS has everything", lambda: ledger(g))
            await_that(lambda: states(g) == {"SILENT": {"pending"}, "PACS": {"delivered"}}, 10, "the ledger says so",
                       lambda: ledger(g))
