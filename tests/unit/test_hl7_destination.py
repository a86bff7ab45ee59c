"""Delivery over MLLP: only the acknowledgement that names our message counts, and what each answer means."""

from __future__ import annotations

import re
import socket

import pytest

from adapters.hl7.content.verdict import acknowledgement
from adapters.hl7.transport.destination import Hl7Destination
from adapters.web.sayings import said
from gateway.delivery import DeliveryState, Document, Kind, Receipt
from gateway.errors import Permanent, Transient
from gateway.settings import Hl7Destination as Configured
from tests.hl7_ris import Answers, ack, scripted
from tests.hl7_samples import msh

DOCUMENT = Document(Kind.ORU, "MINE", (msh("ORU^R01^ORU_R01", "MINE") + "\rPID|1||1||Secret^Name\r").encode())


def delivered(answers: Answers, *, close: bool = False, timeout: float = 10) -> Receipt:
    with scripted(answers, close=close) as port:
        settings = Configured(name="ris", type="hl7", host="127.0.0.1", port=port)
        return Hl7Destination(settings, timeout).deliver(DOCUMENT)


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_accepted_is_delivered_with_proof(code: str) -> None:
    receipt = delivered(lambda _: [ack(code, "MINE")])
    assert receipt.state is DeliveryState.DELIVERED
    assert receipt.facts == {"MSA-1": code, "MSA-2": "MINE", "foreign_acknowledgements": 0}


def test_stale_and_foreign_answers_are_read_past() -> None:
    answers = [ack("AA", "OLD"), ack("AR", "OLD"), b"garbage", ack("AA", ""), b"MSH|^~\\&|A\rPID|1\r",
               ack("AA", "MINE")]
    assert delivered(lambda _: answers).facts["foreign_acknowledgements"] == 5


def test_stale_answers_alone_prove_nothing() -> None:
    with pytest.raises(Transient):
        delivered(lambda _: [ack("AA", "OLD"), ack("AA", "MINE2")], close=True)
    with pytest.raises(Transient):
        delivered(lambda _: [ack("AA", "OLD")], timeout=0.3)


def test_a_flood_of_foreign_answers_ends() -> None:
    with pytest.raises(Transient):
        delivered(lambda _: [ack("AA", "OLD")] * 3000, close=True)


@pytest.mark.parametrize(("answer", "raised"), [
    (ack("AR", "MINE"), Permanent), (ack("CR", "MINE"), Permanent), (ack("AE", "MINE"), Permanent),
    (ack("AE", "MINE", "ERR||PID^1^3|101^x^HL70357|E"), Permanent),
    (ack("AE", "MINE", "ERR||PID^1^3|204^x^HL70357|E"), Permanent),
    (ack("AE", "MINE", "ERR|||207^x^HL70357|E"), Transient), (ack("CE", "MINE", "ERR|||206^x^HL70357|E"), Transient),
    (ack("AE", "MINE", "ERR|||207^x^HL70357|E", "ERR||PID^1^3|101^x^HL70357|E"), Permanent),
    (ack("AR", "MINE", "ERR|||207^x^HL70357|E"), Permanent),
    (ack("AE", "MINE", "ERR|PID^1^3^207&x&HL70357").replace(b"2.5.1", b"2.3"), Transient),
])
def test_refusals_for_now_and_for_good(answer: bytes, raised: type[Exception]) -> None:
    with pytest.raises(raised) as refused:
        delivered(lambda _: [answer])
    assert type(refused.value) is raised


def test_a_refusal_names_the_place_and_no_text_of_the_peer() -> None:
    with pytest.raises(Permanent) as refused:
        delivered(lambda _: [ack("AE", "MINE|Secret Name", "ERR||PID^1^5|101^Secret^HL70357|E||||Secret Name")])
    told = str(refused.value)
    assert re.fullmatch(r"ris \(127\.0\.0\.1:\d+\) refused it: AE, ERR PID-5 101 Required field missing\. Ask .*", told)


def test_every_failure_names_the_address_and_what_to_do() -> None:
    for close, timeout in ((True, 10.0), (False, 0.3)):
        with pytest.raises(Transient, match=r"ris \(127\.0\.0\.1:\d+\) .*Check that an MLLP receiver listens there"):
            delivered(lambda _: [], close=close, timeout=timeout)
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        away = Hl7Destination(Configured(name="ris", type="hl7", host="127.0.0.1", port=port), 1)
        for ask in (away.probe, lambda: away.deliver(DOCUMENT)):
            with pytest.raises(Transient, match=rf"ris \(127\.0\.0\.1:{port}\) .*connection refused\. Check") as told:
                ask()
            assert "Проверьте, что там работает приёмник MLLP" in said(str(told.value), "ru")


def test_a_connection_closed_without_an_answer_is_tried_again() -> None:
    with pytest.raises(Transient):
        delivered(lambda _: [], close=True)


def test_half_an_answer_is_none() -> None:
    with pytest.raises(Transient):
        delivered(lambda _: [b"\x0b" + ack("AA", "MINE")], close=True)


def test_only_oru_is_taken() -> None:
    destination = Hl7Destination(Configured(name="ris", type="hl7", host="127.0.0.1", port=1), 1)
    with pytest.raises(Permanent):
        destination.deliver(Document(Kind.SR, "1.2", b""))


@pytest.mark.parametrize("raw", [b"", b"garbage", b"MSH|^~\\&|A\r", b"MSH|^~\\&|A\rMSA|XX|1\r", b"MSH|^~\\&|A\rMSA|\r"])
def test_what_is_no_acknowledgement(raw: bytes) -> None:
    assert acknowledgement(raw) is None


def test_an_answer_in_another_character_set_than_it_says_is_still_an_answer() -> None:
    raw = ack("AA", "MINE|\u0418\u0432\u0430\u043d").decode().encode("cp1251")
    found = acknowledgement(raw)
    assert found is not None
    assert (found.code, found.control_id) == ("AA", "MINE")
