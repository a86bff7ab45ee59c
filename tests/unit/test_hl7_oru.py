"""ORU^R01: what a RIS sees, what a strict parser says, and that nothing unsure looks normal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adapters.hl7.content.observations import figures
from adapters.hl7.content.oru import OruEncoder
from adapters.hl7.content.segments import Message, Segment, read
from gateway.case import Completeness, Reading
from gateway.codes import Code
from gateway.documents import require_agreement
from gateway.identity import control_id
from gateway.result import Finding
from gateway.settings import Hl7Destination
from tests import builders
from tests.builders import reading

pytestmark = pytest.mark.slow

ENCODER = OruEncoder({"RIS": Hl7Destination(name="RIS", type="hl7", host="127.0.0.1", port=1,
                                            receiving_application="RISAPP", receiving_facility="HOSP")})


def message(of: Reading, destination: str = "RIS") -> Message:
    return read(ENCODER.encode(of, None, destination).content)


def one(of: Message, name: str) -> Segment:
    (found,) = of.all(name)
    return found


def observation(of: Message, identifier: str) -> Segment:
    (found,) = (obx for obx in of.all("OBX") if obx.get(3) == identifier)
    return found


def test_header_and_order() -> None:
    told = reading("ct")
    found = message(told)
    msh = found.header
    assert [msh.get(n) for n in (3, 4, 5, 6, 7, 11, 12)] == [
        "TRIAGE", "SITE", "RISAPP", "HOSP", "20260314102653+0100", "P", "2.5.1"]
    assert (msh.raw(9), msh.raw(10), msh.raw(18)) == (
        "ORU^R01^ORU_R01", control_id(told.run.run_id, "RIS"), "UNICODE UTF-8")
    obr = one(found, "OBR")
    assert (obr.raw(2), obr.raw(3), obr.raw(4)) == ("PL-1", f"{told.run.case_id}^TRIAGE", "24627-2^CT Chest^LN")
    assert [obr.get(n) for n in (7, 18, 22, 24, 25)] == [
        "20260314101500+0100", "ACC-77", "20260314102653+0100", "CT", "P"]
    assert obr.raw(16) == "^House^Gregory"
    assert one(found, "ORC").get(1) == "RE"


def test_patient() -> None:
    pid = one(message(reading("ct")), "PID")
    assert (pid.raw(3), pid.raw(5), pid.raw(7), pid.raw(8)) == (
        "P-1001^^^HOSP^PI", "Muster^Erika^^^Dr.^^L^A", "19611112", "F")


@pytest.mark.parametrize(("kind", "section"), [("ct", "CT"), ("ecg", "EC")])
def test_pathology_is_flagged_a(kind: str, section: str) -> None:
    told = reading(kind, "pathology")
    found = message(told)
    assert one(found, "OBR").get(24) == section
    verdict, first = observation(found, "verdict"), told.result.findings[0]
    assert (verdict.get(5), verdict.get(5, 4), verdict.get(8)) == ("263654008", "pathology", "A")
    assert observation(found, "risk").get(8) == "A"
    probability = observation(found, f"{first.label}.probability")
    assert [probability.get(n) for n in (2, 4, 5, 6, 7, 8, 11)] == ["NM", "1", "0.914", "1", "<0.50", "A", "P"]
    presence = observation(found, first.code.value)
    assert (presence.get(5), presence.get(5, 2), presence.get(8)) == ("52101004", "Present", "A")
    measured = observation(found, first.measurements[0].code.value)
    assert (measured.get(4), measured.get(6, 3)) == ("1", "UCUM")
    others = [observation(found, f"{f.label}.probability").get(8) for f in told.result.findings[1:]]
    assert set(others) == {"N"}


def test_normal_is_flagged_n() -> None:
    found = message(reading("ct", "normal"))
    assert observation(found, "verdict").get(8) == "N"
    assert {obx.get(8) for obx in found.all("OBX")} == {"N", ""}


@pytest.mark.parametrize("told", [
    reading("ct", "undetermined"), reading("ct", "normal", completeness=Completeness.PARTIAL)])
def test_what_is_not_sure_is_never_flagged_n(told: Reading) -> None:
    found = message(told)
    assert {obx.get(8) for obx in found.all("OBX")} == {""}
    text = " ".join(obx.get(5) for obx in found.all("OBX") if obx.get(2) == "TX")
    assert "not a normal result" in text or "incomplete" in text


def test_undetermined_says_why() -> None:
    found = message(reading("ct", "undetermined"))
    assert observation(found, "verdict").get(5, 2) == "Undetermined"
    assert observation(found, "quality").get(5).startswith("too-few-slices: ")


def test_every_observation_is_preliminary_and_names_model_and_time() -> None:
    for obx in message(reading("ct")).all("OBX"):
        assert (obx.get(11), obx.raw(18), obx.get(19)) == ("P", "chest_ct_classifier^1", "20260314102653+0100")


def test_observations_are_numbered_and_none_says_the_same_thing_twice() -> None:
    found = list(message(reading("ecg")).all("OBX"))
    assert [obx.get(1) for obx in found] == [str(n) for n in range(1, len(found) + 1)]
    assert len({(obx.raw(3), obx.raw(4)) for obx in found}) == len(found)


def test_study_uid_and_statement() -> None:
    told = reading("ct")
    found = message(told)
    assert observation(found, "113014").get(5) == told.study.study_instance_uid
    assert observation(found, "statement").get(5) == "Demonstration model, not for clinical use"
    assert "physician" in observation(message(reading("ecg")), "statement").get(5)


def test_a_later_result_keeps_obr_3_and_names_its_predecessor() -> None:
    first, later = reading("ct"), reading("ct", run_fields={"run_id": "f" * 24, "predecessor_run_id": "e" * 24,
                                                            "predecessor_sr_uid": "2.25.7", "number": 2})
    before, after = message(first), message(later)
    assert one(before, "OBR").raw(3) == one(after, "OBR").raw(3)
    assert before.header.raw(10) != after.header.raw(10)
    assert before.first("NTE") is None
    note = one(after, "NTE").get(3)
    assert control_id("e" * 24, "RIS") in note
    assert "2.25.7" in note
    assert one(after, "OBR").get(25) == "P"


def test_each_destination_gets_its_own_control_id() -> None:
    assert message(reading("ct"), "RIS").header.raw(10) != message(reading("ct"), "OTHER").header.raw(10)


def test_without_an_order_the_pipelines_procedure_is_named() -> None:
    bare = {"order": None, "accession_number": ""}
    obr = one(message(reading("ct", study_fields=bare, procedure=("24627-2", "LN", "CT Chest"))), "OBR")
    assert (obr.raw(2), obr.raw(4), obr.raw(18)) == ("", "24627-2^CT Chest^LN", "")
    assert one(message(reading("ct", study_fields=bare)), "OBR").raw(4) == "chest_ct^Chest^99TRIAGE"


def test_the_filler_number_stands_in_where_there_is_no_accession_number() -> None:
    order = builders.order(accession_number="", fields={"ORC-2.2": "HIS"})
    told = reading("ct", study_fields={"order": order, "accession_number": ""})
    obr = one(message(told), "OBR")
    assert (obr.raw(2), obr.raw(18)) == ("PL-1^HIS", "FI-1")
    require_agreement(told, [ENCODER.read_back(ENCODER.encode(told, None, "RIS"))])


@pytest.mark.parametrize("level", [VALIDATION_LEVEL.STRICT, VALIDATION_LEVEL.TOLERANT])
@pytest.mark.parametrize("told", [
    reading("ct"), reading("ecg", "normal"), reading("ct", "undetermined", language="ru"),
    reading("ecg", run_fields={"predecessor_run_id": "e" * 24}),
    reading("ct", study_fields={"of": builders.patient(patient_id="", name="", issuer="", birth_date="", sex="")}),
    reading("ct", study_fields={"of": builders.patient(name="Yamada^Tarou=山田^太郎=やまだ^たろう")}),
    reading("ct", result_fields={"summary": "a|b^c&d~e\\f\nsecond line"}),
    reading("ct", result_fields={"summary": "A sentence of six words. " * 20}),
], ids=range(8))
def test_hl7apy_validates_it(told: Reading, level: int) -> None:
    assert parse_message(ENCODER.encode(told, None, "RIS").content.decode(), validation_level=level).validate()


@settings(max_examples=15, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=40),
       st.text(max_size=60))
def test_any_text_comes_back_as_it_was(text: str, summary: str) -> None:
    patient_id = text.strip() or "1"
    assume(patient_id != '""')
    told = reading("ct", study_fields={"of": builders.patient(patient_id=patient_id, issuer="")},
                   result_fields={"summary": summary})
    document = ENCODER.encode(told, None, "RIS")
    require_agreement(told, [ENCODER.read_back(document)])


@given(st.floats(0, 1), st.floats(0, 1))
def test_figures_never_contradict_the_flag(probability: float, threshold: float) -> None:
    finding = Finding("X", Code("1", "SCT", "X"), "X", probability, threshold, 0.5)
    told, limit = figures(finding)
    assert (float(told) >= float(limit)) == finding.present
    assert abs(float(told) - probability) <= 0.0005


def test_a_probability_next_to_its_threshold_shows_its_side() -> None:
    told = reading("ct", findings=(replace(reading("ct").result.findings[0], probability=0.49996, measurements=(),
                                           region=None),), result_fields={"risk": 0.3})
    found = observation(message(replace(told, result=replace(told.result))), "opacity.probability")
    assert (found.get(5), found.get(7), found.get(8)) == ("0.49996", "<0.50", "N")
