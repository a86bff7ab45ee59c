"""Photographs of skin through the whole gateway, by every door; others judge what comes out."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from numpy.typing import NDArray
from PIL import Image

from adapters.dicom.content import sr_reader
from adapters.dicom.content.photo_write import write_photo
from adapters.dicom.transport import tools
from adapters.fhir.content import claims as fhir_claims
from adapters.files.photograph import read_photograph
from gateway.study import Patient
from pipelines.dermoscopy.synthetic import leaves, lesion
from tests.archives import zipped
from tests.peers import dcmtk, hospital
from tests.peers.gateway_process import GatewayProcess, await_that, gateway
from tests.reading import DATA

pytestmark = [pytest.mark.peer, pytest.mark.slow]
ROUTE = {"name": "photographs of skin", "when": {"Modality": ["DMS", "XC"]}, "pipeline": "dermoscopy"}
REAL = DATA / "isic-2017/images/ISIC_0000002.jpg"
"""A melanoma, under a bluish lamp."""
LABELS = {"histology_needed", "melanoma", "seborrheic_keratosis"}


@pytest.fixture(scope="module")
def g(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("photographs")
    out = {"name": "out", "type": "folder", "path": str(folder / "out")}
    with gateway(folder / "gateway", routes=[ROUTE], destinations=[out]) as running:
        yield running


def picture(pixels: NDArray[Any], kind: str = "JPEG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


def suspicious() -> bytes:
    return REAL.read_bytes() if REAL.is_file() else picture(lesion(2, ragged=0.25, second=True))


def upload(g: GatewayProcess, content: bytes, path: str, name: str) -> Any:
    answer = httpx.post(g.url + path, files={"file": (name, content)}, timeout=60, trust_env=False)
    answer.raise_for_status()
    return answer.json()


def over_dicom(g: GatewayProcess, folder: Path) -> None:
    """A Dermoscopic Photography object with a scale."""
    made = write_photo(read_photograph(picture(lesion(1, ragged=0.05))), "DMS", Patient("P-91", "HOSP", "Drawn^Mole"),
                       key=("test", "mole"), recorded_at=datetime(2026, 3, 2, tzinfo=UTC), spacing=(0.03, 0.03))
    (path,) = hospital.written(folder, [made])
    done = dcmtk.run("storescu", "-R", "-xy", "-aec", "TRIAGE", "127.0.0.1", str(g.dicom_port), path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_photographs_come_in_by_every_door_and_go_out_valid(g: GatewayProcess, tmp_path: Path) -> None:
    (tmp_path / "melanoma.jpg").write_bytes(suspicious())
    assert "Stored 1, refused 0." in g.cli("send", str(tmp_path / "melanoma.jpg")).stdout
    upload(g, picture(leaves()), "/api/studies", "leaves.jpg")
    over_dicom(g, tmp_path / "sent")
    items = {item["patient_id"]: item for item in g.await_delivered(3, 120)}
    assert {item["pipeline"] for item in items.values()} == {"dermoscopy"}
    assert items["melanoma"]["verdict"] == "pathology"
    result = g.get(f"/api/cases/{items['leaves']['case_id']}")["result"]
    assert (result["verdict"], [problem["code"] for problem in result["problems"]]) == ("undetermined", ["not-skin"])
    scaled = g.get(f"/api/cases/{items['P-91']['case_id']}")["result"]["measurements"]
    assert "mm" in {measured["unit"]["value"] for measured in scaled}
    for item in items.values():
        valid(g, item, tmp_path)
    shown(g, items["melanoma"]["case_id"])


def valid(g: GatewayProcess, item: dict[str, Any], folder: Path) -> None:
    """SR, picture and DiagnosticReport by tools that nobody here wrote; they tell the same."""
    for kind in ("sr", "sc"):
        path = folder / f"{kind}.dcm"
        path.write_bytes(g.document(item["case_id"], kind))
        for judgement in (tools.dciodvfy(path), tools.dsrdump(path) if kind == "sr" else None):
            assert judgement is None or judgement.problems == ()
    bundle = g.document(item["case_id"], "diagnostic_report")
    Bundle.model_validate(json.loads(bundle))
    told = [sr_reader.claims_of((folder / "sr.dcm").read_bytes()), fhir_claims.claims_of(bundle)]
    assert {claims.verdict for claims in told} == {item["verdict"]}
    looked_for = set() if item["verdict"] == "undetermined" else LABELS
    assert [set(claims.findings or ()) for claims in told] == [looked_for, looked_for]


def shown(g: GatewayProcess, case_id: str) -> None:
    """The page lays the lesion's outline over the photograph's own colours."""
    assert httpx.get(f"{g.url}/cases/{case_id}", timeout=30, trust_env=False).status_code == 200
    images = g.get(f"/cases/{case_id}/images")
    (stack,) = images["stacks"]
    assert (stack["colour"], stack["planes"]) == (True, [0])
    displays = {one["label"]: one["display"] for one in images["evidence"]["labels"]}
    assert displays["outline"] == "Outline of the lesion"


def test_one_picture_is_read_and_nothing_kept(g: GatewayProcess) -> None:
    before = g.get("/api/worklist")["total"]
    told = upload(g, picture(lesion(2, ragged=0.25, second=True), "PNG"), "/api/predict", "mole.png")
    assert {finding["label"] for finding in told["findings"]} == LABELS
    assert g.get("/api/worklist")["total"] == before


def test_the_pictures_of_a_zip_are_read_as_a_batch(g: GatewayProcess) -> None:
    pictures = {"1.png": picture(lesion(1, ragged=0.05), "PNG"), "2.jpg": picture(leaves())}
    batch = upload(g, zipped(**pictures), "/api/batch", "pictures.zip")["batch_id"]
    await_that(lambda: g.get(f"/api/batch/{batch}")["state"] == "done", 60, "the batch is done")
    told = {item["record"]: item for item in g.get(f"/api/batch/{batch}/results")["items"]}
    assert {record: (item["state"], item["pipeline"]) for record, item in told.items()} == dict.fromkeys(
        told, ("done", "dermoscopy"))
    assert len(told) == 2
    (outside,) = [item for item in told.values() if item["verdict"] == "undetermined"]
    assert [problem["code"] for problem in outside["problems"]] == ["not-skin"]
