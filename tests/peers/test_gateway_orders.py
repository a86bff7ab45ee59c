"""Orders and recordings that come over HL7 and FHIR into a whole gateway."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom import Dataset

from adapters.database.tables import runs
from adapters.hl7.content.framing import frame
from gateway.identity import document_uid
from gateway.study import Patient
from pipelines.ecg.leads import LEADS
from pipelines.ecg.synthetic import synthesise
from tests.fhir_fakes import component, ecg_observation, service_request
from tests.hl7_ris import Ris
from tests.hl7_samples import Client, fields, order, segments
from tests.peers import hospital
from tests.peers.gateway_process import GatewayProcess, gateway
from tests.peers.orthanc import destination, orthanc

pytestmark = [pytest.mark.peer, pytest.mark.slow]
WHO = Patient("1001", "HOSP", "Muster^Erika", "19611112", "F")


def told(g: GatewayProcess, message: bytes) -> None:
    with Client(g.mllp_port) as client:
        client.send(frame(message))
        assert segments(client.answers()[0])[1][1] == "AA"


def obr(accession: str, number: int = 1) -> str:
    return fields("OBR", {1: "1", 2: f"PL{number}^HIS", 3: f"FI{number}^RIS", 4: "11524-6^EKG^LN", 18: accession,
                          31: "^Palpitations?"})


def send(g: GatewayProcess, folder: Path, *contents: bytes) -> None:
    hospital.storescu(g.dicom_port, *hospital.written(folder, contents))


def posted(g: GatewayProcess, path: str, resource: dict[str, Any]) -> httpx.Response:
    return httpx.post(g.url + path, json=resource, headers={"Content-Type": "application/fhir+json"}, timeout=30,
                      trust_env=False)


def test_an_order_before_and_an_order_after_the_study(tmp_path: Path) -> None:
    with ExitStack() as around:
        pacs, ris = around.enter_context(hospital.Pacs()), around.enter_context(Ris())
        g = around.enter_context(gateway(tmp_path / "gateway", destinations=[
            hospital.pynetdicom(pacs), *hospital.destinations(ris.port)]))
        told(g, order("BEFORE", obr=obr("ACC-1")))
        before = hospital.ecg("before", patient=WHO, accession="ACC-1")
        after = hospital.ecg("after", patient=WHO, accession="ACC-2", kind="afib")
        send(g, tmp_path / "sent", before, after)
        first = {item["run_id"] for item in g.await_delivered(2)}
        ordered(g, hospital.study_of(before), "ACC-1", 1)
        assert g.case_of(hospital.study_of(after))["order"] is None
        told(g, order("AFTER", orc="NW|PL2^HIS|FI2^RIS||||^^^^^S", obr=obr("ACC-2", 2)))
        g.await_worklist(lambda items: all(item["priority"] == "stat" for item in items), "the order has come")
        g.await_worklist(lambda items: {item["run_id"] for item in items} != first, "a second reading")
        g.await_delivered(2)
        ordered(g, hospital.study_of(after), "ACC-2", 2)
        assert len(ris.received) == 3
        superseded(g, pacs, hospital.study_of(after))


def ordered(g: GatewayProcess, study: str, accession: str, readings: int) -> None:
    case = g.case_of(study)
    assert (case["order"]["accession_number"], case["priority"]) == (accession, "stat")
    assert len(case["runs"]) == readings
    assert "Palpitations?" in g.document(case["case_id"], "oru").decode()


def superseded(g: GatewayProcess, pacs: hospital.Pacs, study: str) -> None:
    """The newer report names the earlier one; the worklist shows the newer."""
    case = g.case_of(study)
    newest, earlier = sorted(case["runs"], key=lambda run: -run["number"])
    assert case["run_id"] == newest["run_id"]
    report: Dataset = pacs.received[document_uid(newest["run_id"], "sr")][0]
    named = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == document_uid(earlier["run_id"], "sr")
    assert named.ReferencedSOPInstanceUID in pacs.received


def test_stat_goes_before_what_waits(tmp_path: Path) -> None:
    """One worker, nine studies complete at once, the one ordered as STAT received last."""
    with gateway(tmp_path / "gateway", engine={"workers": 1}, destinations=[]) as g:
        told(g, order("STAT", obr=obr("ACC-9")))
        stat = hospital.ecg("stat", patient=WHO, accession="ACC-9")
        send(g, tmp_path / "sent", *(hospital.ecg(f"R{number}") for number in range(8)), stat)
        g.await_worklist(lambda items: [i["state"] for i in items] == ["reported"] * 9, "all are reported")
        found = sorted(g.rows(runs), key=lambda row: row.finished_at)
        (position,) = [n for n, row in enumerate(found) if row.priority == "stat"]
        assert position < 4, [row.priority for row in found]
        assert found[position].created_at == max(row.created_at for row in found)


def recording() -> dict[str, Any]:
    microvolts = np.rint(synthesise("afib", 11) * 1000).astype(int)
    return ecg_observation(component=[component(lead, row.tolist()) for lead, row in zip(LEADS, microvolts,
                                                                                          strict=True)])


def test_a_fhir_recording_reaches_the_pacs_before_its_report(tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc") as pacs, gateway(
            tmp_path / "gateway", destinations=[destination(pacs.port)]) as g:
        assert posted(g, "/fhir/ServiceRequest", service_request()).status_code == 201
        assert posted(g, "/fhir/Observation", recording()).status_code == 201
        (item,) = g.await_delivered(1)
        assert item["verdict"] == "pathology"
        assert posted(g, "/fhir/Observation", recording()).status_code == 200
        came = pacs.in_order()
        assert sorted(came) == ["ECG", "OT", "SR"]
        assert came[0] == "ECG"
        (source,) = pacs.of_modality("ECG")
        case = g.get(f"/api/cases/{item['case_id']}")
        assert case["result"]["evidence"] == [source]
        assert len(case["runs"]) == 1
        assert source.encode() in g.document(item["case_id"], "sr")
        found = httpx.get(f"{g.url}/fhir/DiagnosticReport", params={"patient.identifier": "P-1001"}, timeout=20,
                          trust_env=False).json()
        assert found["total"] == 1
