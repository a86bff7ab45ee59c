"""No value of an exception or of a frame reaches the log."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from gateway.logs import configure_logs
from gateway.settings import LogSettings


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def fail() -> None:
    patient_name = "Doe^Jane"
    try:
        raise ValueError(f"cannot read {patient_name}")
    except ValueError as error:
        raise KeyError(patient_name) from error


@pytest.mark.parametrize("form", ["console", "json"])
def test_an_exception_is_told_by_type_and_place(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(format=form))
    try:
        fail()
    except KeyError as error:
        structlog.get_logger().exception("crashed", error=type(error).__name__)
        logging.getLogger("library").exception("crashed in a library")
    told = capsys.readouterr().err
    assert "Doe" not in told
    assert told.count("KeyError") >= 2
    assert "ValueError" in told
    assert "test_logs.py" in told
    if form == "json":
        assert json.loads(told.splitlines()[0])["event"] == "crashed"


def test_a_line_without_exception_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(format="json"))
    structlog.get_logger().error("told", number=1)
    assert "exception" not in json.loads(capsys.readouterr().err)


def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr("sys.stderr", full)
        configure_logs(LogSettings(format="json"))
        for _ in range(3):
            structlog.get_logger().warning("told_to_nobody")
        monkeypatch.undo()
        configure_logs(LogSettings(format="json"))  # what logs after this test has a stream that is open
        with contextlib.suppress(OSError):
            full.close()
