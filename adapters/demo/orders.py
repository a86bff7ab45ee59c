"""The demonstration's RIS: places orders over MLLP and takes results, acknowledging each."""

from __future__ import annotations

import socket
import socketserver
import threading
from datetime import UTC, datetime

from adapters.demo.scenario import Scenario
from adapters.hl7.content.acknowledge import answer
from adapters.hl7.content.framing import Block, Framer, frame
from adapters.hl7.content.header import header_of
from adapters.hl7.content.segments import escape, read
from adapters.hl7.content.verdict import acknowledgement
from gateway.errors import Transient

_LIMIT = 16 * 1024 * 1024


def order_message(scenario: Scenario, number: int) -> bytes:
    """ORM^O01 (2.5.1) of a scenario, UTF-8."""
    patient = scenario.patient
    assert patient is not None
    code, text, scheme = scenario.procedure.split("^")
    name = "^".join(escape(part) for part in patient.name.split("^"))
    segments = [
        f"MSH|^~\\&|RIS|HOSPITAL|TRIAGE|SITE|20260105080000||ORM^O01^ORM_O01|DEMO{number:05d}|P|2.5.1"
        "||||||UNICODE UTF-8",
        f"PID|1||{patient.patient_id}^^^{patient.issuer}^MR||{name}||{patient.birth_date}|{patient.sex}",
        "PV1|1|E",
        f"ORC|NW|P{number:05d}^RIS|F{number:05d}^RIS||SC",
        f"OBR|1|P{number:05d}^RIS|F{number:05d}^RIS|{code}^{text}^{scheme}|||||||||{escape(scenario.question)}|||||"
        f"{scenario.accession_number}|||||||||^^^^^{scenario.priority}",
    ]
    return ("\r".join(segments) + "\r").encode()


def place(host: str, port: int, message: bytes) -> str:
    """Send one message; returns MSA-1. Raises Transient when nothing comes back."""
    framer = Framer(_LIMIT)
    with socket.create_connection((host, port), 10) as connection:
        connection.sendall(frame(message))
        while data := connection.recv(65536):
            for event in framer.feed(data):
                if isinstance(event, Block) and (told := acknowledgement(event.content)) is not None:
                    return told.code
    raise Transient("the gateway closed the connection without an acknowledgement")


class ResultReceiver:
    """Takes ORU^R01 and keeps them. `received`: message bytes in order."""

    def __init__(self) -> None:
        receiver = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                framer = Framer(_LIMIT)
                while data := self.request.recv(65536):
                    for event in framer.feed(data):
                        if isinstance(event, Block):
                            receiver.received.append(event.content)
                            header = header_of(read(event.content))
                            self.request.sendall(answer(header, "HOSPITAL", datetime.now(UTC)))

        self.received: list[bytes] = []
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="demo-ris", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
