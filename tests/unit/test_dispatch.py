"""The thread that receives for many associations: shared waits, files behind answers, nobody kept waiting."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from adapters.dicom.transport import backlog, express, lull
from adapters.dicom.transport.channel import Answered
from adapters.dicom.transport.dispatch import Dispatcher
from adapters.dicom.transport.processors import Processors
from gateway.errors import Transient


class Object:
    """An answered object, whose file cannot be written the first `failures` times."""

    size = 1

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.asked = failures, 0
        self.filed = threading.Event()

    def abort(self) -> None:
        self.asked += 1
        if self.asked <= self.failures:
            raise Transient("not now")
        self.filed.set()


class Peer:
    """A channel and its peer's end: each byte `o` is a whole object, answered with `a`; `e` is for somebody else."""

    def __init__(self, dispatcher: Dispatcher, *objects: Object) -> None:
        self.socket, self._ours = socket.socketpair()
        self._ours.setblocking(False)
        self.descriptor, self._dispatcher = self._ours.fileno(), dispatcher
        self._objects, self.taken = list(objects), b""
        self.elsewhere = threading.Event()
        self.over = False

    def take(self, received: memoryview) -> bool:
        self.taken += bytes(received)
        if received[-1:] == b"o":
            self._dispatcher.is_whole(self)
        if received[-1:] in (b"e", b""):
            self.elsewhere.set()
            return False
        return True

    def answer(self) -> Answered | None:
        os.write(self.descriptor, b"a")
        return self._objects.pop(0)

    def is_quiet(self) -> bool:
        return False

    def send(self) -> None:
        self.socket.sendall(b"o")
        self.socket.settimeout(10)
        assert self.socket.recv(1) == b"a"


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    made = Dispatcher(lambda: True)
    made.start()
    yield made
    made.stop()


def test_what_is_answered_gets_its_file_when_nothing_comes(dispatcher: Dispatcher) -> None:
    objects = [Object() for _ in range(3)]
    peer = Peer(dispatcher, *objects)
    dispatcher.join(peer)
    for _ in objects:
        peer.send()
    assert all(one.filed.wait(10) for one in objects)


class TakenProcessors:
    """Stands for `Processors`: taken as often as it is asked until then, and whether files were written meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int, is_filed: Callable[[], bool]) -> None:
        self.filed: list[bool] = []
        self._left, self._is_filed = times, is_filed
        monkeypatch.setattr(lull, "QUIET_SECONDS", 1000)
        monkeypatch.setattr(lull, "PUT_OFF_SECONDS", 1000)
        monkeypatch.setattr(backlog, "LONGEST_WAIT_SECONDS", 1000)
        monkeypatch.setattr(Processors, "are_taken", lambda _: self.are_taken())

    def are_taken(self) -> bool:
        self.filed.append(self._is_filed())
        self._left -= 1
        return self._left >= 0


def test_files_wait_while_every_processor_is_taken(dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Object()
    processors = TakenProcessors(monkeypatch, 3, one.filed.is_set)
    peer = Peer(dispatcher, one)
    dispatcher.join(peer)
    peer.send()
    assert one.filed.wait(10)
    assert processors.filed[:4] == [False] * 4


def test_files_are_not_put_off_for_long_where_somebody_leaves(dispatcher: Dispatcher,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    one = Object()
    TakenProcessors(monkeypatch, 1_000_000, one.filed.is_set)
    peer = Peer(dispatcher, one)
    dispatcher.join(peer)
    peer.send()
    assert dispatcher.leave(peer)
    assert one.filed.is_set()


def test_a_file_that_cannot_be_written_is_tried_again_and_keeps_no_sender_waiting(dispatcher: Dispatcher) -> None:
    first, second = Object(failures=2), Object()
    peer = Peer(dispatcher, first, second)
    dispatcher.join(peer)
    peer.send()
    peer.send()
    assert first.filed.wait(10)
    assert second.filed.wait(10)
    assert first.asked == 3


def test_a_file_that_cannot_be_written_holds_up_no_other(dispatcher: Dispatcher) -> None:
    never, other = Object(failures=1_000_000), Object()
    peer = Peer(dispatcher, never, other)
    dispatcher.join(peer)
    peer.send()
    peer.send()
    assert other.filed.wait(10)
    assert not never.filed.is_set()


def test_leaving_waits_for_the_files_of_ones_own_objects(dispatcher: Dispatcher) -> None:
    one = Object(failures=1)
    peer = Peer(dispatcher, one)
    dispatcher.join(peer)
    peer.send()
    dispatcher.leave(peer)
    assert one.filed.is_set()


def test_what_is_for_somebody_else_is_read_no_more_until_it_is_given_back(dispatcher: Dispatcher) -> None:
    peer, other = Peer(dispatcher, Object()), Peer(dispatcher, Object())
    dispatcher.join(peer)
    dispatcher.join(other)
    peer.socket.sendall(b"e")
    assert peer.elsewhere.wait(10)
    peer.socket.sendall(b"o")
    other.send()
    assert peer.taken == b"e"
    dispatcher.join(peer)
    assert peer.socket.recv(1) == b"a"


def test_a_peer_that_has_gone_ends_nothing_else(dispatcher: Dispatcher) -> None:
    gone, other = Peer(dispatcher), Peer(dispatcher, Object())
    dispatcher.join(gone)
    dispatcher.join(other)
    gone.socket.close()
    assert gone.elsewhere.wait(10)
    other.send()


def test_who_joins_after_having_left_is_not_read_and_takes_nothing_of_the_next_with_its_number(
        dispatcher: Dispatcher) -> None:
    late, next_one = Peer(dispatcher), Peer(dispatcher, Object())
    late.over = True
    dispatcher.leave(late)
    late.descriptor = next_one.descriptor
    dispatcher.join(late)
    dispatcher.join(next_one)
    dispatcher.leave(late)
    next_one.send()
    assert (late.taken, next_one.taken) == (b"", b"o")


def test_after_its_end_nobody_waits() -> None:
    made = Dispatcher(lambda: True)
    made.start()
    made.stop()
    made.leave(Peer(made))


def test_who_is_recalled_has_got_what_was_read_before() -> None:
    dispatcher = Dispatcher(lambda: True)
    peer = Peer(dispatcher)
    peer.dispatched, told = True, list[str]()
    peer.recalled = lambda: told.append("recalled")
    peer.say_rest = lambda rest: told.append(f"rest {rest!r}")
    dispatcher._watch(peer)
    dispatcher.recall(peer)
    dispatcher._act([(dispatcher._flag, express.AS_ALWAYS, b""), (peer.descriptor, express.CAME, b"so far"),
                     (peer.descriptor, express.UNSENT, b"unsent")], memoryview(bytearray(9)))
    assert (peer.taken, told) == (b"so far", ["rest b'unsent'", "recalled"])


def test_an_order_that_fails_keeps_no_bytes_from_anybody() -> None:
    dispatcher = Dispatcher(lambda: True)
    failing, peer = Peer(dispatcher), Peer(dispatcher)
    for one in (failing, peer):
        dispatcher._watch(one)
    failing.take = _fail
    dispatcher._order(_fail)
    dispatcher.recall(peer)
    peer.dispatched, told = True, list[str]()
    peer.recalled = lambda: told.append("recalled")
    dispatcher._act([(failing.descriptor, express.CAME, b"x"), (dispatcher._flag, express.AS_ALWAYS, b""),
                     (peer.descriptor, express.CAME, b"so far")], memoryview(bytearray(9)))
    assert (peer.taken, told) == (b"so far", ["recalled"])


def _fail(*_: object) -> bool:
    raise RuntimeError("broken")
