"""Acknowledgements (HL7 2.5.1 §2.9, §2.13.1): original and enhanced mode, MSA, ERR in the form of each version."""

from __future__ import annotations

from datetime import datetime

from adapters.hl7.content.faults import ERROR_CODES, Fault, Location
from adapters.hl7.content.framing import frame
from adapters.hl7.content.header import Header
from adapters.hl7.content.segments import escape
from gateway.errors import Unreadable
from gateway.identity import digest

_ACCEPTED, _ERROR, _REJECT = "A", "E", "R"
_APPLICATION = "TRIAGE"
_WHEN: dict[str, frozenset[str]] = {
    "AL": frozenset({_ACCEPTED, _ERROR, _REJECT}), "SU": frozenset({_ACCEPTED}),
    "ER": frozenset({_ERROR, _REJECT}), "NE": frozenset(),
}
"""HL7 table 0155, accept/application acknowledgement conditions."""


def answer(header: Header, facility: str, at: datetime, fault: Fault | None = None) -> bytes:
    """What goes back for a message, framed for MLLP: one acknowledgement; two where MSH-15 and MSH-16 ask for both
    (commit, then application); empty where they ask for none. `at`: aware time of receipt. `fault`: why it is refused.
    """
    return b"".join(frame(_acknowledgement(header, code, facility, at, fault)) for code in _codes(header, fault))


def _codes(header: Header, fault: Fault | None) -> list[str]:
    """MSA-1 values (HL7 table 0008). Only MSH-15 or MSH-16 make the enhanced mode; a refused message that was told
    so by its commit acknowledgement gets no other."""
    outcome = _ACCEPTED if fault is None else _REJECT if isinstance(fault, Unreadable) else _ERROR
    commit, application = header.get(15).upper(), header.get(16).upper()
    if not commit and not application:
        return [f"A{outcome}"]
    codes = [f"C{outcome}"] if outcome in _WHEN.get(commit or "NE", _WHEN["AL"]) else []
    if outcome in _WHEN.get(application or "NE", _WHEN["NE"]) and not (codes and fault):
        codes.append(f"A{outcome}")
    return codes


def _acknowledgement(header: Header, code: str, facility: str, at: datetime, fault: Fault | None) -> bytes:
    segments = [_msh(header, code, facility, at), _msa(header, code, fault)]
    if fault is not None:
        segments.append(_err(header, fault))
    return ("\r".join(segments) + "\r").encode(header.codec, "replace")


def _msh(header: Header, code: str, facility: str, at: datetime) -> str:
    marks = header.separators
    control = digest("ack", header.sender, header.raw(10), code)[:20].upper()
    fields = ["MSH", "".join(marks[1:]), header.raw(5) or _APPLICATION, header.raw(6) or escape(facility, marks),
              header.raw(3), header.raw(4), at.strftime("%Y%m%d%H%M%S%z"), "", _type(header), control,
              header.raw(11) or "P", header.version, "", "", "", "", "", header.raw(18)]
    return marks.field.join(fields).rstrip(marks.field)


def _type(header: Header) -> str:
    """MSH-9: `ACK`, the trigger answered, and (since 2.3.1) the structure."""
    trigger = escape(header.trigger, header.separators)
    if not trigger:
        return "ACK"
    parts = ["ACK", trigger] if header.version == "2.3" else ["ACK", trigger, "ACK"]
    return header.separators.component.join(parts)


def _msa(header: Header, code: str, fault: Fault | None) -> str:
    """MSA-3 carries the sentence before 2.5, where ERR-8 has no place for it."""
    text = "" if fault is None or _has_user_message(header) else escape(fault.reason[:80], header.separators)
    return header.separators.field.join(["MSA", code, header.raw(10), text]).rstrip(header.separators.field)


def _err(header: Header, fault: Fault) -> str:
    marks, place = header.separators, fault.location
    if not _has_user_message(header):
        condition = marks.subcomponent.join([fault.code, ERROR_CODES[fault.code], "HL70357"])
        return f"ERR{marks.field}" + marks.component.join(
            [place.segment, str(place.sequence), str(place.field or ""), condition])
    condition = marks.component.join([fault.code, ERROR_CODES[fault.code], "HL70357"])
    return marks.field.join(["ERR", "", _erl(place, marks.component), condition, "E", "", "", "",
                             escape(fault.reason, marks)])


def _erl(place: Location, component: str) -> str:
    """ERR-2 (ERL): segment, sequence, field, repetition, component."""
    parts = [place.segment, str(place.sequence), str(place.field or "")]
    if place.component:
        parts += ["1", str(place.component)]
    return component.join(parts).rstrip(component)


def _has_user_message(header: Header) -> bool:
    return header.version >= "2.5"
