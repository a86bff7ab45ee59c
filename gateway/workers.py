"""Threads for work that may hang: one at a time for each key, so that nobody is held up by another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

import structlog

from gateway.errors import Transient

log = structlog.get_logger()


class Workers:
    """Bounded in number; daemon threads, so that a process can always end."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._busy: set[tuple[Hashable, ...]] = set()
        self._change = threading.Condition()

    def start(self, key: tuple[Hashable, ...], work: Callable[[], None], *, at_once: int | None = None) -> bool:
        """Do it in a thread, unless (False) something of the same key is being done, or too much is.

        `at_once`: how much may be done of what has the same key but for its last part.
        """
        with self._change:
            alike = sum(one[:-1] == key[:-1] for one in self._busy) if at_once else 0
            if key in self._busy or len(self._busy) >= self._most or alike >= (at_once or 1):
                return False
            self._busy.add(key)
        threading.Thread(target=self._do, args=(key, work), name=self._name, daemon=True).start()
        return True

    def wait(self, seconds: float) -> None:
        """Wait so long at most until nothing is being done."""
        with self._change:
            self._change.wait_for(lambda: not self._busy, timeout=seconds)

    def _do(self, key: tuple[Hashable, ...], work: Callable[[], None]) -> None:
        try:
            work()
        except Transient as error:
            log.warning("work_waits", part=self._name, error=str(error))
        except Exception as error:
            # What one piece of work meets must not end the others, and must be told.
            log.exception("work_fault", part=self._name, error=type(error).__name__)
        finally:
            with self._change:
                self._busy.discard(key)
                self._change.notify_all()
