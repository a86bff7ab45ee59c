"""HL7 v2 messages for tests, as a RIS and an ADT system send them; all people are made up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence

from adapters.hl7.content.framing import Block, Framer
from gateway.orders import InboundMessage


def msh(kind: str, control: str = "C1", version: str = "2.5.1", *, sender: str = "RIS|HOSP", accept: str = "",
        application: str = "", charset: str = "UNICODE UTF-8", time: str = "20240501120000") -> str:
    return "|".join(["MSH", "^~\\&", sender, "TRIAGE", "SITE", time, "", kind, control, "P", version, "", "", accept,
                     application, "", charset])


PID = "PID|1||1001^^^HOSP^MR||Muster^Erika^Anna^III^Dr.^^L||19611112|F"


def order(control: str = "C1", *, orc: str = "NW|PL1^HIS|FI1^RIS||||^^^^^S||20240501115900|||7^Ordering^Otto",
          obr: str = "", pid: str = PID, extra: Sequence[str] = (), kind: str = "ORM^O01^ORM_O01",
          **header: str) -> bytes:
    """ORM^O01 of one order; `orc`, `obr`: what follows the segment name, "" for the usual OBR."""
    usual = fields("OBR", {1: "1", 2: "PL1^HIS", 3: "FI1^RIS", 4: "24627-2^CT Chest^LN", 13: "smoker",
                           16: "9^House^Gregory^^^Dr.", 18: "ACC-77", 24: "CT", 31: "^Pulmonary embolism?"})
    lines = [msh(kind, control, **header), pid, "PV1|1|E|WARD1", "ORC|" + orc, obr or usual, *extra]
    return "\r".join(lines).encode() + b"\r"


def adt(trigger: str, *segments: str, control: str = "A1", **header: str) -> bytes:
    return "\r".join([msh(f"ADT^{trigger}", control, **header), "EVN||20240501", *segments]).encode() + b"\r"


def fields(name: str, values: dict[int, str]) -> str:
    """A segment by field numbers."""
    return "|".join([name, *(values.get(number, "") for number in range(1, max(values) + 1))])


def segments(answer: bytes) -> list[list[str]]:
    """The fields of each segment of one unframed message."""
    return [line.split("|") for line in answer.decode().rstrip("\r").split("\r")]


def frames(data: bytes) -> list[bytes]:
    return [event.content for event in Framer(1 << 25).feed(data) if isinstance(event, Block)]


class Client:
    """A plain MLLP client for tests."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._framer = Framer(1 << 25)
        self._read: list[bytes] = []

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answers(self, count: int = 1) -> list[bytes]:
        """That many answers, fewer when the peer closes."""
        while len(self._read) < count:
            data = self.socket.recv(65536)
            if not data:
                break
            self._read += [event.content for event in self._framer.feed(data) if isinstance(event, Block)]
        found, self._read = self._read[:count], self._read[count:]
        return found

    def closed(self) -> bool:
        """Waits until the peer closes (True) or says something."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


class MemoryLog:
    """gateway.orders.MessageLog in memory. `failing`: raised instead of storing, once it says so."""

    def __init__(self, failing: Callable[[Sequence[InboundMessage]], Exception | None] = lambda _: None) -> None:
        self.messages: dict[tuple[str, str], InboundMessage] = {}
        self.batches: list[int] = []
        self._failing = failing
        self._lock = threading.Lock()

    def record(self, batch: Sequence[InboundMessage]) -> list[bytes]:
        error = self._failing(batch)
        if error is not None:
            raise error
        with self._lock:
            self.batches.append(len(batch))
            return [self.messages.setdefault((m.sender.name, m.control_id), m).answer for m in batch]
