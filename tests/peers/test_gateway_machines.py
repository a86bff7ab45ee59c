"""A whole gateway as other systems see it: cases with their results over DICOMweb, the worklist over UPS and FHIR."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fhirclient.models.bundle import Bundle
from PIL import Image
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import UnifiedProcedureStepPull

from gateway.identity import case_of_workitem
from tests.peers import hospital
from tests.peers.gateway_process import GatewayProcess, gateway

pytestmark = [pytest.mark.peer, pytest.mark.slow]
api = pytest.importorskip("dicomweb_client.api", reason="dicomweb-client is not installed")


def test_a_case_and_the_worklist_as_others_see_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    contents = [hospital.ecg("A"), hospital.ecg("B", kind="afib")]
    with gateway(tmp_path / "gateway") as g:
        hospital.storescu(g.dicom_port, *hospital.written(tmp_path / "sent", contents))
        items = g.await_worklist(lambda found: [i["state"] for i in found] == ["reported"] * 2, "reports")
        see_the_study(g, items[0], next(c for c in contents if hospital.study_of(c) == items[0]["study_instance_uid"]))
        order = [item["case_id"] for item in items]
        assert [case_of_workitem(w.SOPInstanceUID) for w in over_dimse(g)] == order
        assert [case_of_workitem(w.SOPInstanceUID) for w in over_http(g)] == order
        tasks = httpx.get(f"{g.url}/fhir/Task?_sort=-priority", trust_env=False)
        told = Bundle(tasks.json(), strict=True)
        assert [entry.resource.id for entry in told.entry] == order
        report = told.entry[0].resource.reasonReference.reference
        assert httpx.get(f"{g.url}/fhir/{report}", trust_env=False).status_code == 200
        patient = httpx.get(f"{g.url}/fhir/DiagnosticReport/{order[0]}", trust_env=False).json()["subject"]["reference"]
        same = httpx.get(f"{g.url}/fhir/Task", params={"patient": patient}, trust_env=False).json()
        assert [e["resource"]["id"] for e in same["entry"]] == order[:1]
        known = httpx.get(f"{g.url}/fhir/{patient}", trust_env=False).json()["identifier"][0]
        assert same["entry"][0]["resource"]["for"]["identifier"]["system"] == known["system"]
    log = (tmp_path / "gateway" / "gateway.log").read_text()
    for name in (items[0]["patient_name"], items[0]["patient_id"]):
        assert name not in log


def see_the_study(g: GatewayProcess, item: dict[str, Any], sent: bytes) -> None:
    """What was sent, and beside it what was made of it."""
    study = item["study_instance_uid"]
    client = api.DICOMwebClient(f"{g.url}/dicom-web")
    (found,) = client.search_for_studies(search_filters={"PatientID": item["patient_id"]})
    assert sorted(Dataset.from_json(found).ModalitiesInStudy) == ["ECG", "OT", "SR"]
    held = {d.Modality: d for d in client.retrieve_study(study, media_types=(("application/dicom", "*"),))}
    assert held["SR"].SOPInstanceUID != held["OT"].SOPInstanceUID
    where = (study, held["OT"].SeriesInstanceUID, held["OT"].SOPInstanceUID)
    picture = np.asarray(Image.open(io.BytesIO(client.retrieve_instance_rendered(*where, media_types=("image/png",)))))
    np.testing.assert_array_equal(picture, held["OT"].pixel_array)
    (again,) = client.search_for_instances(study, search_filters={"Modality": "ECG"})
    uid = Dataset.from_json(again)
    raw = httpx.get(f"{g.url}/dicom-web/studies/{study}/series/{uid.SeriesInstanceUID}/instances/{uid.SOPInstanceUID}",
                    headers={"Accept": "application/dicom; transfer-syntax=*"}, trust_env=False).content
    assert raw[-1000:] == sent[-1000:]
    for document, kind in ((held["SR"], "sr"), (held["OT"], "sc")):
        kept = httpx.get(f"{g.url}/dicom-web/studies/{study}/series/{document.SeriesInstanceUID}/instances/"
                         f"{document.SOPInstanceUID}", headers={"Accept": "application/dicom"}, trust_env=False).content
        assert kept == g.document(item["case_id"], kind)


def over_dimse(g: GatewayProcess) -> list[Dataset]:
    entity = AE("VIEWER")
    entity.add_requested_context(UnifiedProcedureStepPull)
    association = entity.associate("127.0.0.1", g.dicom_port)
    query = Dataset()
    query.SOPInstanceUID, query.ProcedureStepState, query.ScheduledProcedureStepPriority = "", "SCHEDULED", ""
    try:
        return [told for _, told in association.send_c_find(query, UnifiedProcedureStepPull) if told]
    finally:
        association.release()


def over_http(g: GatewayProcess) -> list[Dataset]:
    answer = httpx.get(f"{g.url}/dicom-web/workitems", params={"ProcedureStepState": "SCHEDULED"}, trust_env=False)
    return [Dataset.from_json(told) for told in json.loads(answer.content)]
