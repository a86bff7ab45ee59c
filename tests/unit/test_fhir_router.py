"""`/fhir` over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException, Request
from structlog.testing import capture_logs

from adapters.fhir.content.checks import content_problems, structure_problems
from adapters.fhir.content.stored import resources_of
from adapters.fhir.transport.router import build_router
from gateway.errors import StorageFull, Transient
from gateway.study import Principal
from tests import builders as b
from tests.fhir_fakes import (
    Intake,
    MessageLog,
    Queries,
    ecg_observation,
    principal_of,
    served,
    service_request,
    split,
    stored,
    write_ecg,
    write_media,
)

DOCUMENT = stored(b.reading("ecg"))
FHIR = {"Content-Type": "application/fhir+json"}


@dataclass
class Site:
    client: httpx.Client
    queries: Queries
    log: MessageLog
    intake: Intake

    def post(self, address: str, resource: Any, **headers: str) -> Any:
        return self.client.post(address, content=json.dumps(resource), headers=FHIR | headers)

    def put(self, address: str, resource: Any) -> Any:
        return self.client.put(address, content=json.dumps(resource), headers=FHIR)


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    queries = Queries([DOCUMENT])
    log, intake = MessageLog(queries), Intake()
    app = FastAPI()
    app.include_router(build_router(queries, log, intake, write_ecg, "SITE", principal_of, 500_000, split=split,
                                    kept=log.kept, media_writer=write_media))
    with served(app) as base, httpx.Client(base_url=base, trust_env=False) as client:
        yield Site(client, queries, log, intake)


@pytest.fixture
def site(running: Site) -> Site:
    """The one server, with nothing received yet."""
    running.queries.placed.clear()
    running.log.messages.clear()
    running.log.failure = running.intake.refusal = None
    running.intake.kept.clear()
    running.intake.senders.clear()
    return running


def require_outcome(response: Any, status: int, element: str = "") -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/fhir+json")
    outcome = response.json()
    assert structure_problems(outcome) == []
    (issue,) = outcome["issue"]
    assert issue["severity"] == "error"
    assert issue["diagnostics"].endswith(".")
    if element:
        assert [element] in (issue.get("expression"), issue.get("location"))
    return issue


def test_the_capability_statement_is_valid(site: Site) -> None:
    told = site.client.get("/fhir/metadata").json()
    assert structure_problems(told) == []
    assert content_problems(told, "CapabilityStatement") == []
    assert told["fhirVersion"] == "4.0.1"
    assert {"DiagnosticReport", "Observation", "ImagingStudy", "ServiceRequest", "Patient"} <= {
        r["type"] for r in told["rest"][0]["resource"]}


# ---------------------------------------------------------------- orders


def test_an_order_is_recorded_before_it_is_answered(site: Site) -> None:
    response = site.post("/fhir/ServiceRequest", service_request())
    assert response.status_code == 201
    resource = response.json()
    assert response.headers["location"] == f"{site.client.base_url}/fhir/ServiceRequest/{resource['id']}"
    assert response.headers["etag"] == f'W/"{resource["meta"]["versionId"]}"'
    (message,) = site.log.messages.values()
    assert (message.sender.protocol, message.sender.name) == ("fhir", "EHR")
    assert json.loads(message.raw) == service_request()
    read = site.client.get(f"/fhir/ServiceRequest/{resource['id']}")
    assert read.json()["meta"]["versionId"] == resource["meta"]["versionId"]
    assert read.json()["contained"][0]["name"][0]["family"] == "Иванова"


def test_what_could_not_be_recorded_is_not_acknowledged(site: Site) -> None:
    site.log.failure = Transient("the database is out of reach.")
    response = site.post("/fhir/ServiceRequest", service_request())
    require_outcome(response, 503)
    assert response.headers["retry-after"]


def test_a_repeated_order_is_answered_again_and_not_applied_again(site: Site) -> None:
    first = site.post("/fhir/ServiceRequest", service_request())
    again = site.post("/fhir/ServiceRequest", service_request())
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.content == again.content
    assert len(site.log.messages) == 1


def test_a_changed_order_is_an_update_and_may_change_back(site: Site) -> None:
    order_id = site.post("/fhir/ServiceRequest", service_request()).json()["id"]
    for status in ("revoked", "active", "revoked", "active"):
        assert site.post("/fhir/ServiceRequest", service_request(status=status)).json()["id"] == order_id
        assert site.client.get(f"/fhir/ServiceRequest/{order_id}").json()["status"] == status


def test_put_changes_an_order_that_is_there(site: Site) -> None:
    order_id = site.post("/fhir/ServiceRequest", service_request()).json()["id"]
    response = site.put(f"/fhir/ServiceRequest/{order_id}", service_request(id=order_id, priority="routine"))
    assert (response.status_code, response.json()["priority"]) == (200, "routine")
    require_outcome(site.put("/fhir/ServiceRequest/other", service_request(id=order_id)), 400, "ServiceRequest.id")
    require_outcome(site.put("/fhir/ServiceRequest/other", service_request(
        id="other", identifier=[{"value": "new"}])), 404)
    require_outcome(site.put(f"/fhir/ServiceRequest/{order_id}", service_request(
        id=order_id, identifier=[{"value": "new"}])), 422, "ServiceRequest.identifier")


def test_put_by_identifier(site: Site) -> None:
    address = "/fhir/ServiceRequest?identifier=urn:oid:1.2.3.5|PL-9"
    assert site.put(address, service_request()).status_code == 201
    assert site.put(address, service_request(priority="routine")).status_code == 200
    require_outcome(site.put("/fhir/ServiceRequest?identifier=PL-8", service_request()), 422)
    require_outcome(site.put("/fhir/ServiceRequest", service_request()), 400, "http.identifier")


@pytest.mark.parametrize(("body", "headers", "status", "element"), [
    (b"{", FHIR, 400, ""),
    (b"MSH|^~\\&|", FHIR, 400, ""),
    (b"{}", {"Content-Type": "application/xml"}, 415, "http.content-type"),
    (b"{}", FHIR | {"Accept": "application/fhir+xml"}, 406, "http.accept"),
    (b'{"resourceType": "Patient"}', FHIR, 400, "resourceType"),
    (json.dumps(service_request(colour="red")).encode(), FHIR, 400, "ServiceRequest.colour"),
    (json.dumps(service_request(status="finished")).encode(), FHIR, 422, "ServiceRequest.status"),
    (b" " * 500_001, FHIR, 413, ""),
])
def test_bad_orders_are_refused_and_nothing_is_recorded(site: Site, body: bytes, headers: dict[str, str], status: int,
                                                        element: str) -> None:
    require_outcome(site.client.post("/fhir/ServiceRequest", content=body, headers=headers), status, element)
    assert not site.log.messages
    assert site.post("/fhir/ServiceRequest", service_request()).status_code == 201


# ---------------------------------------------------------------- recordings


def test_a_recording_is_taken_once(site: Site) -> None:
    first = site.post("/fhir/Observation", ecg_observation())
    again = site.post("/fhir/Observation", ecg_observation())
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["location"].endswith(f"/fhir/Observation/{first.json()['id']}")
    assert len(site.intake.kept) == 1
    assert site.intake.senders[0].protocol == "fhir"


def test_a_recording_is_read_where_the_answer_said(site: Site) -> None:
    sent = site.post("/fhir/Observation", ecg_observation())
    read = site.client.get(sent.headers["location"])
    assert (read.status_code, read.headers["etag"], read.json()) == (200, sent.headers["etag"], sent.json())


def test_another_recording_under_the_same_identifier_is_a_conflict(site: Site) -> None:
    site.post("/fhir/Observation", ecg_observation())
    other = ecg_observation(effectiveDateTime="2026-03-14T11:15:00+03:00")
    require_outcome(site.post("/fhir/Observation", other), 409, "Observation.identifier")


def test_a_recording_of_an_order_gets_its_numbers(site: Site) -> None:
    study = {"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.77"}
    order = site.post("/fhir/ServiceRequest", service_request(identifier=[*service_request()["identifier"], study]))
    based_on = [{"reference": f"ServiceRequest/{order.json()['id']}"}]
    told = site.post("/fhir/Observation", ecg_observation(basedOn=based_on)).json()
    assert told["derivedFrom"][0]["identifier"]["value"] == "urn:oid:1.2.840.77"


def test_bad_recordings_are_refused(site: Site) -> None:
    require_outcome(site.post("/fhir/Observation", ecg_observation(leads=["I", "V1"])), 422, "Observation.component")
    require_outcome(site.post("/fhir/Observation", service_request()), 400, "resourceType")
    assert not site.intake.senders


def test_a_full_disk_is_said_before_anything_is_read(site: Site) -> None:
    site.intake.refusal = StorageFull("The disk is full.")
    require_outcome(site.post("/fhir/Observation", ecg_observation()), 507)


# ---------------------------------------------------------------- reading


def test_every_resource_is_read_by_its_id(site: Site) -> None:
    for resource in resources_of(DOCUMENT):
        response = site.client.get(f"/fhir/{resource['resourceType']}/{resource['id']}")
        assert response.json() == resource
        assert response.headers["etag"] == f'W/"{DOCUMENT.run_id}"'


def test_search_by_get_and_by_form(site: Site) -> None:
    by_get = site.client.get("/fhir/DiagnosticReport", params={"patient.identifier": "P-1001", "_format": "json"})
    by_form = site.client.post("/fhir/DiagnosticReport/_search", data={"patient.identifier": "P-1001"})
    assert by_get.json() == by_form.json()
    assert by_get.json()["entry"][0]["resource"]["id"] == DOCUMENT.case_id
    assert structure_problems(by_get.json()) == []
    require_outcome(site.post("/fhir/DiagnosticReport/_search", {}), 415)


def test_unknown_parameters(site: Site) -> None:
    require_outcome(site.client.get("/fhir/Observation?colour=red"), 400, "http.colour")
    lenient = site.client.get("/fhir/Observation?colour=red", headers={"Prefer": "handling=lenient"})
    assert lenient.status_code == 200


@pytest.mark.parametrize(("method", "address", "status"), [
    ("GET", "/fhir/DiagnosticReport/nobody", 404), ("GET", "/fhir/Observation/nobody", 404),
    ("GET", "/fhir/DiagnosticReport/not_an_id", 404), ("GET", "/fhir/ServiceRequest/nobody", 404),
    ("GET", "/fhir/Medication", 404), ("GET", "/fhir/Medication/1", 404), ("POST", "/fhir/Medication", 404),
    ("GET", "/fhir/ServiceRequest", 405), ("DELETE", "/fhir/DiagnosticReport/1", 405),
    ("POST", "/fhir/DiagnosticReport", 405), ("PATCH", "/fhir/ServiceRequest/1", 405), ("POST", "/fhir", 404),
    ("GET", "/fhir/DiagnosticReport/1/_history", 405), ("GET", "/fhir/", 404),
    ("GET", "/fhir/DiagnosticReport?_format=xml", 406), ("GET", "/fhir/metadata?_format=xml", 406)])
def test_other_addresses(site: Site, method: str, address: str, status: int) -> None:
    require_outcome(site.client.request(method, address), status)


def test_nobody_without_principal(site: Site) -> None:
    def refuse(_: Request) -> Principal:
        raise HTTPException(401, "Log in first.")

    app = FastAPI()
    app.include_router(build_router(site.queries, site.log, site.intake, write_ecg, "SITE", refuse, 500_000,
                                    split=split, kept=site.log.kept, media_writer=write_media))
    with served(app) as base, httpx.Client(base_url=base, trust_env=False) as client:
        for method, address in (("GET", "/fhir/DiagnosticReport"), ("POST", "/fhir/ServiceRequest"),
                                ("GET", "/fhir/metadata"), ("POST", "/fhir/Observation")):
            assert require_outcome(client.request(method, address, headers=FHIR), 401)["code"] == "login"


def test_logs_hold_no_patient_data(site: Site) -> None:
    with capture_logs() as entries:
        site.post("/fhir/ServiceRequest", service_request())
        site.post("/fhir/ServiceRequest", service_request(status="Иванова"))
        site.post("/fhir/Observation", ecg_observation())
        site.post("/fhir/Observation", ecg_observation(leads=["I"]))
        site.client.get("/fhir/DiagnosticReport?patient.identifier=P-1001&colour=P-1001")
        site.client.get("/fhir/Patient/P-1001")
    assert len(entries) == 6
    told = json.dumps(entries, ensure_ascii=False)
    for secret in ("P-1001", "Иванова", "ACC-9", "PL-9", "1961", "ECG-1"):
        assert secret not in told
