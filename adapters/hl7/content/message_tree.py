"""An HL7 v2 message as a tree: segments, their fields with the standard's names, components where there are several."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.hl7.content.faults import UnreadableMessage
from adapters.hl7.content.segments import Message, Segment, read, unescape
from gateway.document_tree import Node
from gateway.errors import Permanent

SEGMENTS = {
    "MSH": "Message header", "PID": "Patient identification", "PV1": "Patient visit", "ORC": "Common order",
    "OBR": "Observation request", "OBX": "Observation", "NTE": "Notes and comments", "TQ1": "Timing and quantity",
    "SPM": "Specimen", "MSA": "Message acknowledgment", "ERR": "Error", "ZDS": "Study Instance UID",
}
FIELDS = {
    "MSH": {3: "Sending Application", 4: "Sending Facility", 5: "Receiving Application", 6: "Receiving Facility",
            7: "Date/Time Of Message", 9: "Message Type", 10: "Message Control ID", 11: "Processing ID",
            12: "Version ID", 15: "Accept Acknowledgment Type", 16: "Application Acknowledgment Type",
            18: "Character Set", 21: "Message Profile Identifier"},
    "PID": {1: "Set ID", 3: "Patient Identifier List", 5: "Patient Name", 7: "Date/Time of Birth",
            8: "Administrative Sex", 18: "Patient Account Number"},
    "PV1": {1: "Set ID", 2: "Patient Class", 3: "Assigned Patient Location", 8: "Referring Doctor",
            19: "Visit Number"},
    "ORC": {1: "Order Control", 2: "Placer Order Number", 3: "Filler Order Number", 5: "Order Status",
            12: "Ordering Provider"},
    "OBR": {1: "Set ID", 2: "Placer Order Number", 3: "Filler Order Number", 4: "Universal Service Identifier",
            5: "Priority", 7: "Observation Date/Time", 13: "Relevant Clinical Information", 16: "Ordering Provider",
            18: "Placer Field 1", 19: "Placer Field 2", 20: "Filler Field 1", 21: "Filler Field 2",
            22: "Results Rpt/Status Chng Date/Time", 24: "Diagnostic Serv Sect ID", 25: "Result Status",
            27: "Quantity/Timing", 31: "Reason for Study", 32: "Principal Result Interpreter"},
    "OBX": {1: "Set ID", 2: "Value Type", 3: "Observation Identifier", 4: "Observation Sub-ID",
            5: "Observation Value", 6: "Units", 7: "References Range", 8: "Abnormal Flags", 9: "Probability",
            11: "Observation Result Status", 14: "Date/Time of the Observation", 15: "Producer's ID",
            16: "Responsible Observer", 17: "Observation Method", 18: "Equipment Instance Identifier",
            19: "Date/Time of the Analysis"},
    "NTE": {1: "Set ID", 3: "Comment"},
}
"""Names of the fields that results use (HL7 2.5.1 chapters 2, 3, 4 and 7)."""


def tree_of_message(content: bytes) -> tuple[Node, ...]:
    """One node for each segment. Raises Permanent where the bytes are no message."""
    try:
        message = read(content)
    except UnreadableMessage as error:
        raise Permanent("the message cannot be taken apart") from error
    return tuple(_segment(message, segment) for segment in message.segments)


def _segment(message: Message, segment: Segment) -> Node:
    fields = tuple(_fields(message, segment))
    name = SEGMENTS.get(segment.name, segment.name)
    several = sum(1 for _ in message.all(segment.name)) > 1
    return Node(name, _gist(segment), f"{segment.name} {segment.sequence}" if several else segment.name, fields)


def _gist(segment: Segment) -> str:
    """An observation in one line: what was observed and its value, as people would read it."""
    if segment.name != "OBX":
        return ""
    told = segment.get(5, 2) if segment.get(2) in {"CWE", "CE"} else segment.element(5).whole()
    unit = "" if segment.get(6) == "1" else segment.get(6, 2) or segment.get(6)
    return f"{segment.get(3, 2) or segment.get(3)}: {told} {unit}".strip()


def _fields(message: Message, segment: Segment) -> Iterator[Node]:
    names = FIELDS.get(segment.name, {})
    for number, raw in enumerate(segment.fields[1:], 1):
        if raw:
            yield _field(message, f"{segment.name}-{number}", names.get(number, ""), raw)


def _field(message: Message, place: str, name: str, raw: str) -> Node:
    marks = message.separators
    if place in {"MSH-1", "MSH-2"}:
        return Node({"MSH-1": "Field Separator", "MSH-2": "Encoding Characters"}[place], raw, place)
    told = [_plain(message, one) for one in raw.split(marks.repetition)]
    parts = raw.split(marks.component) if marks.repetition not in raw else []
    components = tuple(Node("", _plain(message, part), f"{place}.{number}") for number, part in enumerate(parts, 1)
                       if part) if len(parts) > 1 else ()
    return Node(name, "; ".join(told), place, components)


def _plain(message: Message, raw: str) -> str:
    """Components joined by a middle dot, escapes resolved."""
    marks = message.separators
    parts = raw.replace(marks.subcomponent, marks.component).split(marks.component)
    return " · ".join(unescape(part, marks, message.codec) for part in parts if part)
