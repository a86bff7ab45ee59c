"""PID and MRG → Patient: demographics (ADT^A04, A08) and merges (ADT^A40)."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.hl7.content import values
from adapters.hl7.content.faults import DUPLICATE_KEY, REQUIRED, SEQUENCE, Location, UnusableMessage, identifier
from adapters.hl7.content.segments import Element, Message, Segment
from gateway.orders import Event, MergePatients, UpdatePatient
from gateway.study import Patient

_PREFERRED = ("MR", "PI")
"""CX.5, HL7 table 0203: medical record number, then patient internal identifier, then whatever stands first."""


def required(message: Message, name: str) -> Segment:
    """The first segment of that name; UnusableMessage where there is none."""
    segment = message.first(name)
    if segment is None:
        raise UnusableMessage(f"The message has no {name} segment.", Location(name), SEQUENCE)
    return segment


def patient_of(pid: Segment) -> Patient:
    """PID-3, PID-5, PID-7 and PID-8. Raises UnusableMessage without an identifier in PID-3."""
    chosen = _chosen(pid, 3)
    return Patient(patient_id=identifier(chosen.get(1), pid.at(3)), issuer=identifier(_issuer(chosen), pid.at(3)),
                   name=values.person_name(pid.repetitions(5)), birth_date=values.birth_date(pid.get(7)),
                   sex=values.sex(pid.get(8)))


def updates(message: Message, facility: str) -> tuple[Event, ...]:
    """ADT^A04, A08: the patient as told now."""
    return (UpdatePatient(facility, patient_of(required(message, "PID"))),)


def merges(message: Message, facility: str) -> tuple[Event, ...]:
    """ADT^A40: one merge for each PID with the MRG that follows it (2.5.1 §3.3.40)."""
    required(message, "PID")
    required(message, "MRG")
    found: list[Event] = []
    pid: Segment | None = None
    for segment in message.segments:
        if segment.name == "MRG":
            if pid is None:
                raise UnusableMessage("An MRG segment has no PID segment before it.", segment.at(), SEQUENCE)
            found.append(_merge(pid, segment, facility))
            pid = None
        elif segment.name == "PID":
            pid = _unmerged(pid, segment)
    _unmerged(pid, None)
    return tuple(found)


def _unmerged(before: Segment | None, following: Segment | None) -> Segment | None:
    if before is not None:
        raise UnusableMessage("A PID segment has no MRG segment after it.",
                              Location("MRG", sequence=before.sequence), SEQUENCE)
    return following


def _merge(pid: Segment, mrg: Segment, facility: str) -> MergePatients:
    surviving = patient_of(pid)
    chosen = _matching(mrg.repetitions(1), _chosen(pid, 3)) or _chosen(mrg, 1)
    prior = Patient(identifier(chosen.get(1), mrg.at(1)), identifier(_issuer(chosen), mrg.at(1)) or surviving.issuer,
                    values.person_name(mrg.repetitions(7)))
    if (prior.patient_id, prior.issuer) == (surviving.patient_id, surviving.issuer):
        raise UnusableMessage("MRG-1 names the same patient as PID-3.", mrg.at(1), DUPLICATE_KEY)
    return MergePatients(facility, surviving, prior)


def _chosen(segment: Segment, field: int) -> Element:
    """The identifier of a repeated CX field by which the patient is known."""
    found = [element for element in segment.repetitions(field) if element.get(1)]
    if not found:
        raise UnusableMessage(f"{segment.name}-{field}, the patient identifier, is missing.", segment.at(field),
                              REQUIRED)
    return min(found, key=lambda element: _rank(element.get(5).upper()))


def _rank(identifier_type: str) -> int:
    return _PREFERRED.index(identifier_type) if identifier_type in _PREFERRED else len(_PREFERRED)


def _matching(candidates: Sequence[Element], chosen: Element) -> Element | None:
    """Of MRG-1's repetitions the one of the issuer and type that PID-3 is known by."""
    alike = [c for c in candidates if c.get(1) and _issuer(c) == _issuer(chosen)]
    return next((c for c in alike if c.get(5) == chosen.get(5)), alike[0] if alike else None)


def _issuer(cx: Element) -> str:
    """CX.4 (HD): namespace id, else universal id."""
    return cx.get(4, 1) or cx.get(4, 2)
