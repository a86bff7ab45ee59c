"""The thread that hands studies over when they are complete: asleep until the earliest may be."""

from __future__ import annotations

import threading
import time

import structlog

from gateway.errors import Transient
from gateway.work import Work

log = structlog.get_logger()
_LONGEST_SLEEP = 30.0
_AFTER_FAULT = 1.0
_REST, _LONGEST_REST = 3.0, 0.15
"""Times a round's own duration, and seconds: while thousands of studies are received, a round is no trifle."""


class AssemblyClock:
    """`poke` after anything was heard of a study."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._poked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="assembly", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._poked.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def poke(self) -> None:
        self._poked.set()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            left = self._round()
            self._stopping.wait(min(_REST * (time.monotonic() - began), _LONGEST_REST))
            self._poked.wait(left)
            self._poked.clear()

    def _round(self) -> float:
        try:
            left = self._work.assemble_due()
        except Transient as error:
            log.warning("assembly_waits", error=str(error))
            return _AFTER_FAULT
        except Exception as error:
            # The clock must outlive any one study that cannot be planned; it is told, and tried again.
            log.exception("assembly_fault", error=type(error).__name__)
            return _AFTER_FAULT
        return _LONGEST_SLEEP if left is None else min(left, _LONGEST_SLEEP)
