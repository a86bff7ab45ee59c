"""ECG Observation → recording, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir.content.ecg import Recording, received, recording_of
from adapters.fhir.content.leads import lead_of
from adapters.fhir.content.sampled_data import millivolts
from adapters.fhir.content.structure import parse_resource
from gateway.errors import Rejected, Unusable
from tests.fhir_fakes import LEADS, component, ecg_observation, ecg_signal


def parse(resource: dict[str, Any]) -> Recording:
    return recording_of(parse_resource(json.dumps(resource).encode(), "Observation"), "SITE")


def test_twelve_leads_become_a_recording_in_millivolt() -> None:
    source = parse(ecg_observation()).source
    assert source.leads == LEADS
    assert source.rate == 500
    assert source.signal.dtype == np.float32
    np.testing.assert_allclose(source.signal, ecg_signal() / 1000, atol=1e-6)
    assert source.recorded_at == datetime(2026, 3, 14, 7, 15, tzinfo=UTC)
    assert (source.patient.patient_id, source.description) == ("P-1001", "EKG study")


def test_limb_leads_are_derived_from_two() -> None:
    source = parse(ecg_observation(leads=["V1", "V2", "V3", "V4", "V5", "V6", "II", "I"])).source
    np.testing.assert_allclose(source.signal, ecg_signal() / 1000, atol=1e-6)


def test_the_same_recording_has_the_same_id() -> None:
    assert parse(ecg_observation()).observation_id == parse(ecg_observation(status="amended")).observation_id
    other = ecg_observation(identifier=[{"system": "urn:oid:1.2.3.7", "value": "ECG-2"}])
    assert parse(other).observation_id != parse(ecg_observation()).observation_id


def test_without_identifier_the_content_is_the_identity() -> None:
    one, same = parse(ecg_observation(identifier=None)), parse(ecg_observation(identifier=None))
    assert one.source.key == same.source.key
    other = ecg_observation(identifier=None, effectiveDateTime="2026-03-14T10:15:01+03:00")
    assert parse(other).source.key != one.source.key


def test_age_and_order_come_along() -> None:
    based_on = [{"identifier": {"type": {"coding": [{"code": "ACSN"}]}, "value": "ACC-5"}}]
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1961-03-15", "identifier": [{"value": "P"}]}
    source = parse(ecg_observation(basedOn=based_on, contained=[patient], subject={"reference": "#p"})).source
    assert (source.accession_number, source.age_years) == ("ACC-5", 64)


def test_the_sender_gets_its_observation_and_the_study_back() -> None:
    recording = parse(ecg_observation())
    told = received(ecg_observation(), recording)
    assert told["id"] == recording.observation_id
    assert told["derivedFrom"][0]["identifier"]["value"] == f"urn:oid:{recording.source.study_instance_uid}"
    parse_resource(json.dumps(told).encode(), "Observation")


@pytest.mark.parametrize(("concept", "lead"), [
    ({"coding": [{"system": "urn:iso:std:iso:11073:10101", "code": "131392"}]}, "aVF"),
    ({"coding": [{"system": "urn:oid:2.16.840.1.113883.6.24", "code": "131389"}]}, "III"),
    ({"coding": [{"system": "urn:oid:1.2", "code": "5.6.3-9-3"}]}, "V1"),
    ({"coding": [{"code": "MDC_ECG_LEAD_AVR"}]}, "aVR"),
    ({"coding": [{"system": "http://loinc.org", "code": "X", "display": "Lead V6"}]}, "V6"),
    ({"coding": [{"code": "MDC_ECG_ELEC_POTL_II"}]}, "II"),
    ({"text": "lead avl"}, "aVL"), ({"text": "I"}, "I"), ({"text": "ECG Lead V3"}, "V3"),
    ({"coding": [{"system": "urn:oid:1.2", "code": "131392"}]}, ""), ({"text": "V7"}, ""), ({"text": "heart rate"}, ""),
    ({}, "")])
def test_leads_are_known_by_code_or_name(concept: dict[str, Any], lead: str) -> None:
    assert lead_of(concept) == lead


def sampled(data: str, **changes: Any) -> dict[str, Any]:
    return {"origin": {"value": 0, "unit": "mV"}, "period": 2, "dimensions": 1, "data": data} | changes


@pytest.mark.parametrize(("told", "expected"), [
    (sampled("1 -2 0.5"), [1, -2, 0.5]),
    (sampled("100 200", factor=0.01), [1, 2]),
    (sampled("1", origin={"value": 2, "unit": "mV"}), [3]),
    (sampled("1500", origin={"value": 0, "code": "uV", "unit": "microvolt"}), [1.5]),
    (sampled("1500", origin={"unit": "µV"}), [1.5]),
    (sampled("E 1 E"), [np.nan, 1, np.nan]),
    (sampled("L 1 U", lowerLimit=-5, upperLimit=5), [-5, 1, 5]),
    (sampled("L 1000 U", lowerLimit=-5000, upperLimit=5000, origin={"unit": "uV"}), [-5, 1, 5]),
    (sampled("1e1  2"), [10, 2]),
])
def test_samples(told: dict[str, Any], expected: list[float]) -> None:
    np.testing.assert_allclose(millivolts(told, "x"), expected)


@pytest.mark.parametrize(("told", "element"), [
    (sampled("1 x"), "x.data"), (sampled("nan"), "x.data"), (sampled("1e999"), "x.data"), (sampled("1-2"), "x.data"),
    (sampled(""), "x.data"), (sampled("U 1"), "x.upperLimit"), (sampled("L 1"), "x.lowerLimit"),
    (sampled("1", dimensions=2), "x.dimensions"), (sampled("1", origin={"value": 0}), "x.origin.unit"),
    (sampled("1", origin={"value": 0, "unit": "mmHg"}), "x.origin.unit"), (sampled("1500", factor=1e9), "x"),
    (sampled("1", factor=1e400), "x.factor"), (sampled("1", factor="one"), "x.factor")])
def test_bad_samples_are_refused(told: dict[str, Any], element: str) -> None:
    with pytest.raises(Unusable) as refused:
        millivolts(told, "x")
    assert refused.value.element == element


def _leads(*leads: str) -> Callable[[dict[str, Any]], None]:
    return lambda r: r.update(component=ecg_observation(leads=leads)["component"])


def _first(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda r: r["component"][0]["valueSampledData"].update(changes)


@pytest.mark.parametrize(("change", "element"), [
    (_leads("I", "II", "V1"), "Observation.component"),
    (_leads(*LEADS, "V1"), "Observation.component[12].code"),
    (_first(data="1 2 3"), "Observation.component"),
    (_first(period=4), "Observation.component"),
    (_first(period=0), "Observation.component[0].valueSampledData.period"),
    (lambda r: [c["valueSampledData"].update(period=1000) for c in r["component"]],
     "Observation.component[0].valueSampledData.period"),
    (lambda r: r["component"][3]["code"].update(coding=[{"code": "V9"}]), "Observation.component[3].code"),
    (lambda r: r.pop("component"), "Observation.component"),
    (lambda r: r.pop("effectiveDateTime"), "Observation.effectiveDateTime"),
    (lambda r: r.update(effectiveDateTime="2026-03-14"), "Observation.effectiveDateTime"),
    (lambda r: r.pop("subject"), "Observation.subject"),
    (lambda r: r.update(status="cancelled"), "Observation.status"),
    (lambda r: r.update(status="done"), "Observation.status"),
    (lambda r: r["component"][0]["valueSampledData"].pop("dimensions"),
     "Observation.component[0].valueSampledData.dimensions"),
])
def test_refusals_name_the_element(change: Callable[[dict[str, Any]], Any], element: str) -> None:
    resource = ecg_observation()
    change(resource)
    with pytest.raises(Unusable) as refused:
        parse(resource)
    assert refused.value.element == element


def test_other_components_are_left_alone() -> None:
    rate = {"code": {"text": "heart rate"}, "valueQuantity": {"value": 71}}
    observation = ecg_observation()
    observation["component"].insert(0, rate)
    assert parse(observation).source.signal.shape == (12, 200)


@settings(max_examples=60, deadline=None)
@given(data=st.text(st.sampled_from("0123456789 .eEUL+-x\n"), max_size=30),
       factor=st.floats(allow_nan=False, allow_infinity=False), unit=st.sampled_from(["mV", "uV", "V", "g"]))
def test_any_data_is_read_or_refused(data: str, factor: float, unit: str) -> None:
    told = component("I", [0], data=data, factor=factor, origin={"unit": unit})["valueSampledData"]
    with suppress(Rejected):
        values = millivolts(told, "x")
        assert values.ndim == 1
        assert not np.isinf(values).any()
