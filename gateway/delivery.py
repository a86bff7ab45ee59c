"""Documents, deliveries and their proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol


class Kind(StrEnum):
    """Document kinds. `source`: a DICOM object the gateway made of non-DICOM input, delivered before its SR."""

    SOURCE = "source"
    SR = "sr"
    SC = "sc"
    SEG = "seg"
    ORU = "oru"
    DIAGNOSTIC_REPORT = "diagnostic_report"
    JSON = "json"
    EVIDENCE = "evidence"
    """Where the evidence lies (gateway/evidence_map.py): kept for the page, never delivered."""


MEDIA_TYPES: dict[Kind, str] = {
    Kind.SOURCE: "application/dicom", Kind.SR: "application/dicom", Kind.SC: "application/dicom",
    Kind.SEG: "application/dicom", Kind.ORU: "application/hl7-v2", Kind.DIAGNOSTIC_REPORT: "application/fhir+json",
    Kind.JSON: "application/json", Kind.EVIDENCE: "application/octet-stream",
}


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    REFUSED = "refused"
    UNPROVEN = "unproven"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Document:
    """One encoding of one result. `identity`: SOP Instance UID, MSH-10 or DiagnosticReport identifier."""

    kind: Kind
    identity: str
    content: bytes
    sop_class_uid: str = ""
    """For DICOM documents."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of delivery. `facts`: what the peer answered (status 0x0000, MSA-2, HTTP 200 + id), no patient data.

    PENDING: the peer has it and its proof is still to come; `look_again`: how long it may take at most.
    """

    state: DeliveryState
    facts: Mapping[str, Any] = field(default_factory=dict)
    look_again: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One document to one destination, with its state and attempts."""

    delivery_id: int
    run_id: str
    case_id: str
    kind: Kind
    destination: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    last_error: str = ""


class Destination(Protocol):
    """Port: one module under adapters/ for each type of destination.

    `deliver` returns a Receipt with state DELIVERED (proven), UNPROVEN (sent, proof missing) or PENDING (sent, called
    again once the proof has come or cannot come any more);
    raises `Transient` (peer down, timeout, busy: retried) or `Rejected`/`Permanent` (refused for good: dead).
    It must be safe to call again with the same document.
    """

    name: str
    kinds: frozenset[Kind]

    def deliver(self, document: Document) -> Receipt: ...

    def probe(self) -> None:
        """C-ECHO, TCP connect, GET metadata...; raises Transient when the peer cannot be reached."""
        ...
