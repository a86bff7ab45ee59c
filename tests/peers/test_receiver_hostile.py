"""Peers that connect and say nothing, say it byte by byte, or talk nonsense: they cost the receiver neither threads nor
descriptors nor memory, and a good sender is served as if they were not there.

HOSTILE_CONNECTS (10,000) is how many connect without a byte, HOSTILE_REQUESTS (300) how many send a request.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from adapters.dicom.content import upper_layer as ul
from adapters.dicom.transport.association import Association, Peer
from tests.peers.gateway_process import await_that
from tests.peers.receiving import Receiver, made, memory, receiver

pytestmark = [pytest.mark.peer, pytest.mark.slow]
CONNECTS = int(os.environ.get("HOSTILE_CONNECTS", "10000"))
REQUESTS = int(os.environ.get("HOSTILE_REQUESTS", "300"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
CONTEXT = ul.Context(1, CTImageStorage, (ExplicitVRLittleEndian,))
REQUEST = ul.associate_request("HOSTILE", "TRIAGE", [CONTEXT])
MEGABYTE = 1024 * 1024
LONGEST_SECONDS = 2.0
"""A good sender's association, object and release, on a busy machine; an idle connection must not add its time-out."""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path / "data") as started:
        good(started, 0)
        yield started
        assert "dispatch_failed" not in started.log()


def good(running: Receiver, number: int) -> float:
    """Seconds that one sender takes for an association with one object."""
    study = f"1.2.826.0.1.3680043.8.498.67.{number}"
    uid, chance = f"{study}.1.1", random.Random(number)
    began = time.monotonic()
    with Association(Peer("127.0.0.1", running.port, "TRIAGE", "GOOD", 30),
                     [(CTImageStorage, ExplicitVRLittleEndian)]) as association:
        status = association.store(CTImageStorage, uid, ExplicitVRLittleEndian, made(uid, study, chance)).status
    assert status == 0
    return time.monotonic() - began


@dataclass(frozen=True)
class Cost:
    """What /proc says of the receiver."""

    threads: int
    descriptors: int
    memory: int

    @classmethod
    def of(cls, running: Receiver) -> Cost:
        pid = running.process.pid
        return cls(len(list(Path(f"/proc/{pid}/task").iterdir())), len(list(Path(f"/proc/{pid}/fd").iterdir())),
                   memory(pid, "VmRSS"))


@contextlib.contextmanager
def many_descriptors(number: int) -> Iterator[None]:
    """This process may open so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        pytest.skip(f"this process may open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connected(running: Receiver, content: bytes = b"") -> socket.socket:
    connection = socket.socket()
    connection.settimeout(30)
    connection.connect(("127.0.0.1", running.port))
    if content:
        with contextlib.suppress(OSError):
            connection.sendall(content)
    return connection


def served_without_delay(running: Receiver, flood: Callable[[int], None], number: int, every: int) -> None:
    """Runs `flood` for each number; every now and then a good sender calls."""
    took = []
    for n in range(number):
        flood(n)
        if n % every == every - 1:
            took.append(good(running, n + 1))
    assert max(took) < LONGEST_SECONDS, took
    assert median(took) < LONGEST_SECONDS / 4, took


def back_to_normal(running: Receiver, before: Cost, threads: int = 0) -> None:
    """Threads and descriptors as before, and no more memory than a few buffers."""
    def normal() -> bool:
        now = Cost.of(running)
        return now.threads <= before.threads + threads and now.descriptors <= before.descriptors + 2

    await_that(normal, 40, "threads and descriptors as before", lambda: (before, Cost.of(running)))
    assert Cost.of(running).memory < before.memory + 32 * MEGABYTE


def test_connects_without_a_byte_cost_nothing(running: Receiver) -> None:
    before = Cost.of(running)
    with many_descriptors(CONNECTS + 200), contextlib.ExitStack() as open_ones:
        served_without_delay(running, lambda _: open_ones.enter_context(connected(running)) and None,
                             CONNECTS, CONNECTS // 20)
        during = Cost.of(running)
        assert during.threads <= before.threads + 4
        assert during.descriptors <= before.descriptors + 600  # the chairs of the waiting room
        assert during.memory < before.memory + 32 * MEGABYTE
    back_to_normal(running, before)


def test_connects_that_end_at_once_cost_nothing(running: Receiver) -> None:
    before = Cost.of(running)
    served_without_delay(running, lambda _: connected(running).close(), 500, 100)
    back_to_normal(running, before)


def noise(chance: random.Random) -> bytes:
    """An association request with something wrong in it, or something else altogether."""
    content = bytearray(REQUEST)
    match chance.randrange(6):
        case 0:
            for _ in range(chance.randrange(1, 8)):
                content[chance.randrange(6, len(content))] = chance.randrange(256)
        case 1:
            content = content[:chance.randrange(len(content))]
        case 2:
            content[2:6] = chance.randbytes(4)
        case 3:
            content = bytearray(ul.pdu(1, chance.randbytes(chance.randrange(2000))))
        case 4:
            content = bytearray(chance.randbytes(300))
        case _:
            content[0] = chance.randrange(256)
    return bytes(content)


def test_malformed_requests_cost_nothing(running: Receiver) -> None:
    before, chance = Cost.of(running), random.Random(SEED)
    print(f"CHAOS_SEED={SEED}")
    with contextlib.ExitStack() as open_ones:
        served_without_delay(running, lambda _: open_ones.enter_context(connected(running, noise(chance))) and None,
                             REQUESTS, REQUESTS // 10)
        # Some pass as requests that are merely odd, and become associations that say nothing.
        assert Cost.of(running).threads < before.threads + REQUESTS // 4
    back_to_normal(running, before)


def test_associations_that_say_nothing_keep_no_sender_out(running: Receiver) -> None:
    """Three times as many as are allowed at the same time."""
    before = Cost.of(running)
    with contextlib.ExitStack() as open_ones:
        served_without_delay(running, lambda _: open_ones.enter_context(connected(running, REQUEST)) and None,
                             REQUESTS, REQUESTS // 10)
        during = Cost.of(running)
        assert during.threads <= before.threads + 2 * 100 + 70
    back_to_normal(running, before)


def half_a_command() -> bytes:
    command: dict[int, int | str] = {
        ul.AFFECTED_SOP_CLASS: CTImageStorage, ul.COMMAND_FIELD: ul.C_STORE_RQ, ul.MESSAGE_ID: 1, ul.PRIORITY: 0,
        ul.DATA_SET_TYPE: 0, ul.AFFECTED_SOP_INSTANCE: "1.2.3"}
    (whole,) = ul.command_pdus(1, ul.encode_command(command), 16384)
    return whole[:len(whole) // 2]


@pytest.mark.parametrize("content", [
    REQUEST[:3], REQUEST[:50], REQUEST + b"\x04\0", REQUEST + half_a_command(),
    REQUEST + ul.pdu(4, struct.pack(">IBB", 2, 1, 0))], ids=[
    "half a head", "half a request", "half a message's head", "half a command", "a data set without command"])
def test_slow_senders_keep_nobody_out(running: Receiver, content: bytes) -> None:
    """Each has sent something and then sends a byte now and then."""
    before, slow = Cost.of(running), []
    try:
        def one_more(n: int) -> None:
            slow.append(connected(running, content))
            with contextlib.suppress(OSError):
                slow[n // 2].send(b"\0")

        served_without_delay(running, one_more, 120, 20)
    finally:
        for connection in slow:
            connection.close()
    back_to_normal(running, before)
