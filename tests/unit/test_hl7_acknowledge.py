"""What is answered: modes, codes, ERR in the form of each version."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st

from adapters.hl7.content.framing import Block, Event, Stray, TooLong, Truncated
from adapters.hl7.content.receive import Accepted, Refused, Site, receive
from adapters.hl7.content.segments import read
from tests.hl7_samples import PID, adt, fields, frames, order, segments

AT = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
SITE = Site("SITE", ZoneInfo("UTC"), 1 << 24)


def outcome(event: Event | bytes) -> Accepted | Refused:
    return receive(Block(event) if isinstance(event, bytes) else event, "127.0.0.1", AT, SITE)


def answers(event: Event | bytes) -> list[list[list[str]]]:
    found = outcome(event)
    return [segments(a) for a in frames(found.message.answer if isinstance(found, Accepted) else found.answer)]


def codes(event: Event | bytes) -> list[str]:
    return [answer[1][1] for answer in answers(event)]


def test_a_good_message_is_answered_aa_with_its_own_control_id() -> None:
    (answer,) = answers(order("CTRL-1"))
    msh, msa = answer
    assert msa == ["MSA", "AA", "CTRL-1"]
    assert msh[2:6] == ["TRIAGE", "SITE", "RIS", "HOSP"]
    assert msh[8] == "ACK^O01^ACK"
    assert msh[10:12] == ["P", "2.5.1"]
    assert msh[17] == "UNICODE UTF-8"


def test_an_answer_is_the_same_each_time_and_another_for_another_message() -> None:
    assert answers(order("A")) == answers(order("A"))
    assert answers(order("A"))[0][0][9] != answers(order("B"))[0][0][9]


@pytest.mark.parametrize(("accept", "application", "expected"), [
    ("", "", ["AA"]), ("AL", "NE", ["CA"]), ("AL", "", ["CA"]), ("AL", "AL", ["CA", "AA"]), ("NE", "AL", ["AA"]),
    ("NE", "NE", []), ("ER", "AL", ["AA"]), ("SU", "NE", ["CA"]), ("ER", "NE", []), ("", "AL", ["AA"]),
    ("al", "su", ["CA", "AA"]),
])
def test_modes_for_an_accepted_message(accept: str, application: str, expected: list[str]) -> None:
    assert codes(order(accept=accept, application=application)) == expected


@pytest.mark.parametrize(("accept", "application", "expected"), [
    ("", "", ["AE"]), ("AL", "NE", ["CE"]), ("AL", "AL", ["CE"]), ("NE", "AL", ["AE"]), ("NE", "ER", ["AE"]),
    ("SU", "AL", ["AE"]),
    ("ER", "NE", ["CE"]), ("SU", "NE", []), ("SU", "SU", []),
])
def test_modes_for_an_unusable_message(accept: str, application: str, expected: list[str]) -> None:
    assert codes(order(pid="PID|1", accept=accept, application=application)) == expected


def test_unreadable_in_enhanced_mode_is_cr() -> None:
    assert codes(order(kind="SIU^S12", accept="AL")) == ["CR"]


@pytest.mark.parametrize(("event", "code", "place", "condition"), [
    (order().replace(b"|C1|", b"||"), "AR", "MSH^1^10", "101"),
    (order(kind="SIU^S12"), "AR", "MSH^1^9^1^1", "200"), (order(kind="ADT^A01"), "AR", "MSH^1^9^1^2", "201"),
    (order(kind="ADT"), "AR", "MSH^1^9^1^2", "201"), (order(kind=""), "AR", "MSH^1^9", "101"),
    (order(version="2.2"), "AR", "MSH^1^12", "203"), (order(version="2.9"), "AR", "MSH^1^12", "203"),
    (order(version=""), "AR", "MSH^1^12", "101"), (order(charset="KOI8-R"), "AR", "MSH^1^18", "103"),
    (order(charset="ASCII", pid="PID|1||1||Ё"), "AR", "MSH^1^18", "102"), (order("9" * 200), "AR", "MSH^1^10", "102"),
    (b"garbage", "AR", "MSH^1^1", "100"), (b"", "AR", "MSH^1^1", "100"),
    (Stray(b"GET / HTTP/1.1"), "AR", "MSH^1^1", "100"),
    (Truncated(order()[:70]), "AR", "MSH^1^1", "100"), (TooLong(order()), "AR", "MSH^1^1", "102"),
    (order(pid="PID|1"), "AE", "PID^1^3", "101"), (order(orc="|P"), "AE", "ORC^1^1", "101"),
    (adt("A40", PID, "MRG|"), "AE", "MRG^1^1", "101"), (order(pid="NTE|1"), "AE", "PID^1", "100"),
])
def test_refusals_name_segment_and_field(event: Event | bytes, code: str, place: str, condition: str) -> None:
    ((_, msa, err),) = answers(event)
    assert msa[1] == code
    assert err[2] == place
    assert err[3].split("^")[0] == condition
    assert err[3].endswith("^HL70357")
    assert err[4] == "E"
    assert err[8].endswith(".")


@pytest.mark.parametrize("version", ["2.3", "2.3.1", "2.4"])
def test_before_2_5_err_1_carries_place_and_code_and_msa_3_the_sentence(version: str) -> None:
    ((msh, msa, err),) = answers(order(pid="PID|1", version=version))
    assert msh[11] == version
    assert msh[8] == ("ACK^O01" if version == "2.3" else "ACK^O01^ACK")
    assert msa == ["MSA", "AE", "C1", "PID-3, the patient identifier, is missing."]
    assert err == ["ERR", "PID^1^3^101&Required field missing&HL70357"]


def test_a_message_cut_off_or_too_long_is_still_answered_by_its_control_id() -> None:
    for event in (Truncated(order("CUT")[:70]), TooLong(order("CUT")), Stray(order("CUT"))):
        assert answers(event)[0][1][:3] == ["MSA", "AR", "CUT"]


def test_a_message_that_could_not_be_stored_is_answered_207() -> None:
    accepted = outcome(order(accept="AL"))
    assert isinstance(accepted, Accepted)
    (answer,) = frames(accepted.not_stored())
    assert segments(answer)[1][1] == "CE"
    assert segments(answer)[2][3].startswith("207^")


def test_an_answer_uses_the_senders_separators_and_character_set() -> None:
    raw = order(charset="8859/5", sender="РИС|HOSP").decode().replace("|", "#").encode("iso8859-5")
    accepted = outcome(raw)
    assert isinstance(accepted, Accepted)
    (answer,) = frames(accepted.message.answer)
    assert answer.decode("iso8859-5").startswith("MSH#^~\\&#TRIAGE#SITE#РИС#HOSP#")


def test_senders_without_a_name_are_told_apart_by_address() -> None:
    accepted = outcome(order(sender="|"))
    assert isinstance(accepted, Accepted)
    assert accepted.message.sender.name == "|127.0.0.1"


def test_refusals_tell_no_patient_data() -> None:
    refused = outcome(order(pid="PID|1||" + "SECRET" * 40 + "||Secret^Name"))
    assert isinstance(refused, Refused)
    assert b"SECRET" not in refused.answer
    assert "SECRET" not in str(refused.fault)


@pytest.mark.parametrize("version", ["2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"])
@pytest.mark.parametrize("pid", [PID, "PID|1"])
def test_hl7apy_takes_every_answer_in_strict_mode(version: str, pid: str) -> None:
    """All but 2.3, whose ACK has no structure of its own in hl7apy."""
    found = outcome(order(version=version, pid=pid))
    (answer,) = frames(found.message.answer if isinstance(found, Accepted) else found.answer)
    assert parse_message(answer.decode(), validation_level=VALIDATION_LEVEL.STRICT).validate()


@given(st.data())
def test_any_damage_is_taken_or_refused_with_a_readable_answer(data: st.DataObject) -> None:
    raw = bytearray(order(extra=["ZDS|1.2.3", "NTE|1||note"]))
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(raw)))
        raw[start:start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=4))
    found = outcome(bytes(raw))
    for answer in frames(found.message.answer if isinstance(found, Accepted) else found.answer):
        assert read(answer).first("MSA") is not None


def test_orders_with_ipc_are_recorded_with_their_raw_bytes() -> None:
    raw = order(kind="OMI^O23", obr=fields("OBR", {1: "1", 4: "X"}), extra=["IPC|A1"])
    accepted = outcome(raw)
    assert isinstance(accepted, Accepted)
    assert (accepted.message.raw, accepted.message.control_id, accepted.message.sender.name) == (raw, "C1", "RIS|HOSP")
    assert len(accepted.message.events) == 1
