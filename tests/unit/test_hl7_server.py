"""The MLLP server over loopback: stored, then acknowledged; every refusal useful, the next good message passes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from adapters.hl7.content.framing import frame
from adapters.hl7.transport.server import MllpServer
from gateway.errors import ConfigurationError, Transient
from gateway.orders import InboundMessage, PlaceOrder
from gateway.settings import MllpSettings
from tests.hl7_samples import Client, MemoryLog, order, segments


@contextmanager
def serving(log: MemoryLog, **settings: object) -> Iterator[MllpServer]:
    server = MllpServer(MllpSettings.model_validate({"port": 0} | settings), "SITE", log)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def msa(answer: bytes) -> tuple[str, str]:
    _, code, *control = segments(answer)[1]
    return code, (control or [""])[0]


def test_stored_before_acknowledged() -> None:
    log = MemoryLog()
    with serving(log) as server, Client(server.port) as client:
        client.send(frame(order("ONE")))
        assert msa(*client.answers()) == ("AA", "ONE")
        (stored,) = log.messages.values()
        assert stored.raw == order("ONE")
        assert isinstance(stored.events[0], PlaceOrder)
        assert stored.sender.address == "127.0.0.1"


def test_pipelined_messages_are_answered_in_order_and_stored_together() -> None:
    hold, held = threading.Event(), threading.Event()

    def wait(batch: Sequence[InboundMessage]) -> None:
        held.set()
        assert hold.wait(20)

    log = MemoryLog(wait)
    with serving(log) as server, Client(server.port) as client, Client(server.port) as other:
        client.send(frame(order("FIRST")))
        assert held.wait(20)
        client.send(b"".join(frame(order(f"C{n}")) for n in range(50)))
        other.send(frame(order("OTHER")))
        hold.set()
        assert [msa(a) for a in client.answers(51)] == [("AA", "FIRST"), *(("AA", f"C{n}") for n in range(50))]
        assert msa(*other.answers()) == ("AA", "OTHER")
    assert len(log.batches) < 52


def test_a_repeated_control_id_is_answered_again_and_kept_once() -> None:
    log = MemoryLog()
    with serving(log) as server, Client(server.port) as client:
        client.send(frame(order("SAME")) * 2)
        first, second = client.answers(2)
        assert first == second
        client.send(frame(order("SAME")))
        assert client.answers() == [first]
    assert len(log.messages) == 1


@pytest.mark.parametrize(("bad", "code", "sentence"), [
    (b"GET / HTTP/1.1\r\n\r\n", "AR", "outside of an MLLP frame"),
    (frame(b"garbage"), "AR", "does not begin with an MSH"),
    (frame(order().replace(b"|C1|", b"||")), "AR", "MSH-10"), (order(), "AR", "outside of an MLLP frame"),
    (frame(order(pid="PID|1||1||\u0401").replace("\u0401".encode(), b"\xa8\xff")), "AR", "not in the character set"),
    (frame(order(pid="PID|1")), "AE", "PID-3"),
])
def test_the_next_good_message_passes_on_the_same_connection(bad: bytes, code: str, sentence: str) -> None:
    log = MemoryLog()
    with serving(log) as server, Client(server.port) as client:
        client.send(bad)
        (refusal,) = client.answers()
        assert msa(refusal)[0] == code
        assert sentence in segments(refusal)[2][8]
        assert not log.messages
        client.send(frame(order("GOOD")))
        assert msa(*client.answers()) == ("AA", "GOOD")


def test_a_message_cut_off_by_its_sender_is_refused_and_not_stored() -> None:
    log = MemoryLog()
    with serving(log) as server, Client(server.port) as client:
        client.send(frame(order("CUT"))[:-2])
        client.socket.shutdown(socket.SHUT_WR)
        assert msa(*client.answers()) == ("AR", "CUT")
        assert client.closed()
    assert not log.messages


def test_a_message_that_starts_again_after_a_time_out_is_stored_once_and_whole() -> None:
    log = MemoryLog()
    with serving(log) as server, Client(server.port) as client:
        client.send(frame(order("AGAIN"))[:100])
        client.send(frame(order("AGAIN")))
        assert msa(*client.answers()) == ("AA", "AGAIN")
    assert [m.raw for m in log.messages.values()] == [order("AGAIN")]


def test_sixteen_megabytes_are_taken_and_one_byte_more_is_refused() -> None:
    log = MemoryLog()
    limit = 16 * 1024 * 1024
    short = order("BIG", extra=["NTE|1||"])
    big = short[:-1] + b"x" * (limit - len(short)) + b"\r"
    with serving(log) as server, Client(server.port) as client:
        client.send(frame(big))
        assert msa(*client.answers()) == ("AA", "BIG")
        assert log.messages[("RIS|HOSP", "BIG")].raw == big
        client.send(frame(big[:-1] + b"x\r"))
        (refusal,) = client.answers()
        assert msa(refusal) == ("AR", "BIG")
        assert str(limit) in segments(refusal)[2][8]
        assert client.closed()
        with Client(server.port) as second:
            second.send(frame(order("NEXT")))
            assert msa(*second.answers()) == ("AA", "NEXT")


def failing(error: Exception, times: int) -> Callable[[Sequence[InboundMessage]], Exception | None]:
    left = [error] * times
    return lambda _: left.pop() if left else None


def test_what_cannot_be_stored_is_answered_207_and_taken_when_it_comes_again() -> None:
    log = MemoryLog(failing(Transient("database is down"), 1))
    with serving(log) as server, Client(server.port) as client:
        client.send(frame(order("LATER")))
        (refusal,) = client.answers()
        assert msa(refusal) == ("AE", "LATER")
        assert segments(refusal)[2][3].startswith("207^")
        client.send(frame(order("LATER")))
        assert msa(*client.answers()) == ("AA", "LATER")


def test_one_message_that_breaks_the_log_does_not_harm_the_others() -> None:
    hold, held = threading.Event(), threading.Event()

    def broken(batch: Sequence[InboundMessage]) -> Exception | None:
        held.set()
        assert hold.wait(20)
        return ValueError("poison") if any(m.control_id == "BAD" for m in batch) else None

    with serving(MemoryLog(broken)) as server, Client(server.port) as client:
        client.send(frame(order("FIRST")))
        assert held.wait(20)
        client.send(frame(order("A")) + frame(order("BAD")) + frame(order("B")))
        hold.set()
        assert [msa(a) for a in client.answers(4)] == [("AA", "FIRST"), ("AA", "A"), ("AE", "BAD"), ("AA", "B")]


def test_commit_and_application_acknowledgement_on_one_connection() -> None:
    with serving(MemoryLog()) as server, Client(server.port) as client:
        client.send(frame(order("BOTH", accept="AL", application="AL")))
        assert [msa(a) for a in client.answers(2)] == [("CA", "BOTH"), ("AA", "BOTH")]


def test_an_idle_connection_is_closed_and_half_a_message_answered_first() -> None:
    with serving(MemoryLog(), idle_timeout=0.2) as server, Client(server.port) as idle, Client(server.port) as half:
        half.send(frame(order("HALF"))[:-1])
        assert msa(*half.answers()) == ("AR", "HALF")
        assert idle.closed()
        assert half.closed()


def test_idle_connections_delay_nobody() -> None:
    with serving(MemoryLog()) as server:
        idle = [Client(server.port) for _ in range(30)]
        with Client(server.port) as client:
            client.send(frame(order("GOOD")))
            assert msa(*client.answers()) == ("AA", "GOOD")
        for connection in idle:
            connection.socket.close()


def test_only_named_addresses_may_send() -> None:
    with serving(MemoryLog(), allowed_addresses=["10.0.0.0/8"]) as server, Client(server.port) as client:
        assert client.closed()
    with serving(MemoryLog(), allowed_addresses=["127.0.0.0/24"]) as server, Client(server.port) as client:
        client.send(frame(order("IN")))
        assert msa(*client.answers()) == ("AA", "IN")


def test_stop_answers_what_was_taken() -> None:
    hold, held = threading.Event(), threading.Event()

    def wait(batch: Sequence[InboundMessage]) -> None:
        held.set()
        assert hold.wait(20)

    log = MemoryLog(wait)
    server = MllpServer(MllpSettings(port=0), "SITE", log)
    server.start()
    with Client(server.port) as client:
        client.send(frame(order("LAST")))
        assert held.wait(20)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        hold.set()
        assert msa(*client.answers()) == ("AA", "LAST")
        stopping.join(20)
        assert not stopping.is_alive()
        with pytest.raises(ConnectionRefusedError):
            Client(server.port)


def test_it_can_be_started_again() -> None:
    log = MemoryLog()
    server = MllpServer(MllpSettings(port=0), "SITE", log)
    for control in ("ONE", "TWO"):
        server.start()
        with Client(server.port) as client:
            client.send(frame(order(control)))
            assert msa(*client.answers()) == ("AA", control)
        server.stop()


@pytest.mark.parametrize(("settings", "key"), [
    ({"host": "0.0.0.0"}, "mllp.allowed_addresses"), ({"allowed_addresses": ["nonsense"]}, "mllp.allowed_addresses"),
    ({"default_charset": "KOI8-R"}, "mllp.default_charset"),
    ({"sender_charsets": {"A|B": "?"}}, "mllp.sender_charsets"),
])
def test_settings_that_cannot_be_served_are_refused(settings: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigurationError, match=key):
        MllpServer(MllpSettings.model_validate(settings), "SITE", MemoryLog())


def test_a_port_in_use_is_refused() -> None:
    with serving(MemoryLog()) as server:
        second = MllpServer(MllpSettings(port=server.port), "SITE", MemoryLog())
        with pytest.raises(ConfigurationError, match="cannot listen"):
            second.start()
