"""Connections before they are associations: who is let through, who is turned away, and at whose cost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.dicom.content import association_request as requests
from adapters.dicom.content.upper_layer import Context, associate_request, pdu
from adapters.dicom.transport.places import FLOOD, Activity, Places, who_gives_way
from adapters.dicom.transport.waiting_room import WaitingRoom

REQUEST = associate_request("CT", "TRIAGE", [Context(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",))])
LONG_REQUEST = associate_request("CT", "TRIAGE", [
    Context(2 * n + 1, f"1.2.840.10008.5.1.4.1.1.{n}", tuple(f"1.2.840.10008.1.2.4.{m}" for m in range(40)))
    for n in range(128)])


class Host:
    """A waiting room in front of a list. `full`: nobody is let in any more."""

    def __init__(self, patience: float, chairs: int) -> None:
        self.full = False
        self.admitted: list[socket.socket] = []
        self._came = threading.Condition()
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = listener.getsockname()[1]
        self.room = WaitingRoom(listener, self._admit, patience, chairs)
        self.room.start()

    def _admit(self, connection: socket.socket, _address: Any) -> bool:
        if not self.full:
            with self._came:
                self.admitted.append(connection)
                self._came.notify_all()
        return not self.full

    def guest(self, number: int = 1) -> socket.socket:
        with self._came:
            assert self._came.wait_for(lambda: len(self.admitted) >= number, 10)
            return self.admitted[number - 1]

    def connect(self, content: bytes = b"") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), 10)
        connection.sendall(content)
        return connection


Open = Callable[..., Host]


@pytest.fixture
def opened() -> Iterator[Open]:
    with ExitStack() as stack:
        def open_one(patience: float = 10, chairs: int = 8) -> Host:
            host = Host(patience, chairs)
            stack.callback(host.room.stop)
            stack.callback(lambda: [connection.close() for connection in host.admitted])
            return host

        yield open_one


def everything(connection: socket.socket) -> bytes:
    """What still comes until the other side closes."""
    received = b""
    with connection:
        try:
            while piece := connection.recv(4096):
                received += piece
        except ConnectionResetError:
            pass
    return received


@pytest.mark.parametrize("request_bytes", [REQUEST, LONG_REQUEST], ids=["short", "180 KB"])
def test_a_request_goes_on_unread(opened: Open, request_bytes: bytes) -> None:
    host = opened()
    connection = host.connect()
    sender = threading.Thread(target=connection.sendall, args=(request_bytes,))
    sender.start()
    guest = host.guest()
    received = b""
    while len(received) < len(request_bytes):
        received += guest.recv(65536)
    sender.join()
    assert received == request_bytes
    assert guest.getblocking()
    connection.close()


def test_a_request_that_comes_byte_by_byte_goes_on_once_it_is_whole(opened: Open) -> None:
    host = opened()
    connection = host.connect()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(len(REQUEST) - 1):
        connection.send(REQUEST[at:at + 1])
    assert not host.admitted
    connection.send(REQUEST[-1:])
    assert host.guest().recv(len(REQUEST)) == REQUEST
    connection.close()


def altered(at: int, value: int) -> bytes:
    return REQUEST[:at] + bytes([value]) + REQUEST[at + 1:]


@pytest.mark.parametrize(("content", "reason"), [
    (b"GET / HTTP/1.1\r\n\r\n", 1), (bytes(100), 1), (b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03", 2),
    (b"\x01\x00\xff\xff\xff\xff", 0), (pdu(1, b"abcd"), 6), (pdu(1, b"\xff" * 68), 6), (altered(74, 0x11), 6),
    (altered(10, 7), 6), (altered(77, 0xFF), 6), (pdu(1, REQUEST[6:74]), 6),
    (REQUEST.replace(b"\x20\x00\x00\x2e\x01", b"\x20\x00\x00\x2e\x02"), 6)],
    ids=["http", "zeros", "data first", "endless", "short", "nonsense", "unknown item", "title", "item too long",
         "no items", "even number"])
def test_what_is_no_request_is_aborted_at_once(opened: Open, content: bytes, reason: int) -> None:
    host = opened()
    assert everything(host.connect(content)) in {pdu(7, bytes((0, 0, 2, reason)))}
    assert not host.admitted


def test_who_says_nothing_is_closed_after_a_while_and_who_only_looks_is_forgotten(opened: Open) -> None:
    host = opened(patience=0.2)
    host.connect().close()
    assert everything(host.connect(REQUEST[:20])) == b""
    assert everything(host.connect()) == b""
    assert host.room.waiting == 0
    assert not host.admitted


def test_the_oldest_leaves_when_all_chairs_are_taken(opened: Open) -> None:
    host = opened(chairs=4)
    waiting = [host.connect(REQUEST[:5]) for _ in range(8)]
    assert [everything(connection) for connection in waiting[:4]] == [b""] * 4
    waiting[7].sendall(REQUEST[5:])
    assert host.guest().recv(len(REQUEST)) == REQUEST
    for connection in waiting:
        connection.close()


def test_who_finds_no_room_is_rejected_with_local_limit_exceeded(opened: Open) -> None:
    host = opened()
    host.full = True
    assert everything(host.connect(REQUEST)) == b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x02"


def test_stop_closes_everybody(opened: Open) -> None:
    host = opened()
    connection = host.connect(REQUEST[:7])
    host.connect(REQUEST)
    host.guest()
    host.room.stop()
    assert everything(connection) == b""
    with pytest.raises(ConnectionRefusedError):
        host.connect()


# ---------------------------------------------------------------- the request by itself


@given(st.data())
def test_a_request_is_judged_whatever_is_in_it(data: st.DataObject) -> None:
    request = bytearray(REQUEST)
    for at in data.draw(st.lists(st.integers(6, len(REQUEST) - 1), max_size=4)):
        request[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(request)))
    fault = requests.request_fault(bytes(request[:cut]))
    assert fault is None or (fault.text and fault.answer[0] == 7)


@given(st.integers(0, len(REQUEST) - 1))
def test_a_request_that_is_cut_short_is_faulty(length: int) -> None:
    assert requests.request_fault(REQUEST[:length]) is not None


# ---------------------------------------------------------------- places


def busy(age: float = 60) -> Activity:
    return Activity(age, 500_000, 0.01)


def silent(age: float) -> Activity:
    return Activity(age, 100, age)


def test_nobody_gives_way_to_a_newcomer_while_all_are_at_work_or_only_just_came() -> None:
    assert who_gives_way({n: busy() for n in range(100)}, 100) is None
    assert who_gives_way({1: silent(0.1), 2: silent(0.2)}, 2) is None
    assert who_gives_way({}, 2) is None


def test_in_a_flood_the_first_of_the_silent_gives_way_at_once() -> None:
    flood = {n: silent(0.01 * n) for n in range(60)}
    assert who_gives_way(flood | {n: busy() for n in range(60, 100)}, 100) == 59
    assert FLOOD < 60


def test_long_silence_and_longer_quiet_give_way() -> None:
    assert who_gives_way({1: busy(), 2: silent(6), 3: silent(1)}, 3) == 2
    assert who_gives_way({1: busy(), 2: Activity(90, 10**6, 31), 3: Activity(90, 10**6, 40)}, 3) == 3
    assert who_gives_way({1: busy(), 2: Activity(90, 10**6, 29)}, 2) is None


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = socket.create_connection(listener.getsockname(), 10)
        here, _ = listener.accept()
    return here, there


def test_a_place_is_free_again_when_its_connection_ends() -> None:
    places = Places(1)
    (here, there), (other, another) = pair(), pair()
    assert places.take(here)
    assert not places.take(other)
    there.close()
    assert here.recv(1) == b""
    assert places.take(other)
    here.close()
    other.close()
    third, fourth = pair()
    assert places.take(third)
    for connection in (another, third, fourth):
        connection.close()


def test_who_gives_way_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.dicom.transport.places.SILENT_SECONDS", 0.0)
    places = Places(2)
    pairs = [pair() for _ in range(3)]
    assert all(places.take(here) for here, _ in pairs)
    assert everything(pairs[0][1]) == pdu(7, bytes((0, 0, 2, 0)))
    pairs[1][1].sendall(b"still there")
    assert pairs[1][0].recv(100) == b"still there"
    for here, there in pairs:
        here.close()
        there.close()
