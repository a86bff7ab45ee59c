"""What lies like a request before is taken whole, and nothing else; nothing that came is lost, doubled or changed."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dicom.content import part10
from adapters.dicom.content import upper_layer as ul
from adapters.dicom.content.tags import EXPLICIT_LITTLE_ENDIAN, TagStream
from adapters.dicom.transport import express
from adapters.dicom.transport.express import AS_ALWAYS, CAME, ENDED, UNSENT
from gateway.intake import require_uids
from tests.alike import CLASS, Request, likeness, request

MODULE = express.compiled()
pytestmark = pytest.mark.skipif(MODULE is None, reason="there was no C compiler when the project was installed")


class Taken:
    """What `Alike` has taken; `durable`: what is said when it is to be synced."""

    def __init__(self) -> None:
        self.objects: list[tuple[str, bytes]] = []
        self.durable = self.wanted = True
        self.syncs = 0

    def take(self, context: object, uid: str, pieces: Sequence[memoryview]) -> bool:
        assert context == "context"
        if self.wanted:
            self.objects.append((uid, b"".join(pieces)))
        return self.wanted

    def sync(self) -> bool:
        self.syncs += 1
        return self.durable


class Line:
    """One association: its peer's end, and what was told of it."""

    def __init__(self, *known: Request, most: int = 256) -> None:
        self.peer, self.ours = socket.socketpair()
        self.ours.setblocking(False)
        self.poll, self.taken, self._most = select.epoll(), Taken(), most
        self.descriptor = self.ours.fileno()
        self.poll.register(self.descriptor, select.EPOLLIN)
        assert MODULE is not None
        self.alike: Any = MODULE.Alike(self.poll.fileno(), self.taken.take, self.taken.sync)
        self.alike.watch(self.descriptor)
        for one in known:
            self.alike.learn(self.descriptor, likeness(one), "context")
        self.rest, self.kinds = b"", list[int]()

    def look(self, timeout: float = 0) -> list[tuple[int, int, bytes]]:
        told, _, _ = self.alike.poll(timeout, 0.0, self._most)
        for descriptor, kind, come in told:
            assert descriptor == self.descriptor
            self.kinds.append(kind)
            self.rest += come
            if kind == AS_ALWAYS:
                self.rest += self.ours.recv(1 << 20)
        return list(told)

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.peer.sendall(piece)
            while self.look():
                pass

    def answers(self) -> list[dict[int, int | str]]:
        self.peer.setblocking(False)
        try:
            received = self.peer.recv(1 << 20)
        except BlockingIOError:
            return []
        found = []
        while received:
            _, length = ul.pdu_head(received[:6])
            found.append(ul.decode_command(received[12:6 + length]))
            received = received[6 + length:]
        return found

    def close(self) -> None:
        for one in (self.peer, self.ours, self.poll):
            one.close()


@contextmanager
def line(*known: Request, most: int = 256) -> Iterator[Line]:
    made = Line(*known, most=most)
    try:
        yield made
    finally:
        made.close()


def uids_of(dataset: bytes, uid: str) -> dict[str, str]:
    """As they are read one by one. Raises GatewayError where an object would be refused."""
    stream = TagStream(part10.build(part10.FileMeta(CLASS, uid, EXPLICIT_LITTLE_ENDIAN, "CT")))
    stream.feed(dataset)
    uids = dict(stream.uids())
    require_uids(uids, {"SOPClassUID": CLASS, "SOPInstanceUID": uid})
    return uids


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


def test_alike_are_taken_and_answered_in_order() -> None:
    sent = [request(number) for number in range(10, 30)]
    with line(sent[0]) as one:
        one.send(*(each.encoded for each in sent))
        assert one.taken.objects == [(each.uid, each.dataset) for each in sent]
        assert one.answers() == [ul.decode_command(each.response) for each in sent]
        assert (one.rest, one.kinds) == (b"", [])


@pytest.mark.parametrize("longest", [900, 1000, 16384])
def test_whatever_fragments_it_comes_in(longest: int) -> None:
    sent = [request(number, longest) for number in range(10, 14)]
    with line(sent[0]) as one:
        one.send(*(each.encoded for each in sent))
        assert one.taken.objects == [(each.uid, each.dataset) for each in sent]


