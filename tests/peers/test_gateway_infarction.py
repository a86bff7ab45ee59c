"""An infarction through the whole gateway, read by two readers with a case each; others judge what goes out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fhir.resources.R4B.bundle import Bundle
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from pydicom import dcmread

from adapters.dicom.transport import tools
from adapters.hl7.content import oru_claims
from tests.peers import hospital
from tests.peers.gateway_process import GatewayProcess, await_that, gateway

pytestmark = [pytest.mark.peer, pytest.mark.slow]
ECG = {"Modality": "ECG"}
ROUTES = [{"name": "resting ECG", "when": ECG, "pipeline": "ecg_12lead"},
          {"name": "resting ECG, infarction", "when": ECG, "pipeline": "ecg_mi"}]


def cases(g: GatewayProcess) -> dict[str, dict[str, Any]]:
    """By reader: what the study's item on the worklist leads to."""
    found = [g.get(f"/api/cases/{case_id}") for item in g.worklist() for case_id in item["cases"]]
    told = {case["pipeline"]: case for case in found}
    return told if all(case["state"] == "reported" for case in told.values()) else {}


def test_two_readers_of_one_recording_and_the_site_in_every_document(tmp_path: Path) -> None:
    content = hospital.ecg("infarct", kind="inferior", seed=1)
    out = {"name": "out", "type": "folder", "path": str(tmp_path / "out")}
    with gateway(tmp_path / "gateway", routes=ROUTES, destinations=[out]) as g:
        hospital.storescu(g.dicom_port, *hospital.written(tmp_path / "sent", [content]))
        found = await_that(lambda: (c := cases(g)) and len(c) == 2 and c, 90, "both readers have reported")
        case = found["ecg_mi"]
        assert (case["verdict"], g.worklist()[0]["verdict"]) == ("pathology", "pathology")
        told_everywhere(g, case, tmp_path)
        named = predicted(g, content, "ecg_mi")
        assert named["risk"] == pytest.approx(case["risk"], abs=1e-6)
        assert predicted(g, content, "")["pipeline"] == "ecg_12lead"
        refused = asked(g, content, "chest_ct")
        assert (refused.status_code, "no rule sends studies to chest_ct" in refused.text) == (422, True)


def asked(g: GatewayProcess, content: bytes, pipeline: str) -> httpx.Response:
    return httpx.post(f"{g.url}/api/predict", params={"pipeline": pipeline}, files={"file": ("a.dcm", content)},
                      timeout=60, trust_env=False)


def predicted(g: GatewayProcess, content: bytes, pipeline: str) -> dict[str, Any]:
    told: dict[str, Any] = asked(g, content, pipeline).raise_for_status().json()
    return told


def told_everywhere(g: GatewayProcess, case: dict[str, Any], folder: Path) -> None:
    """SR and picture by DICOM tools, ORU and FHIR by others' readers: the site and what is not trained in each."""
    paths = {kind: folder / f"{kind}.dcm" for kind in ("sr", "sc")}
    for kind, path in paths.items():
        path.write_bytes(g.document(case["case_id"], kind))
        for judgement in (tools.dciodvfy(path), tools.dsrdump(path) if kind == "sr" else None):
            assert judgement is None or judgement.problems == ()
    pixels = dcmread(io.BytesIO(paths["sc"].read_bytes())).pixel_array
    assert np.unique(pixels).size > 10
    report = paths["sr"].read_bytes().decode("utf-8", "ignore")
    oru = g.document(case["case_id"], "oru")
    assert parse_message(oru.decode().replace("\n", "\r"), validation_level=VALIDATION_LEVEL.TOLERANT).validate()
    fhir = g.document(case["case_id"], "diagnostic_report")
    Bundle.model_validate(json.loads(fhir))
    claims = oru_claims.claims(oru)
    assert claims.findings is not None
    assert {label for label, (_, present) in claims.findings.items() if present} >= {"MI", "inferior"}
    for text in (report, oru.decode(), fhir.decode()):
        assert "Inferior infarction, new or old" in text
        assert "73795002" in text
        assert "Septal infarction, new or old" in text
        assert "79009004" not in text
