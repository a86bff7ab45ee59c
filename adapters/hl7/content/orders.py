"""ORM^O01, OMI^O23, OMG^O19 → orders (IHE RAD TF-2 RAD-2, RAD-3, RAD-4)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import cache

from adapters.hl7.content import values
from adapters.hl7.content.faults import DATA_TYPE, REQUIRED, SEQUENCE, TABLE, Location, UnusableMessage, identifier
from adapters.hl7.content.patients import patient_of, required
from adapters.hl7.content.segments import Message, Segment
from gateway.identity import digest
from gateway.orders import Event, PlaceOrder
from gateway.study import Order, Patient, Priority

CANCELLING = frozenset({"CA", "DC", "OC", "OD", "CR", "DR", "RP", "RU", "RQ"})
"""ORC-1, HL7 table 0119: cancelled, discontinued, or replaced by another order."""
CONTINUING = frozenset({"NW", "XO", "SC", "SN", "SR", "SS", "NA", "OK", "RO", "RE", "PA", "CH", "CN", "XX", "XR", "HD",
                        "OH", "HR", "RL", "OE", "OR", "LI", "UN", "DE", "DF", "AF", "FU", "PY",
                        "UA", "UC", "UD", "UF", "UH", "UM", "UR", "UX"})
COMPLETING = frozenset({"CM"})
_ORDER_STATUS = {"CM": "completed", "CA": "cancelled", "DC": "cancelled", "RP": "cancelled"}
"""ORC-5, HL7 table 0038; a new order is active whatever stands there."""

_UID = re.compile(r"\d+(\.\d+)+\Z", re.ASCII)
_STAT = frozenset({"S", "STAT", "E", "EM", "EMERGENCY"})
_URGENT = frozenset({"A", "ASAP", "U", "UR", "URG", "URGENT", "P", "T"})
_PRIORITY_ORDER = (Priority.STAT, Priority.URGENT, Priority.ROUTINE)

_ROUTING_FIELDS: dict[str, tuple[tuple[int, int], ...]] = {
    "PV1": ((2, 1), (3, 1), (3, 4), (10, 1)),
    "ORC": ((1, 1), (2, 2), (3, 2), (5, 1), (7, 6), (13, 1), (17, 1)),
    "OBR": ((4, 1), (4, 2), (4, 3), (15, 1), (19, 1), (20, 1), (24, 1), (27, 6), (44, 1), (44, 2)),
    "TQ1": ((9, 1),), "IPC": ((5, 1), (9, 1)),
}
"""Fields kept for routing: segment → (field, component); named `OBR-4.1`, and `PV1-2` where the first is the only."""
_SEVERAL = frozenset({"OBR-4", "OBR-44"})


@dataclass(frozen=True, slots=True)
class _Source:
    """What all orders of one message have in common."""

    message: Message
    patient: Patient
    facility: str
    zone: tzinfo


@dataclass(slots=True)
class _Group:
    """One order: its ORC, at most one OBR, and what follows them."""

    orc: Segment
    obr: Segment | None = None
    others: list[Segment] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Segment]:
        return (segment for segment in self.others if segment.name == name)

    def get(self, name: str, number: int, component: int = 1) -> str:
        """The first value of that field in the group, "" where there is none."""
        if name == "ORC":
            return self.orc.get(number, component)
        if name == "OBR":
            return self.obr.get(number, component) if self.obr is not None else ""
        return next((v for s in self.all(name) if (v := s.get(number, component))), "")


def orders(message: Message, facility: str, zone: tzinfo) -> tuple[Event, ...]:
    """One PlaceOrder for each ORC/OBR group. `zone`: of times without offset. Raises UnusableMessage."""
    source = _Source(message, patient_of(required(message, "PID")), facility, zone)
    required(message, "ORC")
    groups = _groups(message.segments)
    shared = Counter(_placer(group, message) for group in groups)
    found = []
    for group in groups:
        alone = shared[_placer(group, message)] == 1
        found.append(PlaceOrder(_order(source, group, alone)))
    return tuple(found)


def _groups(segments: Iterable[Segment]) -> list[_Group]:
    """Split at each ORC, and at each further OBR under the same ORC; IPC and ZDS then belong to all of its OBRs."""
    groups: list[_Group] = []
    for segment in segments:
        if segment.name == "ORC":
            groups.append(_Group(segment))
        elif segment.name == "OBR":
            _take_request(groups, segment)
        elif segment.name in ("IPC", "ZDS"):
            for group in (g for g in groups if g.orc is groups[-1].orc):
                group.others.append(segment)
        elif groups:
            groups[-1].others.append(segment)
    return groups


def _take_request(groups: list[_Group], obr: Segment) -> None:
    if not groups:
        raise UnusableMessage("An OBR segment has no ORC segment before it.", Location("ORC"), SEQUENCE)
    last = groups[-1]
    if last.obr is None:
        last.obr = obr
    else:
        groups.append(_Group(last.orc, obr, [s for s in last.others if s.name == "TQ1"]))


def _order(source: _Source, group: _Group, alone: bool) -> Order:
    message = source.message
    placer, filler = (identifier(group.get("ORC", n) or group.get("OBR", n), group.orc.at(n)) for n in (2, 3))
    accession, issuer = _accession(group, filler)
    study_uid = _study_uid(group)
    status = _status(group)
    if not (placer or filler or accession or study_uid):
        raise UnusableMessage("The order has no number: ORC-2, ORC-3, OBR-2, OBR-3 and OBR-18 are all empty.",
                              group.orc.at(2), REQUIRED)
    code, text, scheme = _procedure(group)
    return Order(
        order_id=_identity(source, group, (filler, accession, study_uid, code), alone),
        facility=source.facility, patient=source.patient, sender=f"{message.header.raw(3)}|{message.header.raw(4)}",
        accession_number=accession, accession_issuer=issuer, study_instance_uid=study_uid,
        placer_order_number=placer, filler_order_number=filler, priority=_priority(group), status=status,
        clinical_question=_question(group), referring_physician=_referrer(message, group),
        requested_procedure_code=code, requested_procedure_scheme=scheme, requested_procedure_text=text,
        placed_at=values.moment(group.get("ORC", 9) or message.header.get(7), source.zone),
        fields=_fields(message, group))


def _status(group: _Group) -> str:
    control = group.orc.get(1).upper()
    if not control:
        raise UnusableMessage("ORC-1, the order control code, is missing.", group.orc.at(1), REQUIRED)
    if control in CANCELLING:
        return "cancelled"
    if control in COMPLETING:
        return "completed"
    if control not in CONTINUING:
        raise UnusableMessage("ORC-1 holds a code that is not in HL7 table 0119.", group.orc.at(1), TABLE)
    return "active" if control == "NW" else _ORDER_STATUS.get(group.orc.get(5).upper(), "active")


def _accession(group: _Group, filler: str) -> tuple[str, str]:
    """(number, issuer): IPC-1, OBR-18, else the filler order number, which many sites use as the accession number."""
    number = group.get("IPC", 1)
    if number:
        place = Location("IPC", 1)
        return identifier(number, place), identifier(group.get("IPC", 1, 2), place)
    return identifier(group.get("OBR", 18), Location("OBR", 18)) or filler, ""


def _study_uid(group: _Group) -> str:
    """ZDS-1 (IHE RAD-4), IPC-3. Raises UnusableMessage where it is no UID (PS3.5 9.1)."""
    for name, number in (("ZDS", 1), ("IPC", 3)):
        value = group.get(name, number)
        if value and (len(value) > 64 or not _UID.match(value)):
            raise UnusableMessage(f"{name}-{number} is not a Study Instance UID.", Location(name, number), DATA_TYPE)
        if value:
            return value
    return ""


def _placer(group: _Group, message: Message) -> tuple[str, str]:
    """(number, assigning authority); where none is named, the sending application assigned it."""
    segment = group.orc if group.orc.get(2) or group.obr is None else group.obr
    return segment.get(2), segment.get(2, 2) or message.header.raw(3)


def _identity(source: _Source, group: _Group, told_apart: tuple[str, ...], alone: bool) -> str:
    """The same order has the same id in every later message: by its placer number, where it has one.

    Orders of one message that share a placer number (one request, several procedures) are told apart by what else
    they have: filler number, accession number, Study Instance UID, procedure.
    """
    placer = _placer(group, source.message)
    if placer[0]:
        return identity_by_placer(source.facility, *placer, *(() if alone else told_apart))
    filler, accession, study_uid, _ = told_apart
    name, value = next((n, v) for n, v in (("filler", filler), ("accession", accession), ("study", study_uid)) if v)
    return digest("order", source.facility, name, value)[:24]


def identity_by_placer(facility: str, number: str, authority: str, *told_apart: str) -> str:
    return digest("order", facility, number, authority, *told_apart)[:24]


def _priority(group: _Group) -> Priority:
    """The most urgent of TQ1-9, ORC-7.6, OBR-27.6 and OBR-5 (all repetitions); routine where none tells."""
    said = [tq1.get(9) for tq1 in group.all("TQ1")]
    said += [element.get(6) for element in group.orc.repetitions(7)]
    if group.obr is not None:
        said += [element.get(6) for element in group.obr.repetitions(27)] + [group.obr.get(5)]
    return min((_priority_of(code.upper()) for code in said if code), key=_PRIORITY_ORDER.index,
               default=Priority.ROUTINE)


def _priority_of(code: str) -> Priority:
    """HL7 tables 0027 and 0485."""
    return Priority.STAT if code in _STAT else Priority.URGENT if code in _URGENT else Priority.ROUTINE


def _question(group: _Group) -> str:
    """The reason for the study: OBR-31, ORC-16, OBR-13, the diagnosis (DG1-3, DG1-4), else the notes (NTE-3)."""
    if group.obr is not None:
        reasons = [e.get(2) or e.get(5) or e.get(1) for e in group.obr.repetitions(31)]
        reasons = reasons or [e.get(2) or e.get(1) for e in group.orc.repetitions(16)]
        reasons = [r for r in reasons if r] or [e.whole() for e in group.obr.repetitions(13)]
        if any(reasons):
            return "; ".join(r for r in reasons if r)
    diagnoses = [d.get(3, 2) or d.get(4) or d.get(3) for d in group.all("DG1")]
    return "; ".join(d for d in diagnoses if d) or _joined(group.all("NTE"))


def _joined(notes: Iterable[Segment]) -> str:
    return "\n".join(text for note in notes for element in note.repetitions(3) if (text := element.whole()))


def _procedure(group: _Group) -> tuple[str, str, str]:
    """(code, text, scheme) of OBR-4 (universal service), else OBR-44 (procedure code); the alternate one last."""
    if group.obr is None:
        return "", "", ""
    for number, first in ((4, 1), (44, 1), (4, 4)):
        code, text, scheme = (group.obr.get(number, first + n) for n in range(3))
        if code or text:
            return code, text, scheme
    return "", "", ""


def _referrer(message: Message, group: _Group) -> str:
    """OBR-16, ORC-12 (ordering provider), else PV1-8 (referring doctor), as PN."""
    pv1 = message.first("PV1")
    sources: Sequence[tuple[Segment | None, int]] = ((group.obr, 16), (group.orc, 12), (pv1, 8))
    for segment, number in sources:
        name = values.provider_name(segment.element(number)) if segment is not None else ""
        if name:
            return name
    return ""


def _fields(message: Message, group: _Group) -> dict[str, str]:
    msh, pv1 = message.header, message.first("PV1")
    found = {f"MSH-{n}": msh.get(n) for n in (3, 4, 5, 6)} | {"MSH-9": f"{msh.get(9)}^{msh.get(9, 2)}"}
    for name, wanted in _ROUTING_FIELDS.items():
        for number, component in wanted:
            value = (pv1.get(number, component) if pv1 else "") if name == "PV1" else group.get(name, number, component)
            found[_field_name(name, number, component)] = value
    return {name: value for name, value in found.items() if value}


@cache
def _field_name(segment: str, number: int, component: int) -> str:
    plain = f"{segment}-{number}"
    return plain if component == 1 and plain not in _SEVERAL else f"{plain}.{component}"
