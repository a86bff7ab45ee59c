"""ServiceRequest → order, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir.content.checks import content_problems, structure_problems
from adapters.fhir.content.order import order_from_json, order_of, order_resource
from adapters.fhir.content.structure import parse_resource
from gateway.errors import Rejected, Unreadable, Unusable
from gateway.study import Order, Priority
from tests.fhir_fakes import service_request


def parse(resource: dict[str, Any]) -> Order:
    return order_of(parse_resource(json.dumps(resource).encode(), "ServiceRequest"), "SITE", "EHR")


def test_everything_is_read() -> None:
    order = parse(service_request())
    assert order.patient.patient_id == "P-1001"
    assert order.patient.issuer == "urn:oid:1.2.3.4"
    assert order.patient.name == "Иванова^Анна^Петровна"
    assert (order.patient.birth_date, order.patient.sex) == ("19611112", "F")
    assert (order.accession_number, order.accession_issuer) == ("ACC-9", "urn:oid:1.2.3.6")
    assert (order.placer_order_number, order.filler_order_number) == ("PL-9", "")
    assert order.priority is Priority.STAT
    assert order.clinical_question == "Одышка; Urgent please."
    assert (order.requested_procedure_code, order.requested_procedure_scheme) == ("24627-2", "LN")
    assert (order.requested_procedure_text, order.referring_physician) == ("CT Chest", "Dr. House")
    assert (order.status, order.facility, order.sender) == ("active", "SITE", "EHR")
    assert order.fields["ORC-2.3"] == "urn:oid:1.2.3.5"
    assert order.fields["TQ1-9.1"] == "S"


def test_a_logical_reference_is_enough_of_a_patient() -> None:
    subject = {"identifier": {"system": "urn:oid:1.2", "value": "X1"}}
    order = parse(service_request(contained=None, subject=subject))
    assert (order.patient.patient_id, order.patient.issuer, order.patient.name) == ("X1", "urn:oid:1.2", "")


def test_the_medical_record_number_is_preferred() -> None:
    contained = service_request()["contained"]
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    contained[0]["identifier"] = [{"system": "urn:oid:9", "value": "national"}, {"value": "old", "use": "old"},
                                  {"system": "urn:oid:1.2", "value": "M1", "type": kind}]
    assert parse(service_request(contained=contained)).patient.patient_id == "M1"


def test_a_study_instance_uid_is_taken() -> None:
    order = parse(service_request(identifier=[{"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.1"}]))
    assert order.study_instance_uid == "1.2.840.1"


@pytest.mark.parametrize(("told", "priority"), [
    ("routine", Priority.ROUTINE), ("urgent", Priority.URGENT), ("asap", Priority.URGENT), ("stat", Priority.STAT),
    (None, Priority.ROUTINE)])
def test_priorities(told: str | None, priority: Priority) -> None:
    assert parse(service_request(priority=told)).priority is priority


@pytest.mark.parametrize(("told", "status", "shown"), [
    ("active", "active", "active"), ("on-hold", "active", "on-hold"), ("revoked", "cancelled", "revoked"),
    ("entered-in-error", "cancelled", "revoked"), ("completed", "completed", "completed")])
def test_statuses(told: str, status: str, shown: str) -> None:
    order = parse(service_request(status=told))
    assert order.status == status
    assert order_resource(order)["status"] == shown


def test_the_same_identifier_is_the_same_order() -> None:
    first, changed = parse(service_request()), parse(service_request(status="revoked", priority="routine"))
    assert first.order_id == changed.order_id
    assert len(first.order_id) <= 64
    other = service_request()
    other["identifier"][0]["value"] = "PL-10"
    assert parse(other).order_id != first.order_id
    assert order_of(service_request(), "OTHER", "EHR").order_id != first.order_id


def test_what_was_read_reads_the_same_again() -> None:
    order = parse(service_request(identifier=[*service_request()["identifier"],
                                              {"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.1"}]))
    shown = order_resource(order)
    assert structure_problems(shown) == []
    assert content_problems(shown, "ServiceRequest") == []
    again = parse(shown)
    assert again.order_id == order.order_id
    assert again.patient == order.patient
    assert asdict(again) | {"fields": {}} == asdict(order) | {"fields": {}}


def test_the_stored_form_is_read() -> None:
    order = parse(service_request())
    form = json.loads(json.dumps(asdict(order))) | {"unknown": 1}
    assert order_from_json(form) == order


def _set(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda resource: resource.update({name: value})


@pytest.mark.parametrize(("change", "refusal", "element"), [
    (_set("status", "finished"), Unusable, "ServiceRequest.status"),
    (_set("status", "draft"), Unusable, "ServiceRequest.status"),
    (lambda r: r.pop("status"), Unusable, "ServiceRequest.status"),
    (_set("intent", "wish"), Unusable, "ServiceRequest.intent"),
    (_set("intent", "plan"), Unusable, "ServiceRequest.intent"),
    (_set("priority", "now"), Unusable, "ServiceRequest.priority"),
    (_set("doNotPerform", True), Unusable, "ServiceRequest.doNotPerform"),
    (lambda r: r.pop("subject"), Unusable, "ServiceRequest.subject"),
    (_set("subject", {"reference": "Patient/1"}), Unusable, "ServiceRequest.subject.identifier"),
    (_set("subject", {"reference": "#q"}), Unusable, "ServiceRequest.subject.reference"),
    (_set("subject", {"reference": "Group/1"}), Unusable, "ServiceRequest.subject"),
    (lambda r: r.pop("identifier"), Unusable, "ServiceRequest.identifier"),
    (_set("identifier", [{"system": "urn:dicom:uid", "value": "urn:oid:one"}]), Unusable,
     "ServiceRequest.identifier[0].value"),
    (_set("identifier", [{"value": "x" * 65}]), Unusable, "ServiceRequest.identifier[0].value"),
    (_set("colour", "red"), Unreadable, "ServiceRequest.colour"),
    (_set("authoredOn", "yesterday"), Unreadable, "ServiceRequest.authoredOn"),
    (_set("note", []), Unreadable, "ServiceRequest.note"),
    (_set("note", [{"text": "a\x00b"}]), Unreadable, "ServiceRequest.note[0].text"),
    (_set("note", [{"text": "\ud800"}]), Unreadable, "ServiceRequest.note[0].text"),
    (_set("subject", {"identifier": {"value": 5}}), Unreadable, "ServiceRequest.subject.identifier.value"),
    (_set("modifierExtension", [{"url": "http://x", "valueBoolean": True}]), Unusable,
     "ServiceRequest.modifierExtension"),
    (_set("resourceType", "Observation"), Unreadable, "resourceType"),
])
def test_refusals_name_the_element(change: Callable[[dict[str, Any]], Any], refusal: type[Rejected],
                                   element: str) -> None:
    resource = service_request()
    change(resource)
    with pytest.raises(refusal) as refused:
        parse(resource)
    assert refused.value.element == element
    assert refused.value.reason.endswith(".")


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"resourceType": NaN}', b"[" * 100_000, b'{"a":' * 100_000,
    b'{"resourceType": "ServiceRequest", "x": ' + b"1" * 10_000 + b"}", b"MSH|^~\\&|"])
def test_what_is_no_json_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse_resource(body, "ServiceRequest")


def test_refusals_repeat_no_values() -> None:
    resource = service_request(status="Иванова", authoredOn="Иванова")
    with pytest.raises(Rejected) as refused:
        parse(resource)
    assert "Иванова" not in refused.value.reason


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                         st.sampled_from(["value", "system", "reference", "coding", "code", "type", "text", "x"]),
                         inner, max_size=3), max_leaves=8)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(["identifier", "subject", "code", "contained", "requester", "note", "reasonCode", "status",
                             "authoredOn", "priority", "resourceType", "id"]), value=_JSON)
def test_whatever_stands_in_an_element_is_read_or_refused(name: str, value: Any) -> None:
    with suppress(Rejected):
        assert parse(service_request(**{name: value})).patient.patient_id
