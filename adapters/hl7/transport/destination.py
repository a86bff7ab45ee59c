"""Sends ORU^R01 over MLLP and waits for the acknowledgement that names it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import structlog

from adapters.hl7.content.framing import Block, Framer, frame
from adapters.hl7.content.verdict import Acknowledgement, acknowledgement
from gateway import settings
from gateway.delivery import DeliveryState, Document, Kind, Receipt
from gateway.errors import Permanent, Transient

_ANSWER_BYTES = 1024 * 1024
_MOST_ANSWERS = 1000
"""Foreign acknowledgements read past on one connection before it is given up."""
_ADVICE = "Check that an MLLP receiver listens there; host and port stand under destinations in the configuration."

logger = structlog.get_logger()


class Hl7Destination:
    """An MLLP receiver (gateway.delivery.Destination). A fresh connection for each delivery, so that no answer to an
    earlier message can be taken for this one's; besides, only MSA-2 = MSH-10 counts.
    """

    kinds: frozenset[Kind] = frozenset({Kind.ORU})

    def __init__(self, settings: settings.Hl7Destination, timeout: float) -> None:
        """`timeout`: seconds for connecting, and again from sending to the acknowledgement."""
        self.name = settings.name
        self._address = (settings.host, settings.port)
        self._peer = f"{settings.name} ({settings.host}:{settings.port})"
        self._timeout = timeout

    def deliver(self, document: Document) -> Receipt:
        """DELIVERED with MSA-1 and MSA-2 once accepted (AA, CA). Raises Permanent where refused for good, Transient
        where the peer is down, is silent or says that it cannot now: sent again later under the same MSH-10."""
        if document.kind not in self.kinds:
            raise Permanent(f"{self.name} takes HL7 messages only, not {document.kind.value}")
        try:
            found, foreign = self._exchange(document)
        except OSError as error:
            raise Transient(f"{self._peer} did not take the message: {_words(error)}. {_ADVICE}") from error
        if found.accepted:
            return Receipt(DeliveryState.DELIVERED, {"MSA-1": found.code, "MSA-2": found.control_id,
                                                     "foreign_acknowledgements": foreign})
        if found.later:
            raise Transient(f"{self._peer} cannot take it now: {found}")
        raise Permanent(f"{self._peer} refused it: {found}. Ask who runs it what it wants, then try again.")

    def probe(self) -> None:
        """A TCP connection, closed again. Raises Transient when there is none to be had."""
        try:
            with socket.create_connection(self._address, self._timeout):
                return
        except OSError as error:
            raise Transient(f"{self._peer} cannot be reached: {_words(error)}. {_ADVICE}") from error

    def _exchange(self, document: Document) -> tuple[Acknowledgement, int]:
        """The acknowledgement of this document and how many of other messages were read past."""
        with socket.create_connection(self._address, self._timeout) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(frame(document.content))
            for count, answer in enumerate(self._answers(connection)):
                if answer is not None and answer.control_id == document.identity:
                    return answer, count
                logger.warning("foreign_acknowledgement", destination=self.name)
                if count >= _MOST_ANSWERS:
                    break
        raise Transient(f"{self._peer} sent no acknowledgement of this message. {_ADVICE}")

    def _answers(self, connection: socket.socket) -> Iterator[Acknowledgement | None]:
        """What the peer answers until it closes; TimeoutError (an OSError) when the time is over."""
        framer, deadline = Framer(_ANSWER_BYTES), time.monotonic() + self._timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            data = connection.recv(65536)
            if not data:
                return
            for event in framer.feed(data):
                yield acknowledgement(event.content) if isinstance(event, Block) else None


def _words(error: OSError) -> str:
    return "timed out" if isinstance(error, TimeoutError) else (error.strerror or type(error).__name__).lower()
