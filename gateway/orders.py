"""What HL7 v2 and FHIR senders ask of us, as values; applied to the database once the message is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.study import Order, Patient, Sender


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """New, changed, cancelled or completed order (ORM^O01, OMI^O23, OMG^O19, ServiceRequest); see Order.status."""

    order: Order


@dataclass(frozen=True, slots=True)
class UpdatePatient:
    """Demographics (ADT^A04, A08)."""

    facility: str
    patient: Patient


@dataclass(frozen=True, slots=True)
class MergePatients:
    """ADT^A40: `prior` becomes an alias of `surviving`; history stays as it was."""

    facility: str
    surviving: Patient
    prior: Patient


@dataclass(frozen=True, slots=True)
class FinalReport:
    """A person has finished the report of a study (ORU^R01, OBR-25 F or C): its cases count as read.

    The study is known by `study_instance_uid`, `order_id` or `accession_number`, and must be of that patient.
    """

    facility: str
    patient: Patient
    accession_number: str = ""
    order_id: str = ""
    study_instance_uid: str = ""


Event = PlaceOrder | UpdatePatient | MergePatients | FinalReport


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One stored message. (`sender.name`, `control_id`) identifies it; `answer` is what was or will be answered.

    `sender.name` for HL7 is `MSH-3|MSH-4`. `control_id` is MSH-10. One message may carry several events (orders).
    """

    sender: Sender
    control_id: str
    received_at: datetime
    raw: bytes
    answer: bytes
    events: tuple[Event, ...] = ()


class MessageLog(Protocol):
    """Port: durable store of inbound messages. Thread-safe, blocking; called with whole batches (group commit)."""

    def record(self, batch: Sequence[InboundMessage]) -> list[bytes]:
        """Store all durably in one transaction; return the answer to send for each, in order.

        A message whose (sender, control id) was stored before is not stored again: its first answer is returned.
        Raises Transient when nothing could be stored. Events are applied afterwards, in order, exactly once.
        """
        ...
