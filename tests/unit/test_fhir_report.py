"""The FHIR transaction of a result."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.checks import transaction_problems
from adapters.fhir.content.report import DiagnosticReportEncoder
from gateway.case import Completeness, Reading
from gateway.codes import Code
from gateway.documents import disagreements, require_agreement
from gateway.errors import Permanent
from gateway.result import Finding, Measurement, Verdict, risk_of
from tests import builders as b

ENCODER = DiagnosticReportEncoder()
KINDS = ("ct", "ecg")


def bundle(reading: Reading) -> dict[str, Any]:
    document = ENCODER.encode(reading, None, "")
    assert document
    return json.loads(document.content)


def of_type(told: dict[str, Any], resource_type: str) -> list[dict[str, Any]]:
    return [e["resource"] for e in told["entry"] if e["resource"]["resourceType"] == resource_type]


def request(told: dict[str, Any], resource_type: str) -> dict[str, Any]:
    return next(e["request"] for e in told["entry"] if e["resource"]["resourceType"] == resource_type)


def observation(told: dict[str, Any], ending: str) -> dict[str, Any]:
    (found,) = (o for o in of_type(told, "Observation") if o["identifier"][0]["value"].endswith(ending))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("language", ["en", "ru"])
def test_says_what_the_result_says(kind: str, verdict: Verdict, language: str) -> None:
    reading = b.reading(kind, verdict, language=language)
    document = ENCODER.encode(reading, None, "")
    assert document
    claims = ENCODER.read_back(document)
    require_agreement(reading, [claims])
    assert claims.findings
    assert claims.accession_number == "ACC-77"


@pytest.mark.parametrize("change", [
    {"verdict": "normal"}, {"risk": 0.99}, {"patient_id": "P-1002"}, {"accession_number": "ACC-78"}])
def test_reading_back_would_catch_a_wrong_document(change: dict[str, Any]) -> None:
    reading = b.reading("ct")
    document = ENCODER.encode(reading, None, "")
    assert document
    assert disagreements(reading, [replace(ENCODER.read_back(document), **change)])


def test_two_verdicts_in_one_document_are_refused() -> None:
    told = bundle(b.reading("ct"))
    observation(told, ".verdict")["valueCodeableConcept"]["coding"][0]["code"] = "17621005"
    document = ENCODER.encode(b.reading("ct"), None, "")
    assert document
    with pytest.raises(Permanent, match="disagree"):
        ENCODER.read_back(replace(document, content=json.dumps(told).encode()))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"entry": []}', b"\xff", b'{"entry": [{"fullUrl": 1}]}'])
def test_no_report_is_refused(content: bytes) -> None:
    document = ENCODER.encode(b.reading("ct"), None, "")
    assert document
    with pytest.raises(Permanent):
        ENCODER.read_back(replace(document, content=content))


def test_the_same_reading_gives_the_same_bytes() -> None:
    one, two = ENCODER.encode(b.reading("ecg"), None, ""), ENCODER.encode(b.reading("ecg"), None, "")
    assert one == two


def test_a_later_run_updates_in_place_and_names_its_predecessor() -> None:
    first = bundle(b.reading("ct"))
    later = bundle(b.reading("ct", run_fields={"run_id": "r2", "number": 2, "predecessor_run_id": "r1",
                                               "predecessor_sr_uid": "2.25.1"}))
    assert request(first, "DiagnosticReport") == request(later, "DiagnosticReport")
    assert {e["fullUrl"] for e in first["entry"]} == {e["fullUrl"] for e in later["entry"]}
    (replaced,) = of_type(later, "DiagnosticReport")[0]["extension"]
    assert replaced["url"] == v.REPLACES
    assert replaced["valueReference"]["identifier"]["value"].endswith(".r1")
    assert "extension" not in of_type(first, "DiagnosticReport")[0]


def test_what_is_others_is_only_created_when_absent() -> None:
    told = bundle(b.reading("ct"))
    for resource_type in ("Patient", "ImagingStudy", "Device"):
        assert request(told, resource_type)["method"] == "POST"
        assert request(told, resource_type)["ifNoneExist"].startswith("identifier=")
    for resource_type in ("DiagnosticReport", "Observation"):
        assert request(told, resource_type)["method"] == "PUT"


@pytest.mark.parametrize(("verdict", "code", "interpretation"), [
    ("normal", "17621005", "N"), ("pathology", "263654008", "A"), ("undetermined", "373068000", "IND")])
def test_the_verdict_is_coded(verdict: str, code: str, interpretation: str) -> None:
    told = bundle(b.reading("ct", verdict))
    (report,) = of_type(told, "DiagnosticReport")
    (coding,) = report["conclusionCode"][0]["coding"]
    assert (coding["system"], coding["code"]) == ("http://snomed.info/sct", code)
    assert observation(told, ".verdict")["interpretation"][0]["coding"][0]["code"] == interpretation


def test_nothing_undetermined_reads_as_normal() -> None:
    told = bundle(b.reading("ecg", "undetermined"))
    codes = [i["coding"][0]["code"] for o in of_type(told, "Observation") for i in o.get("interpretation", [])]
    assert "N" not in codes
    assert "not a normal result" in of_type(told, "DiagnosticReport")[0]["conclusion"]
    assert observation(told, ".verdict")["note"] == [{"text": "Only 4 slices, 20 are needed."}]


def test_the_report_is_preliminary_and_signed_by_nobody() -> None:
    (report,) = of_type(bundle(b.reading("ct")), "DiagnosticReport")
    assert report["status"] == "preliminary"
    assert not {"resultsInterpreter", "presentedForm", "performer"} & report.keys()
    assert "Demonstration model, not for clinical use" in report["conclusion"]
    assert "For decision support" in report["conclusion"]
    assert report["code"]["coding"][0]["system"] == "http://loinc.org"


def test_a_validated_model_is_no_demonstration() -> None:
    told = bundle(b.reading("ecg"))
    assert "Demonstration" not in of_type(told, "DiagnosticReport")[0]["conclusion"]
    assert of_type(told, "DiagnosticReport")[0]["category"][0]["coding"][0]["code"] == "EC"


def test_a_partial_study_says_so() -> None:
    (report,) = of_type(bundle(b.reading("ct", completeness=Completeness.PARTIAL)), "DiagnosticReport")
    assert "The study is incomplete" in report["conclusion"]


def test_a_finding_has_probability_threshold_presence_and_measurements() -> None:
    found = observation(bundle(b.reading("ct")), ".finding.opacity")
    assert found["valueQuantity"] == {"value": 0.914, "unit": "1", "system": v.UCUM, "code": "1"}
    threshold, presence, diameter = found["component"]
    assert threshold["valueQuantity"]["value"] == 0.5
    assert presence["valueCodeableConcept"]["coding"][0]["code"] == "52101004"
    assert diameter["valueQuantity"] == {"value": 31.5, "unit": "mm", "system": v.UCUM, "code": "mm"}
    assert found["interpretation"][0]["coding"][0]["code"] == "A"


def test_the_device_names_the_file_that_ran() -> None:
    (device,) = of_type(bundle(b.reading("ct")), "Device")
    assert device["property"][0]["valueCode"][0]["text"] == "ab" * 32
    assert device["version"] == [{"value": "1"}]
    other = b.result("ct", provenance=replace(b.result("ct").provenance, models=(b.model("ct", sha256="cd" * 32),)))
    changed = bundle(b.reading("ct", result=other))
    assert request(bundle(b.reading("ct")), "Device") != request(changed, "Device")


def test_several_models_stand_under_their_pipeline() -> None:
    models = (b.model("ct"), b.model("ct", name="chest_ct_autoencoder"))
    result = b.result("ct", provenance=replace(b.result("ct").provenance, models=models))
    told = bundle(b.reading("ct", result=result))
    pipeline = next(d for d in of_type(told, "Device") if d["modelNumber"] == "chest_ct")
    assert len(of_type(told, "Device")) == 3
    assert len([version for version in pipeline["version"] if "component" in version]) == 2


def test_times_have_the_sites_offset() -> None:
    (report,) = of_type(bundle(b.reading("ct")), "DiagnosticReport")
    assert report["effectiveDateTime"] == "2026-03-14T10:15:00.000+01:00"
    assert report["issued"] == "2026-03-14T10:26:53.589+01:00"


def test_a_study_with_its_own_offset_keeps_its_moment() -> None:
    reading = b.reading("ct", study_fields={"tags": {"TimezoneOffsetFromUTC": "+0300"}})
    (report,) = of_type(bundle(reading), "DiagnosticReport")
    assert report["effectiveDateTime"] == "2026-03-14T08:15:00.000+01:00"


@pytest.mark.parametrize("time", ["", "25", "9", "10:15"])
def test_without_a_study_time_the_runs_time_stands(time: str) -> None:
    reading = b.reading("ct", study_fields={"tags": {"StudyTime": time}})
    (report,) = of_type(bundle(reading), "DiagnosticReport")
    assert report["effectiveDateTime"] == report["issued"]


def test_cyrillic_names_survive() -> None:
    who = b.patient(name="Иванова^Анна^Петровна")
    document = ENCODER.encode(b.reading("ecg", study_fields={"of": who}), None, "")
    assert document
    assert "Иванова".encode() in document.content
    (patient,) = of_type(json.loads(document.content), "Patient")
    assert patient["name"] == [{"family": "Иванова", "given": ["Анна", "Петровна"]}]


def test_component_groups_become_names_of_their_own() -> None:
    who = b.patient(name="Yamada^Tarou=山田^太郎=やまだ^たろう")
    (patient,) = of_type(bundle(b.reading("ecg", study_fields={"of": who})), "Patient")
    assert [n["extension"][0]["valueCode"] for n in patient["name"]] == ["ABC", "IDE", "SYL"]


def test_a_patient_without_id_is_known_by_the_case_alone() -> None:
    reading = b.reading("ct", study_fields={"of": b.patient(patient_id="", issuer="", name="")})
    told = bundle(reading)
    (patient,) = of_type(told, "Patient")
    assert patient["identifier"] == [{"system": v.CASE_PATIENT, "value": reading.run.case_id}]
    document = ENCODER.encode(reading, None, "")
    assert document
    assert ENCODER.read_back(document).patient_id == ""


@pytest.mark.parametrize(("issuer", "system"), [
    ("1.2.840.99", "urn:oid:1.2.840.99"), ("HOSP&1.2.840.99&ISO", "urn:oid:1.2.840.99"),
    ("http://hospital.example/mrn", "http://hospital.example/mrn")])
def test_an_issuer_that_is_a_uri_or_oid_is_the_system(issuer: str, system: str) -> None:
    (patient,) = of_type(bundle(b.reading("ct", study_fields={"of": b.patient(issuer=issuer)})), "Patient")
    assert patient["identifier"][0]["system"] == system


def test_the_site_can_name_the_system_of_an_issuer() -> None:
    document = DiagnosticReportEncoder({"HOSP": "http://hospital.example/mrn"}).encode(b.reading("ct"), None, "")
    assert document
    told = json.loads(document.content)
    assert request(told, "Patient")["ifNoneExist"] == "identifier=http://hospital.example/mrn%7CP-1001"


def test_the_order_says_whose_number_it_is_where_the_image_does_not() -> None:
    who = b.patient(issuer="")
    study = b.study("ct", of=who)
    assert study.order
    study = replace(study, order=replace(study.order, patient=replace(who, issuer="urn:oid:1.2.3.4")))
    (patient,) = of_type(bundle(b.reading("ct", study=study)), "Patient")
    assert patient["identifier"][0]["system"] == "urn:oid:1.2.3.4"


def test_two_issuers_never_share_a_patient() -> None:
    ours = bundle(b.reading("ct", study_fields={"of": b.patient(issuer="A")}))
    theirs = bundle(b.reading("ct", study_fields={"of": b.patient(issuer="B")}))
    assert request(ours, "Patient") != request(theirs, "Patient")


def test_the_order_is_referenced_by_its_placer_number() -> None:
    study = b.study("ct")
    assert study.order
    order = replace(study.order, fields={"ORC-2.3": "1.2.3.5"})
    (report,) = of_type(bundle(b.reading("ct", study=replace(study, order=order))), "DiagnosticReport")
    (based_on,) = report["basedOn"]
    assert (based_on["identifier"]["system"], based_on["identifier"]["value"]) == ("urn:oid:1.2.3.5", "PL-1")


def test_without_an_order_the_accession_number_is_referenced() -> None:
    study = replace(b.study("ct"), order=None)
    (report,) = of_type(bundle(b.reading("ct", study=study)), "DiagnosticReport")
    assert report["basedOn"][0]["identifier"]["value"] == "ACC-77"


def test_without_order_and_accession_number_nothing_is_referenced() -> None:
    study = replace(b.study("ct"), order=None, accession_number="")
    reading = b.reading("ct", study=study)
    (report,) = of_type(bundle(reading), "DiagnosticReport")
    assert "basedOn" not in report
    document = ENCODER.encode(reading, None, "")
    assert document
    assert ENCODER.read_back(document).accession_number == ""


def test_the_study_counts_its_objects() -> None:
    (study,) = of_type(bundle(b.reading("ct")), "ImagingStudy")
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (1, 64)
    assert study["identifier"][0]["value"].startswith("urn:oid:2.25.")


def test_a_measurement_that_is_no_number_says_why() -> None:
    rate = Measurement(Code("8867-4", "LN", "Heart rate"), float("nan"), Code("{H.B.}/min", "UCUM", "bpm"))
    found = observation(bundle(b.reading("ecg", result_fields={"measurements": (rate,)})), ".measurement.8867-4")
    assert "valueQuantity" not in found
    assert found["dataAbsentReason"]["coding"][0]["code"] == "not-a-number"


def test_a_unit_that_is_not_ucum_is_not_released() -> None:
    wrong = Measurement(Code("8867-4", "LN", "Heart rate"), 70.0, Code("bpm", "UCUM", "bpm"))
    with pytest.raises(Permanent, match="no UCUM unit"):
        ENCODER.encode(b.reading("ecg", result_fields={"measurements": (wrong,)}), None, "")


def test_two_measurements_of_one_kind_are_two_observations() -> None:
    rate = Measurement(Code("8867-4", "LN", "Heart rate"), 70.0, Code("/min", "UCUM", "per minute"))
    told = bundle(b.reading("ecg", result_fields={"measurements": (rate, replace(rate, value=80.0))}))
    assert observation(told, ".measurement.8867-4")["valueQuantity"]["value"] == 70
    assert observation(told, ".measurement.8867-4.2")["valueQuantity"]["value"] == 80


@pytest.mark.parametrize(("break_it", "said"), [
    (lambda t: t["entry"][0]["resource"].update(status="finished"), "is none of"),
    (lambda t: t["entry"][0]["resource"].update(result=[]), "is empty"),
    (lambda t: t["entry"][0]["resource"].update(subject={"reference": "urn:uuid:nobody"}), "leads to nothing"),
    (lambda t: t["entry"][0]["resource"].update(subject=t["entry"][0]["resource"]["imagingStudy"][0] | {
        "type": "Patient"}), "another type"),
    (lambda t: t["entry"][0]["resource"].update(colour="red"), "not an element"),
    (lambda t: t["entry"][0]["resource"].pop("code"), "is required"),
    (lambda t: t["entry"][0]["resource"]["result"].pop(), "referenced by nothing"),
    (lambda t: t["entry"].append(t["entry"][0]), "not unique"),
    (lambda t: t["entry"][0]["resource"].update(issued="yesterday"), "wrong type or format"),
])
def test_the_check_catches_what_is_broken(break_it: Any, said: str) -> None:
    told = bundle(b.reading("ct"))
    assert transaction_problems(told) == []
    break_it(told)
    assert any(said in problem for problem in transaction_problems(told))


_LABELS = st.text(st.sampled_from("AbÄж1 -|,$&\\%é"), min_size=1, max_size=12).map(str.strip).filter(bool)
_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30)


@settings(max_examples=40, deadline=None)
@given(name=_TEXT, label=_LABELS, probability=st.floats(0, 1), threshold=st.floats(0, 1), summary=_TEXT,
       patient_id=st.text(st.sampled_from("Pж1 -|,$&\\%/?#+"), max_size=16).map(str.strip))
def test_any_text_and_number_survives(name: str, label: str, probability: float, threshold: float, summary: str,
                                      patient_id: str) -> None:
    finding = Finding(" ".join(label.split()), Code("1", "99TRIAGE", "Some finding"), "Some finding", probability,
                      threshold, 0.5)
    verdict = Verdict.PATHOLOGY if finding.present else Verdict.NORMAL
    result = b.result("ct", verdict, findings=(finding,), summary=summary, risk=risk_of((finding,)))
    reading = b.reading("ct", result=result, study_fields={"of": b.patient(name=name, patient_id=patient_id)})
    document = ENCODER.encode(reading, None, "")
    assert document
    require_agreement(reading, [ENCODER.read_back(document)])