mixed = st.lists(st.tuples(st.integers(10, 99), st.one_of(st.none(), st.integers(0, 1 << 20))), max_size=5)


@settings(max_examples=300, deadline=None)
@given(sent=mixed, cuts=st.lists(st.integers(0, 20_000), max_size=8), lost=st.integers(0, 3000), end=st.booleans())
def test_what_is_taken_is_what_was_sent_and_the_rest_is_handed_over(
        sent: list[tuple[int, int | None]], cuts: list[int], lost: int, end: bool) -> None:
    """`sent`: numbers, and a bit that is another in them; `lost`: so much is missing at the end."""
    messages = [request(number).encoded if bit is None else flipped(request(number).encoded, bit)
                for number, bit in sent]
    stream = b"".join(messages)
    stream = stream[:max(0, len(stream) - lost)] if end else stream
    with line(request(50)) as one:
        places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
        one.send(*(stream[start:stop] for start, stop in pairwise(places)))
        one.rest += one.alike.forget(one.descriptor)
        taken = one.taken.objects
        assert b"".join(messages[:len(taken)]) + one.rest == stream
        for (uid, dataset), message in zip(taken, messages, strict=False):
            assert uids_of(dataset, uid)["SOPInstanceUID"] == uid
            assert message.endswith(dataset[-2000:])
        answers = one.answers()
        assert [answer[ul.AFFECTED_SOP_INSTANCE] for answer in answers] == [uid for uid, _ in taken]
        assert all(answer[ul.STATUS] == 0 for answer in answers)


@settings(max_examples=500, deadline=None)
@given(bit=st.integers(0, 8 * 900))
def test_what_differs_where_it_must_not_goes_the_long_way(bit: int) -> None:
    """The bits of the command set and of the elements before the pixels, one after another."""
    known, other = request(50), request(51)
    changed = flipped(other.encoded, bit)
    with line(known) as one:
        one.send(changed)
        if one.taken.objects:
            (uid, dataset), = one.taken.objects
            assert uids_of(dataset, uid)["StudyInstanceUID"] == uids_of(known.dataset, known.uid)["StudyInstanceUID"]
            assert changed.endswith(dataset)
        else:
            assert one.rest + one.alike.forget(one.descriptor) == changed
            assert not one.answers()


def test_what_is_not_durable_is_not_answered_and_handed_over() -> None:
    with line(request(50)) as one:
        one.taken.durable = False
        one.send(request(51).encoded)
        assert (one.kinds, one.rest) == ([CAME], request(51).encoded)
        assert not one.answers()


def test_what_is_not_wanted_is_handed_over() -> None:
    with line(request(50)) as one:
        one.taken.wanted = False
        one.send(request(51).encoded)
        assert (one.kinds, one.rest, one.taken.syncs) == ([CAME], request(51).encoded, 0)


def test_an_exception_is_no_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    with line(request(50)) as one:
        raised = []
        monkeypatch.setattr("sys.unraisablehook", raised.append)
        monkeypatch.setattr(one.taken, "objects", None)
        one.send(request(51).encoded)
        assert (one.kinds, one.rest) == ([CAME], request(51).encoded)
        assert len(raised) == 1


def test_several_share_a_sync() -> None:
    first, second = Line(request(50)), socket.socketpair()
    second[1].setblocking(False)
    first.poll.register(second[1].fileno(), select.EPOLLIN)
    first.alike.watch(second[1].fileno())
    first.alike.learn(second[1].fileno(), likeness(request(50)), "context")
    first.peer.sendall(request(51).encoded)
    second[0].sendall(request(52).encoded)
    first.look()
    assert sorted(uid for uid, _ in first.taken.objects) == [request(51).uid, request(52).uid]
    assert first.taken.syncs == 1
    for one in (*second, first):
        one.close()


