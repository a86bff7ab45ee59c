"""The JSON API to the letter of the contract, over fakes of our ports."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import datetime

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from adapters.web.allowed import Allowed
from gateway.study import Priority
from tests.archives import zipped
from tests.web_fakes import World, fake_object, serving, view

CONTRACT = {
    "case_id", "run_id", "study_instance_uid", "accession_number", "patient_id", "patient_name", "modality", "pipeline",
    "state", "completeness", "read_at", "verdict", "risk", "priority", "received_at", "reported_at", "findings",
    "deliveries", "demonstration"}
SECOND = f"{2:020x}"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    registry = CollectorRegistry()
    Counter("triage_test", "A metric of the caller's.", registry=registry).inc()
    with serving(world.app(registry=registry)) as url, httpx.Client(base_url=url, trust_env=False) as asker:
        yield asker


def upload(name: str, content: bytes) -> dict[str, tuple[str, bytes]]:
    return {"file": (name, content)}


def test_worklist_items_have_the_contracts_fields_in_the_given_order(client: httpx.Client, world: World) -> None:
    page = client.get("/api/worklist", params={"limit": 5}).json()
    assert [item["case_id"] for item in page["items"]] == [row.case_id for row in world.queries.rows[:5]]
    assert page["total"] == len(world.queries.rows)
    first = page["items"][0]
    assert first.keys() >= CONTRACT
    assert first["received_at"].endswith("Z")
    assert datetime.fromisoformat(first["received_at"]) == world.queries.rows[0].received_at
    assert first["findings"][0] == {"code": "opacity", "display": "Opacity", "probability": 0.93, "threshold": 0.5,
                                    "present": True}
    assert first["deliveries"][0] == {"destination": "PACS", "kind": "sr", "state": "delivered"}
    assert first["demonstration"] is True


def test_worklist_pages_follow_the_cursor_to_the_end(client: httpx.Client, world: World) -> None:
    seen, cursor = [], None
    while True:
        page = client.get("/api/worklist", params={"limit": 7} | ({"cursor": cursor} if cursor else {})).json()
        seen += [item["case_id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [row.case_id for row in world.queries.rows]


def test_the_id_of_a_study_being_received_leads_to_its_case(client: httpx.Client, world: World) -> None:
    placeholder = "f" * 20
    world.queries.given_way[placeholder] = SECOND
    assert client.get(f"/api/cases/{placeholder}").json()["case_id"] == SECOND
    page = client.get(f"/cases/{placeholder}")
    assert (page.status_code, page.headers["location"]) == (303, f"/cases/{SECOND}")
    assert client.post(f"/api/cases/{placeholder}/cancel").status_code == 404


@pytest.mark.parametrize(("path", "status", "word"), [
    ("/api/worklist?cursor=bad", 422, "cursor"), ("/api/worklist?limit=0", 422, "limit"),
    ("/api/cases/00", 404, "case"), ("/api/cases/00/documents/sr", 404, "document"),
    (f"/api/cases/{SECOND}/documents/seg", 404, "document"), (f"/api/cases/{SECOND}/documents/x", 422, "kind"),
    ("/api/deliveries?state=lost", 422, "state"), ("/api/nothing", 404, "nothing"), ("/nothing", 404, "nothing")])
def test_refusals_are_problems_with_a_sentence(client: httpx.Client, path: str, status: int, word: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert word in answer.json()["detail"]


@pytest.mark.parametrize(("body", "kind", "words"), [
    ("{bad", "application/json", "no JSON"), ("[]", "application/json", "Content-Type: application/json"),
    ("{}", "text/plain", "Content-Type: application/json"),
    ('{"q": "x"}', "application/json", "q: there is no such field")])
def test_a_body_that_is_not_understood_says_what_to_send(
        client: httpx.Client, body: str, kind: str, words: str) -> None:
    answer = client.post("/api/worklist/search", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, words in answer.json()["detail"]) == (422, True)


def test_case_tells_its_result_order_versions_and_ledger(client: httpx.Client) -> None:
    case = client.get(f"/api/cases/{SECOND}").json()
    assert case.keys() >= CONTRACT
    assert case["result"]["provenance"]["pipeline"] == "ecg_12lead"
    assert case["order"]["clinical_question"].startswith("Palpitations")
    assert case["runs"][0]["current"] is True
    assert {d["state"] for d in case["ledger"]} == {"delivered", "pending", "dead", "unproven"}
    assert [d["state"] for d in case["deliveries"]] == [d["state"] for d in case["ledger"]]


def test_cases_lists_every_case_of_a_study(client: httpx.Client, world: World) -> None:
    told, other = f"{1:020x}", f"{99:020x}"
    hidden = view(99)
    world.queries.rows = [view(1, cases=(other, told)), hidden]
    world.queries.worklist = lambda limit, cursor=None: _only_first(world)  # type: ignore[method-assign, assignment]
    assert [c["case_id"] for c in client.get("/api/cases").json()["items"]] == [other, told]


def _only_first(world: World) -> object:
    from gateway.ports import Page

    return Page((world.queries.rows[0],), 1, None)


def test_documents_are_the_bytes_sent(client: httpx.Client) -> None:
    answer = client.get(f"/api/cases/{SECOND}/documents/oru")
    assert answer.content == b"MSH|^~\\&|"
    assert answer.headers["content-type"] == "application/hl7-v2"
    assert f'filename="{SECOND}-oru.hl7"' in answer.headers["content-disposition"]
    assert client.get(f"/api/cases/{SECOND}/documents/sc").headers["content-type"] == "application/dicom"


def test_picture_is_the_secondary_capture_as_png(client: httpx.Client) -> None:
    from PIL import Image

    answer = client.get(f"/api/cases/{SECOND}/picture.png")
    image = Image.open(io.BytesIO(answer.content))
    assert (image.size, image.getpixel((3, 200))) == ((640, 400), (200, 30, 40))
    again = client.get(f"/api/cases/{SECOND}/picture.png", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_commands_reach_the_port(client: httpx.Client, world: World) -> None:
    waiting = f"{10:020x}"
    assert client.post(f"/api/cases/{waiting}/cancel").json() == {"case_id": waiting, "run_id": ""}
    assert client.post(f"/api/cases/{waiting}/replay").json()["run_id"] == "f" * 24
    assert client.post(f"/api/cases/{waiting}/read").status_code == 200
    assert client.put(f"/api/cases/{waiting}/priority", json={"priority": "stat"}).status_code == 200
    assert client.post("/api/deliveries/22/retry").json() == {"retried": 1}
    assert client.post("/api/deliveries/retry", json={"destination": "RIS"}).json() == {"retried": 1}
    assert world.commands.asked == [("cancel", waiting), ("replay", waiting), ("read", waiting),
                                    ("priority", waiting, Priority.STAT), ("retry", 22), ("retry_dead", "RIS")]


def test_commands_refuse_what_is_not_there_or_not_in_a_state_for_it(client: httpx.Client, world: World) -> None:
    assert client.post(f"/api/cases/{SECOND}/cancel").status_code == 409
    assert client.post("/api/cases/00/cancel").status_code == 404
    assert client.post("/api/deliveries/999999/retry").status_code == 404
    assert client.put(f"/api/cases/{SECOND}/priority", json={"priority": "now"}).status_code == 422
    assert ("cancel", "00") not in world.commands.asked


def test_models_tell_which_are_ready_and_why_not(client: httpx.Client) -> None:
    models = {m["name"]: m for m in client.get("/api/models").json()["items"]}
    assert models["ecg_12lead"]["ready"]
    assert models["ecg_12lead"]["card"] == "/models/ecg_12lead"
    assert models["chest_ct"]["demonstration"]
    assert (models["broken"]["ready"], models["broken"]["card"]) == (False, None)
    assert "hash" in models["broken"]["reason"]


def test_predict_returns_the_result_and_keeps_nothing(client: httpx.Client, world: World) -> None:
    assert client.post("/api/predict", files=upload("a.dcm", fake_object("ECG"))).json()["verdict"] == "normal"
    named = client.post("/api/predict", params={"pipeline": "ecg_mi"}, files=upload("a.dcm", fake_object("ECG")))
    assert named.json()["pipeline"] == "ecg_mi"
    assert client.post("/api/predict", files=upload("a.dcm", fake_object("MR"))).status_code == 422
    busy = client.post("/api/predict", files=upload("a.dcm", fake_object("TRANSIENT")))
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "5")
    assert client.post("/api/predict", files=upload("a.txt", b"hello")).status_code == 400
    assert client.post("/api/predict", files=upload("a.dcm", fake_object("BROKEN"))).status_code == 400
    assert client.post("/api/predict").status_code == 422
    assert world.intake.taken == []


def test_explain_is_only_there_when_it_is_supplied(client: httpx.Client, world: World) -> None:
    assert client.post("/api/explain", files=upload("a.zip", zipped(a=fake_object("ECG"), b=fake_object("ECG")))
                       ).json() == {"rule": "ecg", "objects": 2}
    assert "/api/explain" not in world.app(explain=None).openapi()["paths"]


def test_upload_of_one_file_and_of_a_zip(client: httpx.Client, world: World) -> None:
    assert client.post("/api/studies", files=upload("a.dcm", fake_object("1"))).json()["stored"] == 1
    files = {"a/1.dcm": fake_object("1"), "b/2.dcm": fake_object("2"), "notes.txt": b"x", "DICOMDIR": b"x",
             "3.dcm": fake_object("NOUID")}
    told = client.post("/api/studies", files=upload("s.zip", zipped(**files))).json()
    assert (told["stored"], told["duplicate"]) == (1, 1)
    assert {r["name"]: r["reason"] for r in told["refused"]} == {
        "notes.txt": "This is not a DICOM file: DICM is missing after the preamble.",
        "3.dcm": "StudyInstanceUID is missing."}
    assert world.intake.taken[0][0].protocol == "upload"
    assert world.intake.taken[0][1] + world.intake.taken[0][2] == fake_object("1")


def test_upload_with_nothing_usable_is_refused(client: httpx.Client, world: World) -> None:
    assert client.post("/api/studies", files=upload("a.txt", b"hello")).status_code == 422
    assert client.post("/api/studies", files=upload("e.zip", zipped())).status_code == 422
    whole = zipped(**{"1.dcm": fake_object("12345" * 50)})
    told = client.post("/api/studies", files=upload("d.zip", whole[:37] + bytes(10) + whole[47:]))
    assert (told.status_code, "damaged" in told.json()["refused"][0]["reason"]) == (422, True)
    cut = whole.replace(b"PK\x01\x02", b"PK\x09\x09")
    assert client.post("/api/studies", files=upload("d.zip", cut)).status_code == 400
    assert world.intake.taken == []


def test_upload_on_a_full_disk_is_507(client: httpx.Client, world: World) -> None:
    world.intake.full = True
    answer = client.post("/api/studies", files=upload("a.dcm", fake_object("1")))
    assert answer.status_code == 507
    assert "free space" in answer.json()["detail"]


def test_health_and_readiness(client: httpx.Client, world: World) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200
    world.health.parts["inference"] = "the model chest_ct is not loaded"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "Not ready: inference: the model chest_ct is not loaded."
    assert client.get("/healthz").status_code == 200


def test_metrics_are_prometheus_text_without_patient_data(client: httpx.Client) -> None:
    client.get(f"/api/cases/{SECOND}")
    text = client.get("/metrics").text
    samples = {(s.name, tuple(s.labels.values())): s.value
               for family in text_string_to_metric_families(text) for s in family.samples}
    assert samples["triage_cases", ("failed",)] == 1
    assert samples["triage_deliveries", ("dead",)] == 1
    assert samples["triage_ready", ("all",)] == 1
    assert samples["triage_http_requests_total", ("GET", "/api/cases/{case_id}", "200")] == 1
    assert samples["triage_test_total", ()] == 1
    assert ("triage_sender_last_heard_seconds", ("dicom", "CART")) in samples
    assert "P00002" not in text
    assert SECOND not in text


def test_docs_and_openapi_need_no_other_host(client: httpx.Client) -> None:
    paths = json.loads(client.get("/openapi.json").text)["paths"]
    page = client.get("/docs").text
    assert "/api/worklist" in paths
    assert all(path in page for path in paths)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_an_unexpected_error_is_a_problem_without_its_text(client: httpx.Client, world: World) -> None:
    def broken() -> dict[str, int]:
        raise RuntimeError("Ivanova Anna")

    world.queries.counts = broken  # type: ignore[method-assign]
    answer = client.get("/metrics")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Ivanova" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_refused_method_is_told_which_ones_there_are(client: httpx.Client) -> None:
    told = client.delete("/api/worklist")
    assert (told.status_code, told.headers["allow"]) == (405, "GET")
    described = {"/s/{id}": ["get", "delete"], "/s/search": ["post"], "/s/{id}/{part}": ["get"], "/s/{id}/x": ["put"]}
    allowed = Allowed(World().app(), lambda: {"paths": described})
    assert [allowed.methods(path) for path in ("/s/search", "/s/1", "/s/1/x", "/s/1/y", "/t")] == [
        ["POST"], ["DELETE", "GET"], ["PUT"], ["GET"], []]
