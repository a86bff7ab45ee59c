"""Orders, demographics and merges out of messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from adapters.hl7.content.faults import Fault
from adapters.hl7.content.orders import orders
from adapters.hl7.content.patients import merges, updates
from adapters.hl7.content.segments import read
from gateway.orders import MergePatients, PlaceOrder, UpdatePatient
from gateway.study import Order, Patient, Priority
from tests.hl7_samples import PID, adt, fields, order

ZONE = ZoneInfo("Europe/Moscow")


def placed(raw: bytes) -> list[Order]:
    found = []
    for event in orders(read(raw), "SITE", ZONE):
        assert isinstance(event, PlaceOrder)
        found.append(event.order)
    return found


def only(raw: bytes) -> Order:
    (found,) = placed(raw)
    return found


def test_an_order_as_a_ris_sends_it() -> None:
    found = only(order(extra=["ZDS|1.2.3.4^RIS^Application^DICOM"]))
    assert replace(found, order_id="", fields={}) == Order(
        order_id="", facility="SITE", accession_number="ACC-77", study_instance_uid="1.2.3.4",
        patient=Patient("1001", "HOSP", "Muster^Erika^Anna^Dr.^III", "19611112", "F"), placer_order_number="PL1",
        filler_order_number="FI1", priority=Priority.STAT, clinical_question="Pulmonary embolism?",
        requested_procedure_code="24627-2", requested_procedure_scheme="LN", requested_procedure_text="CT Chest",
        referring_physician="House^Gregory^^Dr.", status="active", placed_at="2024-05-01T11:59:00+03:00",
        sender="RIS|HOSP")
    wanted = {"PV1-2": "E", "OBR-4.1": "24627-2", "OBR-4.2": "CT Chest", "OBR-24": "CT", "MSH-3": "RIS",
              "MSH-4": "HOSP", "MSH-9": "ORM^O01", "ORC-7.6": "S", "ORC-2.2": "HIS"}
    assert wanted.items() <= found.fields.items()


@pytest.mark.parametrize("version", ["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.2"])
def test_every_version_gives_the_same_order(version: str) -> None:
    assert only(order(version=version)) == only(order())


def test_omi_takes_accession_number_and_study_uid_from_ipc() -> None:
    obr = fields("OBR", {1: "1", 2: "PL1", 4: "X^Y^L"})
    found = only(order(kind="OMI^O23^OMI_O23", obr=obr, extra=["IPC|ACC-9^RIS|RP1|1.2.840.5|SPS1|CT"]))
    assert (found.accession_number, found.accession_issuer, found.study_instance_uid) == ("ACC-9", "RIS", "1.2.840.5")
    assert found.fields["IPC-5"] == "CT"


def test_omg_takes_the_priority_from_tq1() -> None:
    found = only(order(kind="OMG^O19^OMG_O19", orc="NW|PL1|FI1", extra=["TQ1|1||||||||A^ASAP"]))
    assert found.priority is Priority.URGENT


def test_the_filler_number_stands_in_for_a_missing_accession_number() -> None:
    assert only(order(obr=fields("OBR", {1: "1", 2: "PL1", 4: "X"}))).accession_number == "FI1"


@pytest.mark.parametrize(("orc", "obr", "priority"), [
    ("||||^^^^^S", {}, "stat"), ("||||^^^^^STAT", {}, "stat"), ("||||^^^^^A", {}, "urgent"),
    ("||||^^^^^R", {}, "routine"),
    ("", {27: "^^^^^S"}, "stat"), ("", {27: "^^^^^asap"}, "urgent"), ("", {5: "U"}, "urgent"), ("", {}, "routine"),
    ("||||^^^^^R~^^^^^S", {}, "stat"), ("||||^^^^^R", {27: "^^^^^A"}, "urgent"), ("||||^^^^^X9", {}, "routine"),
])
def test_priorities(orc: str, obr: dict[int, str], priority: str) -> None:
    request = fields("OBR", {1: "1", 4: "X", 18: "A", **obr})
    assert only(order(orc="NW|PL1|" + orc, obr=request)).priority == priority


@pytest.mark.parametrize(("orc", "status"), [
    ("NW|P", "active"), ("XO|P", "active"), ("SC|P", "active"), ("SC|P|||CM", "completed"), ("SC|P|||CA", "cancelled"),
    ("CA|P", "cancelled"), ("DC|P", "cancelled"), ("OC|P", "cancelled"), ("CM|P", "completed"), ("RP|P", "cancelled"),
    ("nw|P", "active"), ("NW|P|||CM", "active"),
])
def test_order_control_codes(orc: str, status: str) -> None:
    assert only(order(orc=orc)).status == status


@pytest.mark.parametrize(("obr", "extra", "question"), [
    ({31: "^Embolism?~^Tumour?", 13: "smoker"}, [], "Embolism?; Tumour?"), ({13: "smoker"}, [], "smoker"),
    ({}, ["DG1|1||I26.9^Pulmonary embolism^I10"], "Pulmonary embolism"), ({}, ["NTE|1||line 1", "NTE|2||line 2"],
                                                                         "line 1\nline 2"), ({}, [], ""),
])
def test_clinical_question(obr: dict[int, str], extra: Sequence[str], question: str) -> None:
    request = fields("OBR", {1: "1", 4: "X", 18: "A", **obr})
    assert only(order(obr=request, extra=extra)).clinical_question == question


def test_several_orders_in_one_message() -> None:
    second = ["ORC|NW|PL2|FI2", fields("OBR", {1: "2", 2: "PL2", 3: "FI2", 4: "EKG^12 lead", 18: "ACC-78"})]
    found = placed(order(extra=["NTE|1||for the first", *second]))
    assert [(o.accession_number, o.requested_procedure_code) for o in found] == [
        ("ACC-77", "24627-2"), ("ACC-78", "EKG")]
    assert found[0].priority is Priority.STAT
    assert found[1].priority is Priority.ROUTINE
    assert len({o.order_id for o in found}) == 2


def test_several_requests_under_one_orc_share_its_study_and_are_told_apart() -> None:
    second = fields("OBR", {1: "2", 2: "PL1^HIS", 3: "FI2", 4: "CTA^CT Abdomen", 18: "ACC-78"})
    found = placed(order(kind="OMI^O23", extra=[second, "IPC|||1.2.3"]))
    assert [o.study_instance_uid for o in found] == ["1.2.3", "1.2.3"]
    assert [o.accession_number for o in found] == ["ACC-77", "ACC-78"]
    assert len({o.order_id for o in found}) == 2


def test_a_later_message_means_the_same_order() -> None:
    first = only(order())
    cancelled = only(order("C2", orc="CA|PL1^HIS", obr=fields("OBR", {1: "1"})))
    assert cancelled.order_id == first.order_id
    assert cancelled.status == "cancelled"
    assert only(order(orc="NW|PL1^OTHER")).order_id != first.order_id
    assert only(order(orc="NW|PL9^HIS", obr=fields("OBR", {18: "ACC-77"}))).order_id != first.order_id


def test_a_cancellation_needs_no_obr() -> None:
    raw = order(orc="CA|PL1^HIS").decode().split("\rOBR")[0].encode()
    assert only(raw).order_id == only(order()).order_id


@pytest.mark.parametrize(("raw", "element", "code"), [
    (order(pid="PID|1"), "PID-3", "101"), (order(pid="PID|1||^^^HOSP"), "PID-3", "101"),
    (order(pid="NTE|1"), "PID", "100"),
    (order(orc="|PL1"), "ORC-1", "101"), (order(orc="QQ|PL1"), "ORC-1", "103"),
    (order(orc="NW", obr=fields("OBR", {4: "X"})), "ORC-2", "101"),
    (order(extra=["ORC|"]), "ORC[2]-1", "101"), (order(extra=["ZDS|not a uid"]), "ZDS-1", "102"),
    (order(orc="NW|" + "9" * 200), "ORC-2", "102"), (order(pid="PID|1||" + "9" * 200), "PID-3", "102"),
    (order().replace(b"ORC|NW", b"ZZZ|NW"), "ORC", "100"),
])
def test_unusable_orders_name_the_place(raw: bytes, element: str, code: str) -> None:
    with pytest.raises(Fault) as refused:
        placed(raw)
    assert (refused.value.element, refused.value.code) == (element, code)


@pytest.mark.parametrize(("pid3", "expected"), [
    ("1^^^A^PI~2^^^B^MR", ("2", "B")), ("1^^^A^SS~2^^^B^PI", ("2", "B")), ("1^^^A~2^^^B", ("1", "A")),
    ("1^^^&1.2.3&ISO^MR", ("1", "1.2.3")), ("~2^^^B", ("2", "B")), ("7", ("7", "")),
])
def test_which_identifier_a_patient_is_known_by(pid3: str, expected: tuple[str, str]) -> None:
    patient = only(order(pid=f"PID|1||{pid3}")).patient
    assert (patient.patient_id, patient.issuer) == expected


@pytest.mark.parametrize(("pid5", "name"), [
    ("Иванов^Иван^Иванович", "Иванов^Иван^Иванович"), ("Alias^A^^^^^A~Legal^L^^^^^L", "Legal^L"),
    ("Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (r"A\S\B=C^D", "A B C^D"), ("", ""), ("Only^A^^^^^D", "Only^A"),
])
def test_names(pid5: str, name: str) -> None:
    assert only(order(pid=f"PID|1||1||{pid5}")).patient.name == name


@pytest.mark.parametrize(("born", "expected"), [
    ("19611112", "19611112"), ("196111121530+0100", "19611112"), ("1961", ""), ("19619912", ""), ("x", ""),
    ("1961 1 1", ""),
])
def test_birth_dates(born: str, expected: str) -> None:
    assert only(order(pid=f"PID|1||1||||{born}")).patient.birth_date == expected


def test_demographics() -> None:
    (event,) = updates(read(adt("A08", PID)), "SITE")
    assert event == UpdatePatient("SITE", Patient("1001", "HOSP", "Muster^Erika^Anna^Dr.^III", "19611112", "F"))


def test_a_merge_takes_the_identifier_of_the_same_issuer() -> None:
    (event,) = merges(read(adt("A40", PID, "MRG|5^^^OTHER^PI~900^^^HOSP^MR||||||Old^Name")), "SITE")
    assert isinstance(event, MergePatients)
    assert event.surviving.patient_id == "1001"
    assert event.prior == Patient("900", "HOSP", "Old^Name")


def test_a_merge_without_issuer_stays_with_the_surviving_ones() -> None:
    (event,) = merges(read(adt("A40", PID, "MRG|900")), "SITE")
    assert isinstance(event, MergePatients)
    assert event.prior == Patient("900", "HOSP")


def test_several_merges_in_one_message() -> None:
    found = merges(read(adt("A40", PID, "MRG|900", "PID|2||1002^^^HOSP", "PD1|", "MRG|901^^^HOSP")), "SITE")
    assert [(e.surviving.patient_id, e.prior.patient_id) for e in found if isinstance(e, MergePatients)] == [
        ("1001", "900"), ("1002", "901")]


@pytest.mark.parametrize(("segments", "element", "code"), [
    ((PID,), "MRG", "100"), ((PID, "MRG|"), "MRG-1", "101"), (("MRG|1",), "PID", "100"),
    ((PID, "MRG|1001^^^HOSP"), "MRG-1", "205"), ((PID, "MRG|1", "MRG|2"), "MRG[2]", "100"),
    ((PID, "MRG|1", PID), "MRG[2]", "100"),
])
def test_unusable_merges_name_the_place(segments: tuple[str, ...], element: str, code: str) -> None:
    with pytest.raises(Fault) as refused:
        merges(read(adt("A40", *segments)), "SITE")
    assert (refused.value.element, refused.value.code) == (element, code)