def test_an_end_is_told_with_what_had_come() -> None:
    with line(request(50)) as one:
        one.send(request(51).encoded[:200])
        one.peer.shutdown(socket.SHUT_WR)
        one.look()
        assert (one.kinds, one.rest) == ([ENDED], request(51).encoded[:200])


def test_a_message_that_stops_is_handed_over() -> None:
    with line(request(50)) as one:
        one.send(request(51).encoded[:200])
        assert one.kinds == []
        one.look(0.3)
        assert (one.kinds, one.rest) == ([CAME], request(51).encoded[:200])


def test_nothing_is_taken_where_nothing_may_be() -> None:
    with line(request(50)) as one:
        one.send(request(51).encoded[:200])
        told, taken, _ = one.alike.poll(0.0, 0.0, 0)
        assert (told, taken) == ([(one.descriptor, CAME, request(51).encoded[:200])], 0)
        one.alike.watch(one.descriptor)
        one.peer.sendall(request(52).encoded)
        assert one.alike.poll(0.0, 0.0, 0)[0] == [(one.descriptor, AS_ALWAYS, b"")]


def test_what_cannot_be_said_now_is_told() -> None:
    with line(request(50)) as one:
        one.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        while not one.kinds:
            one.send(request(51).encoded)
        assert one.kinds == [UNSENT]
        whole = ul.command_pdu(5, request(51).response)
        assert whole.endswith(one.rest)
        assert one.rest
        said = sum(len(ul.command_pdu(5, request(51).response)) for _ in one.taken.objects) - len(one.rest)
        assert len(one.peer.recv(1 << 20)) == said


def test_after_so_many_somebody_may_see_to_them() -> None:
    with line(request(50), most=1) as one:
        one.peer.sendall(request(51).encoded)
        assert one.alike.poll(5.0, 5.0, 1) == ([], 1, True)


def test_a_likeness_that_contradicts_itself_is_none() -> None:
    what = likeness(request(50))
    assert what is not None
    with line() as one:
        for name in what._fields:
            value = getattr(what, name)
            for wrong in {int: [1 << 20, -1], bytes: [b"", b"x" * 5000]}.get(type(value), [((1 << 20), 5)]):
                if (name, wrong) == ("behind", b""):
                    continue  # nothing stands there where there are no pixels
                changed = what._replace(**{name: wrong})
                with pytest.raises((ValueError, TypeError)):
                    one.alike.learn(one.descriptor, changed, "context")


def test_the_oldest_of_many_goes() -> None:
    known = [request(number) for number in range(50, 60)]
    other = [Request(one.number, one.uid, one.dataset, 900 + 2 * one.number) for one in known]
    with line(*other) as one:
        one.send(other[-1].encoded)
        assert len(one.taken.objects) == 1
        one.send(other[0].encoded)
        assert one.kinds == [CAME]


def test_who_sends_byte_by_byte_keeps_nobody_waiting() -> None:
    with line(request(50)) as one:
        over = threading.Event()

        def dribble() -> None:
            for byte in request(51).encoded:
                if over.wait(0.001):
                    return
                one.peer.sendall(bytes([byte]))

        peer = threading.Thread(target=dribble)
        peer.start()
        looks = 0
        while not one.look(0.25):
            looks += 1
            assert looks < 50
        over.set()
        peer.join()
        assert one.kinds == [CAME]
        assert request(51).encoded.startswith(one.rest)
        assert len(one.rest) < len(request(51).encoded)


def test_what_lies_so_is_learnt_once() -> None:
    with line(request(50)) as one:
        for _ in range(8):
            one.alike.learn(one.descriptor, likeness(request(50)), "another context")
        one.send(request(51).encoded)
        assert len(one.taken.objects) == 1


def test_after_a_pause_nothing_is_compared_amid_a_message() -> None:
    with line(request(50)) as one:
        one.peer.sendall(request(51).encoded)
        assert one.alike.poll(0.0, 0.0, 0)[0] == [(one.descriptor, AS_ALWAYS, b"")]
        one.ours.recv(100)
        assert one.alike.poll(0.0, 0.0, 9)[0] == [(one.descriptor, AS_ALWAYS, b"")]
