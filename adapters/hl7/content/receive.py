"""From the bytes of one frame to what is stored and answered; pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from adapters.hl7.content.acknowledge import answer
from adapters.hl7.content.charset import Charsets
from adapters.hl7.content.faults import (
    DATA_TYPE,
    INTERNAL,
    SEQUENCE,
    Fault,
    Location,
    UnreadableMessage,
    UnusableMessage,
)
from adapters.hl7.content.final_reports import final_reports
from adapters.hl7.content.framing import Block, Event, TooLong, Truncated
from adapters.hl7.content.header import Header, header_of, salvage
from adapters.hl7.content.orders import orders
from adapters.hl7.content.patients import merges, updates
from adapters.hl7.content.segments import Message, read
from gateway import orders as ports
from gateway.study import Sender


@dataclass(frozen=True, slots=True)
class Site:
    """Where messages arrive. `zone`: of times without offset. `limit`: bytes of the longest message taken."""

    facility: str
    zone: tzinfo
    limit: int
    charsets: Charsets = field(default_factory=Charsets)


@dataclass(frozen=True, slots=True)
class Accepted:
    """To be stored and then answered with `message.answer`; with `not_stored()` where that fails."""

    message: ports.InboundMessage
    not_stored: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Refused:
    """Answered with `answer` and not stored. `fault` says why, without patient data."""

    answer: bytes
    fault: Fault


def receive(event: Event, address: str, at: datetime, site: Site) -> Accepted | Refused:
    """Read one message and prepare its answer (MLLP-framed; empty where the sender wants none). `at`: aware UTC."""
    if not isinstance(event, Block):
        return refuse(salvage(event.head), site, at, _misframed(event, site))
    header: Header | None = None
    try:
        message = read(event.content, site.charsets)
        header = header_of(message)
        header.check()
        events = _events(message, header, site)
    except Fault as fault:
        return refuse(header or salvage(event.content), site, at, fault)
    known = header
    inbound = ports.InboundMessage(
        sender=Sender("hl7", _sender(header, address), address), control_id=header.raw(10), received_at=at,
        raw=event.content, answer=answer(header, site.facility, at), events=events)
    return Accepted(inbound, lambda: _failure(known, site, at))


def _failure(header: Header, site: Site, at: datetime) -> bytes:
    """The answer when a good message could not be stored: AE or CE with 207, so that the sender sends it again."""
    fault = UnusableMessage("The message could not be stored now; please send it again.", Location("MSH", 10), INTERNAL)
    return answer(header, site.facility, at, fault)


def refuse(header: Header, site: Site, at: datetime, fault: Fault) -> Refused:
    """The refusal of a message with that header."""
    return Refused(answer(header, site.facility, at, fault), fault)


def _misframed(event: Event, site: Site) -> Fault:
    place = Location("MSH", 1)
    if isinstance(event, TooLong):
        return UnreadableMessage(f"The message is longer than {site.limit} bytes.", place, DATA_TYPE)
    if isinstance(event, Truncated):
        return UnreadableMessage("The message was not ended by FS CR (0x1C 0x0D).", place, SEQUENCE)
    return UnreadableMessage("The bytes stand outside of an MLLP frame (VT, message, FS CR).", place, SEQUENCE)


def _events(message: Message, header: Header, site: Site) -> tuple[ports.Event, ...]:
    if header.kind == "ORU":
        return final_reports(message, site.facility)
    if header.kind != "ADT":
        return orders(message, site.facility, site.zone)
    return merges(message, site.facility) if header.trigger == "A40" else updates(message, site.facility)


def _sender(header: Header, address: str) -> str:
    """`MSH-3|MSH-4`; senders that name themselves in neither are told apart by their address."""
    return header.sender if header.sender != "|" else f"|{address}"
