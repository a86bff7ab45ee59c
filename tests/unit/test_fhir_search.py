"""Search over stored transactions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.checks import structure_problems
from adapters.fhir.content.search import Place, answer, parse_search
from adapters.fhir.content.searchset import searchset
from adapters.fhir.content.stored import resources_of
from gateway.errors import Rejected, Unreadable
from gateway.identity import uid
from gateway.ports import StoredDocument
from tests import builders as b
from tests.fhir_fakes import Queries, stored


def documents(count: int = 3) -> list[StoredDocument]:
    """Reports of as many patients, a minute apart, the newest last; each with 7 Observations."""
    made = []
    for number in range(count):
        who = b.patient(patient_id=f"P-{number}")
        reading = b.reading("ct", study_fields={"of": who, "accession_number": f"ACC-{number}", "order": None})
        run = replace(reading.run, run_id=f"run{number}", created_at=b.CREATED_AT + timedelta(minutes=number))
        made.append(stored(replace(reading, run=run)))
    return made


DOCUMENTS = documents()
STUDY_UID = uid("study", "ct", "P-1")


def found(resource_type: str, *parameters: tuple[str, str]) -> list[dict[str, Any]]:
    return list(answer(parse_search(resource_type, parameters), Queries(DOCUMENTS).reports).resources)


def patients(resources: list[dict[str, Any]]) -> list[str]:
    held = {f"Patient/{r['id']}": r["identifier"][0]["value"] for d in DOCUMENTS for r in resources_of(d)
            if r["resourceType"] == "Patient"}
    return [held[r["subject"]["reference"]] for r in resources]


def test_reports_newest_first() -> None:
    assert patients(found("DiagnosticReport")) == ["P-2", "P-1", "P-0"]


def test_resources_stand_alone() -> None:
    resources = resources_of(DOCUMENTS[0])
    ids = {f"{r['resourceType']}/{r['id']}" for r in resources}
    assert len(ids) == len(resources)
    for resource in resources:
        assert structure_problems(resource) == []
        assert len(resource["id"]) <= 64
        assert resource["meta"]["versionId"] == "run0"
    (report,) = (r for r in resources if r["resourceType"] == "DiagnosticReport")
    assert report["id"] == DOCUMENTS[0].case_id
    assert {t["reference"] for t in (*report["result"], report["subject"], *report["imagingStudy"])} <= ids


CASE = DOCUMENTS[1].case_id


@pytest.mark.parametrize(("parameters", "expected"), [
    ([("_id", CASE)], ["P-1"]),
    ([("_id", f"{CASE},{DOCUMENTS[0].case_id}")], ["P-0", "P-1"]),
    ([("identifier", CASE)], ["P-1"]),
    ([("identifier", f"{v.CASE}|{CASE}")], ["P-1"]),
    ([("identifier", f"urn:oid:1|{CASE}")], []),
    ([("identifier", f"{v.RUN}|{CASE}.run1")], ["P-1"]),
    ([("identifier", f"{v.RUN}|{CASE}.run2")], []),
    ([("patient.identifier", "P-2")], ["P-2"]),
    ([("patient.identifier", "P-2,P-0")], ["P-0", "P-2"]),
    ([("patient.identifier", "urn:oid:1|P-2")], []),
    ([("patient.identifier", "P-2"), ("identifier", CASE)], []),
    ([("patient.identifier", "P-2"), ("patient.identifier", "P-1")], []),
    ([("status", "preliminary"), ("_id", CASE)], ["P-1"]),
    ([("status", "final")], []),
    ([("status", "final,preliminary"), ("_id", CASE)], ["P-1"]),
    ([("_lastUpdated", "ge2026-03-14T09:27:53Z")], ["P-1", "P-2"]),
    ([("_lastUpdated", "lt2026-03-14T09:27:53Z")], ["P-0"]),
    ([("_lastUpdated", "gt2026-03-14T09:26:53Z"), ("_lastUpdated", "lt2026-03-14T09:28:00Z")], ["P-1"]),
    ([("_lastUpdated", "2026-03-14")], ["P-0", "P-1", "P-2"]),
    ([("_lastUpdated", "2026-03-15")], []),
])
def test_search_parameters(parameters: list[tuple[str, str]], expected: list[str]) -> None:
    assert sorted(patients(found("DiagnosticReport", *parameters))) == expected


def test_observations_of_one_patient() -> None:
    resources = found("Observation", ("patient.identifier", "P-1"))
    assert len(resources) == 7
    assert set(patients(resources)) == {"P-1"}
    (one,) = found("Observation", ("identifier", f"{CASE}.finding.nodule"))
    assert found("Observation", ("_id", one["id"])) == [one]


@pytest.mark.parametrize("value", [f"urn:dicom:uid|urn:oid:{STUDY_UID}", f"urn:oid:{STUDY_UID}", "ACC-1"])
def test_studies_by_uid_and_accession_number(value: str) -> None:
    (study,) = found("ImagingStudy", ("identifier", value))
    assert patients([study]) == ["P-1"]


def test_a_study_read_by_two_pipelines_is_told_once() -> None:
    twin = replace(DOCUMENTS[1], case_id="f" * 20)
    queries = Queries([*DOCUMENTS, twin])
    search = parse_search("ImagingStudy", [("identifier", f"urn:oid:{STUDY_UID}")])
    assert len(answer(search, queries.reports).resources) == 1


def test_patients_and_devices_by_identifier() -> None:
    (patient,) = found("Patient", ("identifier", "P-1"))
    assert found("Patient", ("_id", patient["id"])) == [patient]
    (device,) = found("Device")
    assert found("Device", ("identifier", f"{v.DEVICE}|{device['identifier'][0]['value']}")) == [device]


@pytest.mark.parametrize("count", [1, 2, 5, 7, 8, 21])
def test_pages_hold_everything_once(count: int) -> None:
    queries = Queries(DOCUMENTS)
    parameters = [("_count", str(count))]
    seen: list[str] = []
    page = None
    while True:
        search = parse_search("Observation", [*parameters, *([("_page", page)] if page else [])])
        told = answer(search, queries.reports)
        seen += [r["id"] for r in told.resources]
        if told.following is None:
            break
        assert len(told.resources) == count
        page = ".".join(str(n) for n in told.following)
    assert len(seen) == len(set(seen)) == 21


def test_many_reports_are_asked_for_in_parts() -> None:
    queries = Queries(documents(60))
    told = answer(parse_search("DiagnosticReport", [("_count", "55")]), queries.reports)
    assert (len(told.resources), told.following, told.total) == (55, Place(0, 55, 0), 60)
    assert all(query.limit <= 50 for query in queries.asked)


def test_a_search_by_id_asks_for_one_case() -> None:
    queries = Queries(DOCUMENTS)
    answer(parse_search("Observation", [("_id", f"{CASE}.abc")]), queries.reports)
    assert [query.case_id for query in queries.asked] == [CASE]


def test_count_zero_is_the_total() -> None:
    told = answer(parse_search("DiagnosticReport", [("_count", "0")]), Queries(DOCUMENTS).reports)
    assert (told.resources, told.total) == ((), 3)


def test_searchsets_are_valid_and_linked() -> None:
    search = parse_search("DiagnosticReport", [("_count", "2"), ("status", "preliminary")])
    bundle = searchset(search, answer(search, Queries(DOCUMENTS).reports), "http://x/fhir")
    assert structure_problems(bundle) == []
    links = {link["relation"]: link["url"] for link in bundle["link"]}
    assert links["self"] == "http://x/fhir/DiagnosticReport?status=preliminary&_count=2"
    assert links["next"].endswith("&_page=0.2.0")
    empty = parse_search("DiagnosticReport", [("_id", "nobody")])
    bundle = searchset(empty, answer(empty, Queries(DOCUMENTS).reports), "http://x/fhir")
    assert structure_problems(bundle) == []
    assert "entry" not in bundle
    assert bundle["total"] == 0


@pytest.mark.parametrize(("parameter", "element"), [
    (("colour", "red"), "http.colour"), (("_count", "many"), "http._count"), (("_count", "-1"), "http._count"),
    (("_page", "x"), "http._page"), (("_lastUpdated", "soon"), "http._lastupdated"), (("identifier", ","),
    "http.identifier"), (("identifier", "a\x00"), "http.identifier"), (("_include", "*"), "http._include")])
def test_bad_parameters_are_named(parameter: tuple[str, str], element: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse_search("DiagnosticReport", [parameter])
    assert refused.value.element == element


def test_unknown_parameters_can_be_ignored() -> None:
    search = parse_search("DiagnosticReport", [("colour", "red")], lenient=True)
    assert search.parameters == ()


@pytest.mark.parametrize("kind", ["json", "application/fhir+json", "application/json; charset=utf-8"])
def test_json_is_spoken(kind: str) -> None:
    parse_search("DiagnosticReport", [("_format", kind)])


def test_xml_is_not_spoken() -> None:
    with pytest.raises(Rejected, match="JSON"):
        parse_search("DiagnosticReport", [("_format", "xml")])
