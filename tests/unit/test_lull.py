"""When there is time for files, and whether the machine has a processor for them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.dicom.transport.lull import FEW, PATIENCE_SECONDS, PUT_OFF_SECONDS, QUIET_SECONDS, RESPITE_SECONDS, Lull
from adapters.dicom.transport.processors import Processors

MANY = FEW + 1


class Told(Processors):
    """One answer after the other, the last from then on."""

    def __init__(self, *taken: bool) -> None:
        self._answers = list(taken)

    def are_taken(self) -> bool:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def lull(*taken: bool, may_put_off: bool = True) -> Lull:
    return Lull(Told(*taken), lambda: may_put_off)


def test_on_a_machine_at_rest_it_is_here_at_once() -> None:
    assert lull(False).is_here(0.0, 0.0, MANY)


def test_while_every_processor_is_taken_it_comes_with_a_longer_quiet() -> None:
    asked = lull(True)
    asked.came = 100.0
    assert not asked.is_here(100.0 + QUIET_SECONDS - 0.001, 100.0, MANY)
    assert asked.is_here(100.001 + QUIET_SECONDS, 100.0, MANY)


def test_a_processor_that_is_free_for_an_instant_is_not_enough() -> None:
    asked = lull(True, False)
    asked.came = 100.0
    assert not asked.is_here(100.001, 100.0, MANY)
    assert not asked.is_here(100.003, 100.0, MANY)
    assert asked.is_here(100.002 + RESPITE_SECONDS, 100.0, MANY)


def test_who_leaves_waits_for_no_processor_for_ever() -> None:
    asked = lull(True)
    asked.came = 100.0 + PATIENCE_SECONDS
    assert not asked.is_here(100.0 + PATIENCE_SECONDS - 0.001, 100.0, MANY, 100.0)
    assert asked.is_here(100.001 + PATIENCE_SECONDS, 100.0, MANY, 100.0)


def test_who_leaves_waits_for_no_processor_where_there_are_few_files_to_write() -> None:
    asked = lull(True)
    asked.came = 100.0
    assert not asked.is_here(100.001, 100.0, FEW)
    assert not asked.is_here(100.001, 100.0, MANY, 100.0)
    assert asked.is_here(100.001, 100.0, FEW, 100.0)


def test_files_are_not_put_off_for_long_while_others_come() -> None:
    asked = lull(True)
    asked.came = 100.0 + PUT_OFF_SECONDS
    assert not asked.is_here(100.0 + PUT_OFF_SECONDS - 0.001, 100.0, MANY)
    assert asked.is_here(100.001 + PUT_OFF_SECONDS, 100.0, MANY)


def test_where_files_may_not_be_put_off_it_is_here_at_once() -> None:
    assert lull(True, may_put_off=False).is_here(0.0, 0.0, MANY)


def test_processors_are_taken_while_more_want_to_run_than_there_are() -> None:
    processors = Processors()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        deadline = time.monotonic() + 30
        while not processors.are_taken():
            assert time.monotonic() < deadline
    finally:
        for one in busy:
            one.kill()
            one.wait()
        processors.close()


def test_no_processor_is_taken_where_the_machine_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.dicom.transport.processors._LOAD", "/nowhere")
    processors = Processors()
    assert not processors.are_taken()
    processors.close()


@pytest.mark.parametrize("told", ["", "0.1 0.2 0.3", "0.1 0.2 0.3 x/y 1"])
def test_no_processor_is_taken_where_the_machine_tells_something_else(told: str, tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loadavg").write_text(told, encoding="ascii")
    monkeypatch.setattr("adapters.dicom.transport.processors._LOAD", str(tmp_path / "loadavg"))
    processors = Processors()
    assert not processors.are_taken()
    processors.close()
    assert not processors.are_taken()  # its descriptor is gone
