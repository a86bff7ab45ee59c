"""ORU^R01 of others: that a person has finished the report of a study (OBR-25, HL7 table 0123)."""

from __future__ import annotations

from adapters.hl7.content.faults import Location, identifier
from adapters.hl7.content.orders import identity_by_placer
from adapters.hl7.content.patients import patient_of, required
from adapters.hl7.content.segments import Message, Segment
from gateway.orders import Event, FinalReport

_FINAL = frozenset({"F", "C"})
"""Final; correction of a final one. A preliminary one (ours come back so) says nothing of a person."""
_STUDY_UIDS = frozenset({"113014", "110180"})
"""OBX-3 in scheme DCM: DICOM Study; Study Instance UID."""


def final_reports(message: Message, facility: str) -> tuple[Event, ...]:
    """One FinalReport for each OBR with a final status. Raises UnusableMessage without PID-3 or OBR."""
    patient = patient_of(required(message, "PID"))
    required(message, "OBR")
    found: list[Event] = []
    for obr in message.all("OBR"):
        if obr.get(25).upper() in _FINAL:
            found.append(FinalReport(facility, patient, _number(obr, 18) or _number(obr, 3),
                                     _order_id(message, obr, facility), _study_uid(message)))
    return tuple(found)


def _number(obr: Segment, field: int) -> str:
    return identifier(obr.get(field), Location("OBR", field, obr.sequence))


def _order_id(message: Message, obr: Segment, facility: str) -> str:
    """As orders.identity_by_placer gave it; "" where the report names no placer number."""
    number = _number(obr, 2)
    authority = obr.get(2, 2) or message.header.raw(3)
    return identity_by_placer(facility, number, authority) if number else ""


def _study_uid(message: Message) -> str:
    return next((obx.get(5) for obx in message.all("OBX") if obx.get(3) in _STUDY_UIDS and obx.get(3, 3) == "DCM"), "")
