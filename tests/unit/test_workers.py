"""Threads for work that may hang."""

from __future__ import annotations

import threading

from gateway.workers import Workers


def test_so_much_of_one_kind_is_done_at_once_and_nothing_twice() -> None:
    workers, ends = Workers("test", 5), threading.Event()

    def start(*key: str, at_once: int | None = None) -> bool:
        return workers.start(key, lambda: bool(ends.wait(30)), at_once=at_once)

    try:
        assert start("count", "pacs", "1", at_once=2)
        assert not start("count", "pacs", "1", at_once=2)
        assert start("count", "pacs", "2", at_once=2)
        assert not start("count", "pacs", "3", at_once=2)
        assert start("count", "other", "3", at_once=2)
        assert start("fetch", "pacs")
        assert not start("fetch", "pacs")
        assert start("fetch", "other")
        assert not start("fetch", "third")  # five are at work
    finally:
        ends.set()
    workers.wait(30)
    assert start("count", "pacs", "1", at_once=2)
