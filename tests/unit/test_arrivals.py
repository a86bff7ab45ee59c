"""What came of a retrieval is what is here; what an archive says that it sent is waited for, not for ever."""

from __future__ import annotations

import threading
import time

import pytest

from gateway.arrivals import Arrivals
from gateway.errors import Transient
from gateway.fetching import ArchivedInstance, Fetched

WANTED = [ArchivedInstance("1.1", uid) for uid in ("a", "b", "c")]


def test_what_is_here_counts_and_only_a_word_is_waited_for() -> None:
    arrivals = Arrivals(lambda _: {"a", "z"}, lambda: True, patience=30)
    began = time.monotonic()
    assert arrivals.came("1", WANTED, Fetched(3)) == 1
    assert arrivals.came("1", WANTED, Fetched(1, 2, told=True)) == 1
    assert arrivals.came("1", WANTED, Fetched(1, 0, "The archive broke off.", told=True)) == 1
    assert time.monotonic() - began < 10


def test_what_the_archive_says_that_it_sent_is_given_up_in_time() -> None:
    arrivals = Arrivals(lambda _: set(), lambda: True, patience=0.1)
    assert arrivals.came("1", WANTED, Fetched(3, told=True)) == 0


def test_what_comes_a_moment_later_is_waited_for() -> None:
    here: set[str] = set()
    arrivals = Arrivals(lambda _: frozenset(here), lambda: True, patience=10)

    def come() -> None:
        for uid in ("a", "b", "c"):
            here.add(uid)
            arrivals.note()

    timer = threading.Timer(0.1, come)
    timer.start()
    assert arrivals.came("1", WANTED, Fetched(3, told=True)) == 3
    timer.join()


def test_other_studies_that_come_prolong_no_wait() -> None:
    arrivals = Arrivals(lambda _: set(), lambda: True, patience=0.3)
    over = threading.Event()

    def others() -> None:
        while not over.wait(0.01):
            arrivals.note()

    thread = threading.Thread(target=others)
    thread.start()
    try:
        assert arrivals.came("1", WANTED, Fetched(0, told=True)) == 0
    finally:
        over.set()
        thread.join()


def test_nothing_is_said_while_the_index_lags_behind() -> None:
    with pytest.raises(Transient):
        Arrivals(lambda _: {"a"}, lambda: False).came("1", WANTED, Fetched(3))


def test_a_gateway_that_stops_waits_for_nothing() -> None:
    arrivals = Arrivals(lambda _: set(), lambda: True, patience=60)
    threading.Timer(0.1, arrivals.stop).start()
    began = time.monotonic()
    assert arrivals.came("1", WANTED, Fetched(3, told=True)) == 0
    assert time.monotonic() - began < 30
