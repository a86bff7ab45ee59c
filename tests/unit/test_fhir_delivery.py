"""Delivering to a FHIR server: what is proof, what is tried again, what is refused; and the strict receiver."""

from __future__ import annotations

import copy
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr

from adapters.fhir.content.refusals import Refused
from adapters.fhir.content.report import DiagnosticReportEncoder
from adapters.fhir.content.transaction_response import complaint, proof
from adapters.fhir.content.transaction_store import ResourceStore
from adapters.fhir.transport.destination import FhirDestination
from adapters.fhir.transport.receiver import build_receiver
from gateway.delivery import DeliveryState, Document, Kind
from gateway.errors import ConfigurationError, Permanent, Rejected, Transient
from gateway.settings import FhirDestination as Configured
from tests import builders as b
from tests.fhir_fakes import served


def encoded(**changes: Any) -> Document:
    document = DiagnosticReportEncoder().encode(b.reading("ct", **changes), None, "")
    assert document
    return document


DOCUMENT = encoded()
BUNDLE = json.loads(DOCUMENT.content)


class Scripted:
    """A server that answers what it is told to, and remembers what it heard."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        self.headers: dict[str, str] = {}
        self.heard: list[Request] = []
        self.app = FastAPI(openapi_url=None, docs_url=None)
        self.app.add_api_route("/{rest:path}", self._answer, methods=["GET", "POST"])

    async def _answer(self, request: Request, rest: str) -> Response:
        self.heard.append(request)
        return Response(self.body, self.status, self.headers, "application/fhir+json")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Scripted, FhirDestination]]:
    server = Scripted()
    with served(server.app) as base:
        options = Configured(name="ehr", type="fhir", url=f"{base}/fhir/", bearer_token=SecretStr("t0ken"))
        destination = FhirDestination(options, 5)
        yield server, destination
        destination.close()


@pytest.fixture
def server(running: tuple[Scripted, FhirDestination]) -> Scripted:
    running[0].status, running[0].body, running[0].headers = 200, b"", {}
    running[0].heard.clear()
    return running[0]


@pytest.fixture
def destination(running: tuple[Scripted, FhirDestination]) -> FhirDestination:
    return running[1]


def responses(*statuses: str) -> bytes:
    entries = [{"response": {"status": s, "location": f"Observation/{n}/_history/1"}} for n, s in enumerate(statuses)]
    return json.dumps({"resourceType": "Bundle", "type": "transaction-response", "entry": entries}).encode()


DONE = responses(*["201 Created"] * len(BUNDLE["entry"]))


@pytest.mark.parametrize("status", [200, 201])
def test_every_entry_done_is_proof(server: Scripted, destination: FhirDestination, status: int) -> None:
    server.status, server.body = status, DONE
    receipt = destination.deliver(DOCUMENT)
    assert receipt.state is DeliveryState.DELIVERED
    assert receipt.facts["http_status"] == status
    assert receipt.facts["statuses"] == ["201 Created"] * len(BUNDLE["entry"])
    assert receipt.facts["locations"][0] == "Observation/0/_history/1"
    (request,) = server.heard
    assert request.url.path == "/fhir"
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["content-type"] == "application/fhir+json"


@pytest.mark.parametrize(("status", "body"), [
    (200, b""), (200, b"OK"), (200, b"[]"), (200, b"{}"), (200, b"\xff"), (200, b'{"resourceType": "Bundle"}'),
    (200, b"[" * 100_000), (200, responses("201 Created")),
    (200, responses(*["201 Created"] * (len(BUNDLE["entry"]) - 1), "412 Precondition Failed")),
    (200, DONE.replace(b"transaction-response", b"batch-response")), (202, DONE), (204, b""), (201, b"null")])
def test_success_without_proof_is_unproven(server: Scripted, destination: FhirDestination, status: int,
                                           body: bytes) -> None:
    server.status, server.body = status, body
    assert destination.deliver(DOCUMENT).state is DeliveryState.UNPROVEN


def test_a_broken_encoding_is_no_proof(server: Scripted, destination: FhirDestination) -> None:
    server.body, server.headers = b"no gzip", {"Content-Encoding": "gzip"}
    assert destination.deliver(DOCUMENT).state is DeliveryState.UNPROVEN


OUTCOME = json.dumps({"resourceType": "OperationOutcome", "issue": [
    {"severity": "warning", "code": "informational"},
    {"severity": "error", "code": "invalid", "diagnostics": "Muster, Erika is unknown",
     "expression": ["Bundle.entry[2].resource.status"]}]}).encode()


@pytest.mark.parametrize("status", [400, 403, 404, 405, 406, 410, 412, 413, 415, 422, 301, 307])
def test_refused_for_good(server: Scripted, destination: FhirDestination, status: int) -> None:
    server.status, server.body, server.headers = status, OUTCOME, {"Location": "/elsewhere"}
    with pytest.raises(Permanent) as refused:
        destination.deliver(DOCUMENT)
    message = str(refused.value)
    assert str(status) in message
    assert "invalid at Bundle.entry[2].resource.status" in message
    assert "Muster" not in message
    assert "t0ken" not in message
    assert len(server.heard) == 1


@pytest.mark.parametrize("status", [401, 408, 409, 423, 425, 429, 500, 502, 503, 504, 507])
def test_tried_again_later(server: Scripted, destination: FhirDestination, status: int) -> None:
    server.status = status
    with pytest.raises(Transient, match=str(status)):
        destination.deliver(DOCUMENT)


def test_probe_asks_for_the_metadata(server: Scripted, destination: FhirDestination) -> None:
    destination.probe()
    assert server.heard[0].url.path == "/fhir/metadata"
    server.status = 404
    with pytest.raises(Transient):
        destination.probe()


def test_an_address_that_cannot_be_called_is_permanent() -> None:
    with pytest.raises(Permanent):
        FhirDestination(Configured(name="ehr", type="fhir", url="ftp://nowhere"), 1).deliver(DOCUMENT)


def test_who_cannot_be_reached_is_named_with_host_and_port_and_no_password() -> None:
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        away = f"127.0.0.1:{bound.getsockname()[1]}"
        options = Configured(name="ehr", type="fhir", url=f"http://me:secret@{away}/fhir")
        with pytest.raises(Transient) as told:
            FhirDestination(options, 1).deliver(DOCUMENT)
    assert str(told.value) == f"ehr ({away}) cannot be reached: connection refused"


def test_other_documents_are_refused_at_start() -> None:
    with pytest.raises(ConfigurationError, match="diagnostic_report"):
        FhirDestination(Configured(name="ehr", type="fhir", url="http://x", kinds=[Kind.SR]))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"issue": 5}', b'{"issue": [5]}', b'{"issue": [{}]}',
                                  b'{"issue": [{"severity": "error", "code": "Muster, Erika"}]}'])
def test_odd_outcomes_say_nothing(body: bytes) -> None:
    assert complaint(body) == ""


def test_where_the_report_is_stands_in_the_receipt() -> None:
    answered = json.loads(DONE)
    answered["entry"][0]["response"]["location"] = "http://ehr/fhir/DiagnosticReport/17/_history/2"
    answered["entry"][1]["response"]["location"] = "http://ehr/fhir/Patient/18/_history/2"
    facts = proof(DOCUMENT.content, json.dumps(answered).encode())
    assert facts
    assert facts["locations"][0] == "DiagnosticReport/17/_history/2"
    assert not any("Patient" in place for place in facts["locations"])


# ---------------------------------------------------------------- the strict receiver


def counts(store: ResourceStore) -> dict[str, int]:
    return {kind: len(held) for kind, held in store.resources.items()}


def test_the_same_transaction_twice_changes_nothing() -> None:
    store = ResourceStore()
    first = store.transact(BUNDLE)
    before = copy.deepcopy(store.resources)
    second = store.transact(BUNDLE)
    assert store.resources == before
    assert counts(store) == {"DiagnosticReport": 1, "Observation": 7, "ImagingStudy": 1, "Device": 1, "Patient": 1}
    assert {e["response"]["status"] for e in first["entry"]} == {"201 Created"}
    assert {e["response"]["status"] for e in second["entry"]} == {"200 OK"}
    assert proof(DOCUMENT.content, json.dumps(second).encode())


def test_a_later_run_updates_in_place() -> None:
    store = ResourceStore()
    store.transact(BUNDLE)
    (report_id,) = store.resources["DiagnosticReport"]
    store.transact(json.loads(encoded(verdict="normal", run_fields={
        "run_id": "later", "number": 2, "predecessor_run_id": b.reading("ct").run.run_id}).content))
    assert counts(store) == {"DiagnosticReport": 1, "Observation": 7, "ImagingStudy": 1, "Device": 1, "Patient": 1}
    report = store.resources["DiagnosticReport"][report_id]
    assert report["meta"]["versionId"] == "2"
    assert report["conclusionCode"][0]["coding"][0]["code"] == "17621005"
    assert report["extension"][0]["valueReference"]["identifier"]["value"].endswith(b.reading("ct").run.run_id)


def test_the_patient_of_others_is_never_changed() -> None:
    store = ResourceStore()
    store.transact(BUNDLE)
    (known,) = store.resources["Patient"].values()
    known["name"] = [{"family": "Married"}]
    store.transact(BUNDLE)
    assert store.resources["Patient"][known["id"]]["name"] == [{"family": "Married"}]
    (report,) = store.resources["DiagnosticReport"].values()
    assert report["subject"]["reference"] == f"Patient/{known['id']}"


def test_two_cases_of_one_study_share_study_and_patient() -> None:
    store = ResourceStore()
    store.transact(BUNDLE)
    other = b.result("ct", provenance=b.result("ecg").provenance)
    store.transact(json.loads(encoded(result=other).content))
    assert counts(store) | {"Observation": 0} == {
        "DiagnosticReport": 2, "Observation": 0, "ImagingStudy": 1, "Device": 2, "Patient": 1}


def _resource(number: int, **changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda bundle: bundle["entry"][number]["resource"].update(changes)


@pytest.mark.parametrize(("change", "said"), [
    (lambda t: t.update(type="batch"), "Bundle.type"),
    (_resource(0, status="finished"), "status"),
    (_resource(0, colour="red"), "colour"),
    (_resource(0, subject={"reference": "urn:uuid:nobody"}), "reference"),
    (_resource(1, note=[]), "note"),
    (lambda t: t["entry"][0].pop("request"), "request"),
    (lambda t: t["entry"][0]["request"].update(method="DELETE"), "request"),
    (lambda t: t["entry"][0]["request"].update(url="DiagnosticReport"), "url"),
    (lambda t: t["entry"].append(t["entry"][0]), "Bundle.entry"),
])
def test_the_receiver_is_strict_and_keeps_nothing_of_what_it_refuses(change: Callable[[dict[str, Any]], Any],
                                                                     said: str) -> None:
    bundle = copy.deepcopy(BUNDLE)
    change(bundle)
    store = ResourceStore()
    store.transact(json.loads(encoded(study_fields={"of": b.patient(patient_id="Other")}).content))
    before = copy.deepcopy(store.resources)
    with pytest.raises(Rejected) as refused:
        store.transact(bundle)
    assert said in refused.value.element
    assert store.resources == before


def test_several_matches_are_a_failed_precondition() -> None:
    store = ResourceStore()
    store.transact(BUNDLE)
    (known,) = store.resources["Patient"].values()
    store.resources["Patient"]["twin"] = known | {"id": "twin"}
    with pytest.raises(Refused, match="several") as refused:
        store.transact(BUNDLE)
    assert refused.value.status == 412


def test_the_receiver_over_http() -> None:
    app = build_receiver()
    with served(app) as base, httpx.Client(base_url=f"{base}/fhir", trust_env=False) as client:
        destination = FhirDestination(Configured(name="ehr", type="fhir", url=f"{base}/fhir"), 10)
        destination.probe()
        assert destination.deliver(DOCUMENT).state is DeliveryState.DELIVERED
        destination.close()
        (report,) = app.state.resources["DiagnosticReport"].values()
        assert client.get(f"/DiagnosticReport/{report['id']}").json() == report
        found = client.get("/Patient", params={"identifier": "P-1001"}).json()
        assert found["total"] == 1
        assert client.get("/Patient/nobody").status_code == 404
        bad = client.post(f"{base}/fhir", content=b"{}", headers={"Content-Type": "application/fhir+json"})
        assert (bad.status_code, bad.json()["resourceType"]) == (400, "OperationOutcome")
