"""Breath sounds through the whole gateway: by upload, as FHIR Media and over DICOM; others judge what comes out."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile
from fhir.resources.R4B.bundle import Bundle
from scipy.signal import resample_poly

from adapters.dicom.content.audio_write import write_sound
from adapters.dicom.transport import tools
from gateway.audio import AudioSource
from gateway.study import Patient
from pipelines.asthma.synthetic import breath
from tests.peers import hospital
from tests.peers.gateway_process import GatewayProcess, gateway
from tests.reading import DATA
from tests.sounds import wav

pytestmark = [pytest.mark.peer, pytest.mark.slow]
ROUTE = {"name": "breath sounds", "when": {"Modality": ["AU", "RESP"]}, "pipeline": "asthma"}
REAL = DATA / "kauh-lung-sounds/wav/D101.wav"


@pytest.fixture(scope="module")
def g(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("sounds")
    out = {"name": "out", "type": "folder", "path": str(folder / "out")}
    with gateway(folder / "gateway", routes=[ROUTE], destinations=[out]) as running:
        yield running


def upload(g: GatewayProcess, content: bytes, path: str = "/api/studies", name: str = "breath.wav") -> Any:
    answer = httpx.post(g.url + path, files={"file": (name, content)}, timeout=60, trust_env=False)
    answer.raise_for_status()
    return answer.json()


def media(g: GatewayProcess, content: bytes) -> Any:
    resource = {
        "resourceType": "Media", "status": "completed", "createdDateTime": "2026-03-14T10:15:00+03:00",
        "subject": {"identifier": {"system": "urn:oid:1.2.3.4", "value": "P-77"}},
        "content": {"contentType": "audio/flac", "data": base64.b64encode(content).decode()}}
    answer = httpx.post(f"{g.url}/fhir/Media", content=json.dumps(resource), timeout=60, trust_env=False,
                        headers={"Content-Type": "application/fhir+json"})
    answer.raise_for_status()
    return answer.json()


def over_dicom(g: GatewayProcess, folder: Path) -> None:
    """Two seconds: too short."""
    sound = breath("normal", 1)[None, :8000]
    source = AudioSource(("test", "short"), Patient("P-78", "", "Short^Sound"), sound, 4000.0,
                         datetime(2026, 3, 2, tzinfo=UTC), location="posterior left")
    hospital.storescu(g.dicom_port, *hospital.written(folder, [write_sound(source)]))


def test_sounds_come_in_by_every_door_and_go_out_valid(g: GatewayProcess, tmp_path: Path) -> None:
    upload(g, REAL.read_bytes() if REAL.is_file() else wav(breath("wheezes", 5)), name="D101.wav")
    media(g, wav(breath("wheezes", 6), form="FLAC"))
    over_dicom(g, tmp_path / "sent")
    items = {item["patient_id"]: item for item in g.await_delivered(3, 120)}
    assert {item["pipeline"] for item in items.values()} == {"asthma"}
    assert items["D101"]["verdict"] == items["P-77"]["verdict"] == "pathology"
    short = g.get(f"/api/cases/{items['P-78']['case_id']}")["result"]
    assert (short["verdict"], [problem["code"] for problem in short["problems"]]) == ("undetermined", ["too-short"])
    for item in items.values():
        valid(g, item, tmp_path)
        page = httpx.get(f"{g.url}/cases/{item['case_id']}", timeout=30, trust_env=False)
        assert page.status_code == 200
        assert "/picture" in page.text
        assert 'id="ecg"' not in page.text
        assert "<audio" in page.text
        heard = httpx.get(f"{g.url}/cases/{item['case_id']}/sound", timeout=30, trust_env=False)
        assert soundfile.info(io.BytesIO(heard.content)).samplerate == 4000


def valid(g: GatewayProcess, item: dict[str, Any], folder: Path) -> None:
    """SR, picture and DiagnosticReport by tools that nobody here wrote."""
    for kind in ("sr", "sc"):
        path = folder / f"{kind}.dcm"
        path.write_bytes(g.document(item["case_id"], kind))
        for judgement in (tools.dciodvfy(path), tools.dsrdump(path) if kind == "sr" else None):
            assert judgement is None or judgement.problems == ()
    bundle = json.loads(g.document(item["case_id"], "diagnostic_report"))
    Bundle.model_validate(bundle)
    report = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DiagnosticReport")
    assert "37931006" in {coding["code"] for coding in report["code"]["coding"]}


def test_one_file_is_read_and_nothing_kept(g: GatewayProcess) -> None:
    before = g.get("/api/worklist")["total"]
    told = upload(g, wav(resample_poly(breath("wheezes", 8), 4, 1), 16000), "/api/predict")
    assert {finding["label"] for finding in told["findings"]} == {"asthma", "abnormal", "wheeze", "crackles"}
    assert "WHEEZEBAND" in {measured["code"]["value"] for measured in told["measurements"]}
    assert g.get("/api/worklist")["total"] == before
