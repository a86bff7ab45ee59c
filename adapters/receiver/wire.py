"""What the engine's process and a receiver process tell each other: JSON, one line each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway import json_text
from gateway.intake import SenderLeft
from gateway.ports import Outcome, Stored
from gateway.settings import DicomSettings, LogSettings
from gateway.study import Instance, Sender

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Orders:
    """What a receiver process has to know to begin. `keywords`: read of each object besides the usual ones."""

    dicom: DicomSettings
    log: LogSettings
    root: Path
    free_floor_bytes: int
    keywords: tuple[str, ...]


def encode(line: Line) -> bytes:
    return json_text.dumps(line) + b"\n"


def decode(received: bytes) -> Line:
    line: Line = json_text.loads(received)
    return line


def orders_to_line(orders: Orders) -> Line:
    return {"dicom": orders.dicom.model_dump(mode="json"), "log": orders.log.model_dump(mode="json"),
            "root": str(orders.root), "floor": orders.free_floor_bytes, "keywords": orders.keywords}


def orders_from_line(line: Line) -> Orders:
    return Orders(DicomSettings.model_validate(line["dicom"]), LogSettings.model_validate(line["log"]),
                  Path(line["root"]), line["floor"], tuple(line["keywords"]))


def instance_to_line(instance: Instance, conflict: bool) -> Line:
    values = {name: getattr(instance, name) for name in Instance.__slots__}
    return {"instance": values | {"received_at": instance.received_at.isoformat()}, "conflict": conflict}


def instance_from_line(line: Line) -> tuple[Instance, bool]:
    values = line["instance"]
    received_at = datetime.fromisoformat(values["received_at"])
    return Instance(**(values | {"received_at": received_at})), line["conflict"]


class Counts:
    """What was stored and refused since it was last told. Any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, protocol: str, stored: Stored | None) -> None:
        """One object; None for a refused one."""
        key, size = (protocol, stored.outcome.value if stored else ""), stored.size if stored else 0
        with self._lock:
            number, before = self._counted.get(key, (0, 0))
            self._counted[key] = number + 1, before + size

    def lines(self) -> list[Line]:
        with self._lock:
            counted, self._counted = self._counted, {}
        return [{"counted": protocol, "outcome": outcome, "number": number, "size": size}
                for (protocol, outcome), (number, size) in counted.items()]


def count_from_line(line: Line) -> tuple[str, Stored | None, int]:
    """Protocol, what was stored with the bytes of all, how many objects."""
    outcome = line["outcome"]
    return line["counted"], Stored("", "", line["size"], Outcome(outcome)) if outcome else None, line["number"]


def left_to_line(left: SenderLeft) -> Line:
    sender = left.sender
    return {"left": [sender.protocol, sender.name, sender.address], "studies": sorted(left.studies),
            "released": left.released, "elsewhere": sorted(left.elsewhere)}


def left_from_line(line: Line) -> SenderLeft:
    return SenderLeft(Sender(*line["left"]), frozenset(line["studies"]), line["released"], frozenset(line["elsewhere"]))


class Lines:
    """Bytes as they come → whole lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, received: bytes) -> Iterator[Line]:
        *whole, self._rest = (self._rest + received).split(b"\n")
        for one in whole:
            yield decode(one)
