"""The API of a whole gateway: every kind of upload to its result, batches, deletion to the last file, hostile uploads,
and schemathesis over its description."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from adapters.dicom.content.ct_write import write_ct
from adapters.web.openapi import operations
from gateway.study import Patient
from pipelines.ecg.synthetic import synthesise
from tests.archives import zipped
from tests.peers.dcmtk import free_port
from tests.peers.gateway_process import GatewayProcess, await_that, gateway
from tests.unit.test_conversion import AT, aecg, nifti, npy
from tests.unit.test_wfdb_upload import record

pytestmark = pytest.mark.slow
SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
LARGEST = 64 * 1024 * 1024
ROUTES = [{"name": "resting ECG", "when": {"Modality": "ECG"}, "pipeline": "ecg_12lead"},
          {"name": "infarction, of one patient", "when": {"Modality": "ECG", "PatientID": "ecg"}, "pipeline": "ecg_mi"},
          {"name": "chest CT", "when": {"Modality": "CT"}, "pipeline": "chest_ct"}]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("api")
    with gateway(folder, routes=ROUTES, http={"port": free_port(), "maximum_upload_bytes": LARGEST},
                 destinations=[{"name": "out", "type": "folder", "path": str(folder / "out")}]) as process:
        yield process


@pytest.fixture
def client(running: GatewayProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, trust_env=False, timeout=120) as asker:
        yield asker


def ecg_signal(scale: float) -> Any:
    """One that the reader reads."""
    return synthesise("afib", 1) * scale


def chest() -> Any:
    """(i, j, k): a body in air."""
    voxels = np.full((64, 64, 20), -1000, np.int16)
    voxels[12:52, 16:48] = 40
    return voxels


def files_of(running: GatewayProcess) -> set[str]:
    """Everything on disk that may hold something of a study."""
    return {str(path.relative_to(running.data)) for path in running.data.rglob("*") if path.is_file()
            and not re.match(r"(gateway|engine)\.(sqlite|lock)", path.name)
            and not {"journal", "names"} & set(path.parts)}


def await_quiet(running: GatewayProcess) -> None:
    """Until nothing is being read or delivered."""
    await_that(lambda: all(i["state"] in {"reported", "unsupported", "failed"}
                           and all(d["state"] == "delivered" for d in i["deliveries"])
                           for i in running.worklist()), 60, "quiet")
    await_that(lambda: all(b["state"] in {"done", "failed"} for b in running.get("/api/batch")["items"]), 60, "batches")


def test_every_kind_of_upload_becomes_a_study_with_a_result(running: GatewayProcess, client: httpx.Client,
                                                            tmp_path: Path) -> None:
    wfdb = record(tmp_path)
    slices = write_ct(np.full((3, 32, 32), -500, np.int16), (2, 1, 1), Patient("CT1"), key=("api",),
                      accession_number="", recorded_at=datetime.fromtimestamp(
                          AT, UTC), description="")
    uploads: dict[str, list[tuple[str, bytes]]] = {
        "wfdb": list(wfdb.items()), "npy": [("P-npy.npy", npy(ecg_signal(1)))],
        "aecg": [("a.xml", aecg(ecg_signal(0.9)))], "nifti": [("P-ct.nii.gz", nifti(chest()))],
        "zip": [("ct.zip", zipped(**{f"{n}.dcm": one for n, one in enumerate_names(slices)}))]}
    known = {}
    for kind, parts in uploads.items():
        files = [("file", part) for part in parts]
        told = client.post("/api/studies", files=files).json()
        assert (told["refused"], len(told["studies"])) == ([], 1), kind
        predicted = client.post("/api/predict", files=files)
        assert predicted.status_code == 200, predicted.text
        known[kind] = (told["studies"][0], predicted.json())
    running.await_worklist(lambda items: len(items) == 5 and all(i["state"] == "reported" for i in items), "5 results")
    for kind, (study_id, predicted) in known.items():
        study = client.get(f"/api/studies/{study_id}").json()
        assert (study["state"], study["verdict"]) == ("reported", predicted["verdict"]), kind
        (result,) = client.get(f"/api/studies/{study_id}/result").json()["items"]
        assert result["result"]["risk"] == pytest.approx(predicted["risk"], abs=1e-6)
        documents = client.get(f"/api/studies/{study_id}/documents").json()["items"]
        assert client.get(documents[0]["href"]).status_code == 200
    original = zipfile.ZipFile(io.BytesIO(client.get(f"/api/studies/{known['zip'][0]}/original").content))
    assert sorted(original.read(name) for name in original.namelist()) == sorted(slices)
    listed = client.get("/api/studies", params={"modality": "CT"}).json()["items"]
    assert {item["study_id"] for item in listed} == {known["nifti"][0], known["zip"][0]}
    found = client.post("/api/studies/search", json={"text": "p-npy"}).json()["items"]
    assert [item["study_id"] for item in found] == [known["npy"][0]]


def enumerate_names(slices: list[bytes]) -> Iterator[tuple[str, bytes]]:
    yield from ((f"s{n}", one) for n, one in enumerate(slices))


def test_the_description_says_all_of_every_address(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    found = list(operations(described))
    assert {"/api/patients/{patient_key}", "/api/studies/{study_id}/original", "/api/batch/{batch_id}/sample.csv",
            "/api/cases/{case_id}/rerun", "/api/feedback/export", "/api/deliveries", "/fhir/metadata",
            "/dicom-web/studies"} <= {path for path, _, _ in found}
    lists = [path for path, method, told in found if method == "get" and path.startswith("/api/")
             and {"cursor", "limit"} <= {p["name"] for p in told.get("parameters", ())}]
    assert {"/api/worklist", "/api/cases", "/api/patients", "/api/studies", "/api/deliveries", "/api/feedback",
            "/api/audit", "/api/batch/{batch_id}/results"} <= set(lists)
    for path, method, told in found:
        where = f"{method} {path}"
        assert told.get("summary"), where
        assert {"400", "403", "500", "503"} <= set(told["responses"]), where
        assert any(status.startswith("2") for status in told["responses"]), where
        contents = [told.get("requestBody", {}).get("content", {})]
        for status, answer in told["responses"].items():
            assert answer["description"], (where, status)
            contents.append(answer.get("content", {}))
            if status.startswith(("4", "5")) and not (path.startswith("/dicom-web") and status == "409"):
                wanted = "application/fhir+json" if path.startswith("/fhir") else "application/problem+json"
                assert set(answer["content"]) == {wanted}, (where, status)
        for kind, content in ((kind, one) for some in contents for kind, one in some.items() if "json" in kind):
            assert "example" in content or "examples" in content or not content.get("schema"), (where, kind)


def test_versions_are_told_and_asked_for(client: httpx.Client) -> None:
    made = client.post("/api/patients", json={"patient_id": "NEW", "name": "Doe^Jane"})
    key, version = made.json()["patient_key"], made.headers["etag"]
    assert made.headers["location"] == f"/api/patients/{key}"
    assert "NEW" not in key
    assert client.post("/api/patients", json={"patient_id": "NEW"}).status_code == 409
    assert client.get(f"/api/patients/{key}", headers={"If-None-Match": version}).status_code == 304
    assert client.patch(f"/api/patients/{key}", json={"sex": "F"}).status_code == 428
    changed = client.patch(f"/api/patients/{key}", json={"sex": "F"}, headers={"If-Match": version})
    assert (changed.json()["sex"], changed.json()["name"]) == ("F", "Doe^Jane")
    told = client.put(f"/api/patients/{key}", json={"name": "", "birth_date": "", "sex": ""},
                      headers={"If-Match": version})
    assert (told.status_code, told.headers["content-type"]) == (412, "application/problem+json")
    assert client.delete(f"/api/patients/{key}").status_code == 204
    page = client.get("/api/patients")
    assert client.get("/api/patients", headers={"If-None-Match": page.headers["etag"]}).status_code == 304
    seen, cursor = [], None
    while True:
        some = client.get("/api/audit", params={"limit": 1} | ({"cursor": cursor} if cursor else {})).json()
        seen += [line["action"] for line in some["items"]]
        cursor = some["next"]
        if cursor is None:
            break
    assert seen[:3] == ["patient_deleted", "patient_changed", "patient_created"]


def test_a_batch_is_read_while_nobody_waits_and_fills_a_sample(client: httpx.Client, tmp_path: Path) -> None:
    content = zipped(**{"a/one.npy": npy(ecg_signal(1.1)), "a/two.xml": aecg(ecg_signal(0.8)), "bad.npy": b"\x93NUMPY",
                        "readme.txt": b"hello", **{f"w/{n}": c for n, c in record(tmp_path).items()}})
    sample = b"n;record;AFIB;own\n1;one;;=2\n2;two;;\n3;none;0.3;x\n"
    ordered = client.post("/api/batch", files=[("file", ("all.zip", content)), ("sample", ("s.csv", sample))])
    assert ordered.status_code == 202
    where = ordered.headers["location"]
    state = await_that(lambda: (told := client.get(where).json())["state"] == "done" and told, 60, "the batch")
    assert (state["total"], state["done"], state["refused"], state["failed"]) == (4, 3, 1, 0)
    first = client.get(f"{where}/results", params={"limit": 3}).json()
    rest = client.get(f"{where}/results", params={"limit": 3, "cursor": first["next"]}).json()
    results = {item["record"]: item for item in first["items"] + rest["items"]}
    assert (set(results), rest["next"]) == ({"a/one.npy", "a/two.xml", "bad.npy", "w/rec"}, None)
    rows = list(csv.DictReader(io.StringIO(client.get(f"{where}/results.csv").text)))
    afib = {row["record"]: row["AFIB"] for row in rows}
    assert float(afib["a/one.npy"]) == pytest.approx(
        next(f["probability"] for f in results["a/one.npy"]["findings"] if f["label"] == "AFIB"))
    assert afib["bad.npy"] == ""
    filled = client.get(f"{where}/sample.csv").text.splitlines()
    assert (filled[0], filled[3]) == ("n;record;AFIB;own", "3;none;0.3;x")
    assert filled[1].startswith("1;one;0.")
    assert filled[1].endswith(";=2")
    assert client.delete(where).status_code == 204
    assert client.get(where).status_code == 404


def test_feedback_is_given_and_exported(running: GatewayProcess, client: httpx.Client) -> None:
    case_id = next(i["case_id"] for i in running.worklist() if i["findings"])
    where = f"/api/cases/{case_id}/feedback"
    for told, by in (({"AFIB": "agree", "PVC": "disagree"}, "Dr A"), ({"AFIB": "disagree"}, "Dr B")):
        given = client.post(where, json={"findings": told, "given_by": by, "comment": "=HYPERLINK(1)"})
        assert given.status_code == 201, given.text
    assert client.post(where, json={"findings": {"NOTHING": "agree"}}).status_code == 422
    assert client.post(where, json={}).status_code == 422
    assert client.post("/api/cases/00/feedback", json={"comment": "x"}).status_code == 404
    assert [one["given_by"] for one in client.get(where).json()["items"]] == ["Dr B", "Dr A"]
    first = client.get("/api/feedback", params={"limit": 1}).json()
    assert client.get("/api/feedback", params={"cursor": first["next"]}).json()["items"][0]["given_by"] == "Dr B"
    rows = list(csv.DictReader(io.StringIO(client.get("/api/feedback/export").text)))
    assert [(row["given_by"], row["label"], row["opinion"], row["comment"]) for row in rows] == [
        ("Dr A", "AFIB", "agree", "'=HYPERLINK(1)"), ("Dr A", "PVC", "disagree", "'=HYPERLINK(1)"),
        ("Dr B", "AFIB", "disagree", "'=HYPERLINK(1)")]
    lines = client.get("/api/feedback/export", params={"format": "jsonl"}).text.splitlines()
    assert [json.loads(line)["findings"] for line in lines] == [{"AFIB": "agree", "PVC": "disagree"},
                                                               {"AFIB": "disagree"}]


def test_an_object_too_large_for_memory_is_taken_as_it_lies(running: GatewayProcess, client: httpx.Client) -> None:
    large = write_ct(np.random.default_rng(1).integers(-1000, 1000, (1, 2600, 2600)).astype(np.int16), (1, 1, 1),
                     Patient("LARGE"), key=("large",), accession_number="", recorded_at=datetime.now(UTC),
                     description="")[0]
    assert len(large) > 13_000_000
    for content, name, count in ((large, "a.dcm", (1, 0)), (zipped(**{"a.dcm": large}), "a.zip", (0, 1))):
        told = client.post("/api/studies", files={"file": (name, content)}).json()
        assert (told["stored"], told["duplicate"]) == count, told
        predicted = client.post("/api/predict", files={"file": (name, content)})
        assert (predicted.status_code, predicted.json()["verdict"]) == (200, "undetermined")
    (study_id,) = told["studies"]
    original = zipfile.ZipFile(io.BytesIO(client.get(f"/api/studies/{study_id}/original").content))
    assert [original.read(name) for name in original.namelist()] == [large]


def test_the_readmes_examples_run(running: GatewayProcess, tmp_path: Path) -> None:
    (tmp_path / "ecg.npy").write_bytes(npy(ecg_signal(1.4)))
    (tmp_path / "ecgs.zip").write_bytes(zipped(**{"one.npy": npy(ecg_signal(1.5))}))
    (tmp_path / "sample.csv").write_text("record,AFIB\none,\n")
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^curl .*$", readme, re.MULTILINE)
    assert len(lines) >= 6
    for line in lines:
        command = line.replace("http://127.0.0.1:8080", running.url).replace("curl", "curl -sS --fail-with-body", 1)
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        assert done.stdout


def test_hostile_uploads_are_refused_in_words_and_leave_nothing(running: GatewayProcess, client: httpx.Client) -> None:
    await_quiet(running)
    before, worklist = files_of(running), len(running.worklist())
    page = b"<html><script>alert(1)</script></html>"
    part10 = write_ct(np.full((1, 8, 8), -500, np.int16), (1, 1, 1), Patient("X"), key=("polyglot",),
                      accession_number="", recorded_at=datetime.now(UTC), description="")[0]
    bomb = zipped(**{f"{n}.dcm": bytes(128) + b"DICM" + bytes(20_000_000) for n in range(4)})
    hostile: dict[str, tuple[str, bytes, str]] = {
        "bomb": ("bomb.zip", bomb, "unpacks to more"),
        "nested": ("n.zip", zipped(**{"bomb.zip": bomb}), "within the archive"),
        "traversal": ("t.zip", zipped(**{"../../../tmp/evil.dcm": part10}), "leads out"),
        "absolute": ("t.zip", zipped(**{"/tmp/evil.dcm": part10}), "leads out"),
        "html": ("page.dcm", page, "not a DICOM file"),
        "exe": ("a.dcm", b"MZ".ljust(128, b"\0") + part10[128:], "Windows"),
        "htmldcm": ("a.dcm", page.ljust(128, b"\0") + part10[128:], "HTML"),
        "padded": ("a.zip", zipped(**{"a.dcm": part10 + bytes(8 << 20)}), "follow the last element"),
        "wide letters": ("a.dcm", "\ufeff<html>".encode("utf-16-le").ljust(128, b"\0") + part10[128:], "HTML"),
        "tail": ("a.dcm", part10 + bomb, "zip archive"),
        "photo": ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "no reader takes photographs"),
        "entities": ("a.xml", aecg(head="<!DOCTYPE x [<!ENTITY a 'b'>]>"), "document type"),
        "pickle": ("a.npy", b"\x93NUMPY\1\0\x76\0{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "no NumPy"),
        "dims": ("a.nii", nifti(np.full((2, 2, 2), -1000), at42=("<h", 30000)), "too large"),
        "cut": ("a.dcm", part10[:-40], "ends within"), "empty": ("a.dcm", b"", "not a DICOM file")}
    for name, (file, content, words) in hostile.items():
        for path in ("/api/studies", "/api/predict"):
            told = client.post(path, files={"file": (file, content)})
            assert told.status_code in {400, 422}, (name, told.text)
            assert words in told.json()["detail"], (name, path, told.text)
    no_batch = client.post("/api/batch", files={"file": ("a.dcm", part10)})
    assert (no_batch.status_code, no_batch.json()["detail"]) == (422, "The table is no CSV in UTF-8.")
    assert b"413" in _announced(running, LARGEST + 1)
    assert files_of(running) == before
    assert len(running.worklist()) == worklist
    assert client.get("/readyz").status_code == 200
    assert not list(Path("/tmp").glob("evil.dcm"))


def _announced(running: GatewayProcess, length: int) -> bytes:
    with socket.create_connection(("127.0.0.1", int(running.settings["http"]["port"])), 20) as peer:
        peer.sendall(f"POST /api/studies HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n"
                     "Content-Type: multipart/form-data; boundary=b\r\n\r\n".encode())
        return peer.recv(65536).splitlines()[0]


@pytest.mark.peer
@pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="schemathesis is not installed (it comes with the dev extra)")
def test_schemathesis_finds_no_fault_of_ours_and_no_status_that_is_not_described(running: GatewayProcess) -> None:
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    done = subprocess.run(
        [SCHEMATHESIS, "run", f"{running.url}/openapi.json", "--phases", "examples,fuzzing", "--max-examples", "2",
         "--seed", "1", "--checks", checks, "--no-color"],
        capture_output=True, text=True, timeout=280, check=False, cwd=running.folder)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_a_study_is_deleted_to_the_last_file(running: GatewayProcess, client: httpx.Client) -> None:
    await_quiet(running)
    before = files_of(running)
    told = client.post("/api/studies", files={"file": ("gone.npy", npy(ecg_signal(1.3)))}).json()
    (study_id,) = told["studies"]
    await_that(lambda: client.get(f"/api/studies/{study_id}").json()["state"] == "reported", 30, "the result")
    await_quiet(running)
    assert files_of(running) > before
    assert client.delete(f"/api/studies/{study_id}").status_code == 204
    assert files_of(running) == before
    assert client.get(f"/api/studies/{study_id}").status_code == 404
    again = client.post("/api/studies", files={"file": ("gone.npy", npy(ecg_signal(1.3)))}).json()
    assert (again["stored"], again["duplicate"]) == (1, 0)
    (new_id,) = again["studies"]
    await_that(lambda: client.get(f"/api/studies/{new_id}").json()["state"] == "reported", 30, "the result")
