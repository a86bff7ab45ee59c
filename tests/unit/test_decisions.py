"""The pure decisions: routing, assembly, triage, retry, matching. No server, no clock, no fake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.assembly import Handover, Heard, Wait, decide
from gateway.case import Completeness
from gateway.matching import StudyKey, match
from gateway.retry import Again, Dead, next_delivery, next_reading
from gateway.routing import check_condition, judge, matches, route_study
from gateway.settings import AssemblySettings, DeliverySettings, Route
from gateway.study import Instance, Order, Patient, Priority, Series, Study

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def study(*tags: dict[str, object], order: Order | None = None) -> Study:
    series = tuple(Series(f"1.{n}", str(t.get("Modality", "")), (Instance(
        f"1.{n}.1", "1.2", "1", f"1.{n}", "1.2.840.10008.1.2.1", "/x", 1, "d", t, NOW),))
        for n, t in enumerate(tags))
    return Study("SITE", "1", Patient("P"), series, order=order)


@pytest.mark.parametrize(("value", "condition", "expected"), [
    ("CT", "CT", True), ("ct", "CT", True), ("MR", "CT", False), (None, "CT", False),
    ("MR", ["CT", "MR"], True), (["ORIGINAL", "PRIMARY", "AXIAL"], "AXIAL", True),
    (["DERIVED", "SECONDARY"], "!= LOCALIZER", True), (["ORIGINAL", "LOCALIZER"], "!= LOCALIZER", False),
    ("Chest routine", "/chest|thorax/", True), ("Head", "/chest|thorax/", False), ("CHEST", "che*", True),
    (1.25, "<= 1.5", True), (2.0, "<= 1.5", False), ("3", "> 2", True), (None, "> 2", False), ("abc", "> 2", False),
    (None, "absent", True), ("", "absent", True), (0, "absent", False), ("x", "present", True), ([], "present", False),
    (5, {"all": ["> 2", "< 6"]}, True), (7, {"all": ["> 2", "< 6"]}, False), (7, {"not": "< 6"}, True),
    ("MR", {"any": ["CT", {"not": "US"}]}, True), (5, 5.0, True), ("5", 5, True), ("", "CT", False),
])
def test_conditions(value: object, condition: object, expected: bool) -> None:
    check_condition(condition)
    assert matches(value, condition) is expected


@pytest.mark.parametrize("condition", ["/(/", {}, {"nor": 1}, None, [None], "<= five", {"not": "> x"}])
def test_a_condition_that_cannot_be_understood_is_refused(condition: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_condition(condition)


def route(name: str, pipeline: str, **when: object) -> Route:
    return Route(name=name, pipeline=pipeline, when=when)


def test_dicom_conditions_must_hold_in_one_series_together() -> None:
    both = route("r", "p", Modality="CT", SliceThickness="< 2")
    apart = study({"Modality": "CT", "SliceThickness": 5}, {"Modality": "SR", "SliceThickness": 1})
    assert not judge(both, apart).taken
    assert judge(both, study({"Modality": "SR"}, {"Modality": "CT", "SliceThickness": 1})).taken


def test_the_first_match_of_each_pipeline_wins_and_reasons_carry_no_patient_data() -> None:
    routes = [route("a", "p", Modality="MR"), route("b", "p", Modality="CT"), route("c", "p"),
              route("d", "q", PatientID="X1"), route("e", "r", sender="CT2"),
              route("f", "s", **{"order.OBR-4.1": "71020"})]
    chosen, verdicts = route_study(routes, study({"Modality": "CT", "PatientID": "SECRET"}), "CT1")
    assert [r.name for r in chosen] == ["b"]
    assert "SECRET" not in " ".join(v.reason for v in verdicts)
    assert verdicts[0].reason == "Modality is 'CT', the rule wants 'MR'"


def test_rules_see_the_order() -> None:
    order = Order("o", "SITE", Patient("P"), priority=Priority.STAT, fields={"OBR-4.1": "71020"})
    with_order = study({"Modality": "CT"}, order=order)
    assert judge(route("a", "p", **{"order.OBR-4.1": "710*"}), with_order).taken
    assert judge(route("a", "p", **{"order.priority": ["stat", "urgent"]}), with_order).taken
    assert judge(route("a", "p", **{"order.priority": "stat"}), study({})).reason == "there is no order"


def test_assembly_hands_over_after_quiet_and_never_waits_beyond_the_cap() -> None:
    settings = AssemblySettings(quiet_seconds=5, max_wait_seconds=60)
    heard = Heard(NOW, NOW + timedelta(seconds=2))
    assert decide(heard, NOW + timedelta(seconds=3), settings) == Wait(NOW + timedelta(seconds=7))
    quiet = decide(heard, NOW + timedelta(seconds=7), settings)
    assert isinstance(quiet, Handover)
    assert quiet.completeness is Completeness.ASSUMED
    trickle = decide(Heard(NOW, NOW + timedelta(seconds=59)), NOW + timedelta(seconds=60), settings)
    assert isinstance(trickle, Handover)
    assert trickle.completeness is Completeness.PARTIAL


def test_silence_while_the_doors_were_shut_completes_no_study() -> None:
    settings = AssemblySettings(quiet_seconds=5, max_wait_seconds=60)
    interrupted = Heard(NOW - timedelta(hours=2), NOW - timedelta(hours=1))
    assert interrupted.since(None) == interrupted
    assert decide(interrupted.since(NOW), NOW, settings) == Wait(NOW + timedelta(seconds=5))


def test_delivery_backs_off_from_5_seconds_to_6_hours_over_7_days() -> None:
    settings = DeliverySettings()
    waits = []
    at = NOW
    attempts = 0
    while True:
        attempts += 1
        decision = next_delivery(attempts, NOW, at, settings)
        if isinstance(decision, Dead):
            break
        waits.append(decision.after)
        at += decision.after
    assert waits[0] == timedelta(seconds=5)
    assert waits == sorted(waits)
    assert max(waits) == timedelta(hours=6)
    assert timedelta(days=7) <= at - NOW <= timedelta(days=7, hours=6)


def test_reading_gives_up_after_the_configured_attempts() -> None:
    assert isinstance(next_reading(7, 8), Again)
    assert isinstance(next_reading(8, 8), Dead)
    assert next_reading(40, 100) == Again(timedelta(minutes=5))


def order(order_id: str, patient: str = "P", issuer: str = "", **fields: str) -> Order:
    return Order(order_id, "SITE", Patient(patient, issuer), **fields)


KEY = StudyKey("1.2.3", "A1", "", Patient("P", ""))


def test_matching_prefers_the_study_uid_and_demands_the_patient() -> None:
    by_accession, by_uid = order("a", accession_number="A1"), order("b", study_instance_uid="1.2.3")
    assert match(KEY, [by_uid, by_accession]).order == by_uid
    assert match(KEY, [by_accession]).order == by_accession
    assert match(KEY, [order("c", accession_number="A1", study_instance_uid="9.9")]).order is None
    other = match(KEY, [order("d", patient="Q", accession_number="A1")])
    assert other.order is None
    assert "another patient" in other.conflict
    assert match(KEY, [order("e", issuer="H", accession_number="A1")]).order is not None
    assert match(KEY, []).conflict == ""


def test_a_merged_patient_is_the_same_patient() -> None:
    def canonical(patient: Patient) -> tuple[str, str]:
        return patient.issuer, "NEW" if patient.patient_id == "OLD" else patient.patient_id

    key = StudyKey("1.2.3", "A1", "", Patient("OLD"))
    assert match(key, [order("a", patient="NEW", accession_number="A1")], canonical).order is not None


def test_a_cancelled_order_explains_nothing() -> None:
    assert match(KEY, [order("a", accession_number="A1", status="cancelled")]).order is None
