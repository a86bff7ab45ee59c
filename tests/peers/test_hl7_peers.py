"""Foreign HL7 software against our server and our messages: PyPI hl7's client and parser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from adapters.hl7.content.oru import OruEncoder
from adapters.hl7.transport.server import MllpServer
from gateway.settings import MllpSettings
from tests.builders import reading
from tests.hl7_ris import parsed
from tests.hl7_samples import MemoryLog, order

MLLP_SEND = Path(sys.executable).with_name("mllp_send")
pytestmark = pytest.mark.peer


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def send(port: int, file: Path) -> str:
    if not MLLP_SEND.exists():
        pytest.skip("mllp_send (PyPI hl7) is not installed")
    command = [str(MLLP_SEND), "--loose", "--port", str(port), "--file", str(file), "127.0.0.1"]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()


def test_mllp_send_gets_its_acknowledgements(log: MemoryLog, tmp_path: Path) -> None:
    file = tmp_path / "orders.hl7"
    cyrillic = order("TWO", pid="PID|1||7^^^HOSP^MR||\u0418\u0432\u0430\u043d\u043e\u0432^\u0418\u0432\u0430\u043d")
    file.write_bytes(order("ONE") + b"\n" + cyrillic)
    server = MllpServer(MllpSettings(port=0), "SITE", log)
    server.start()
    try:
        answers = send(server.port, file)
    finally:
        server.stop()
    assert "MSA|AA|ONE" in answers
    assert "MSA|AA|TWO" in answers
    names = [event.order.patient.name for m in log.messages.values() for event in m.events]
    assert names == ["Muster^Erika^Anna^Dr.^III", "\u0418\u0432\u0430\u043d\u043e\u0432^\u0418\u0432\u0430\u043d"]


def test_python_hl7_reads_our_oru_as_it_was_meant() -> None:
    told = reading("ct", result_fields={"summary": "5|6 & more\\less"})
    found = parsed(OruEncoder({}).encode(told, None, "ris").content)
    texts = [found.unescape(str(obx[5])) for obx in found.segments("OBX")]
    assert "5|6 & more\\less" in texts
    assert str(found.segment("PID")[5]) == "Muster^Erika^^^Dr.^^L^A"
