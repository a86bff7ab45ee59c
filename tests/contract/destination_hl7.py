"""Hl7Destination for the contract suite: PyPI hl7's MLLP server as the RIS."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adapters.hl7.content.oru import OruEncoder
from adapters.hl7.transport.destination import Hl7Destination
from gateway.delivery import Document
from gateway.settings import Hl7Destination as Configured
from tests.builders import patient, reading
from tests.hl7_ris import Ris, scripted


def make_document() -> Document:
    told = reading("ct", study_fields={"of": patient(name="Secret^Patient")})
    return OruEncoder({}).encode(told, None, "ris")


def configured(port: int, timeout: float = 10) -> Hl7Destination:
    return Hl7Destination(Configured(name="ris", type="hl7", host="127.0.0.1", port=port), timeout)


@contextmanager
def running() -> Iterator[tuple[Hl7Destination, Callable[[], list[bytes]], Callable[[], Document]]]:
    """The receiver keeps one message for each control id, as a RIS does."""
    with Ris() as ris:
        yield configured(ris.port), lambda: list(ris.received.values()), make_document


def unreachable() -> Hl7Destination:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return configured(port)


@contextmanager
def refusing() -> Iterator[tuple[Hl7Destination, Callable[[], Document]]]:
    with Ris("AR") as ris:
        yield configured(ris.port), make_document


@contextmanager
def silent() -> Iterator[Hl7Destination]:
    with scripted(lambda _: []) as port:
        yield configured(port, 0.3)
