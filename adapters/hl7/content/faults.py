"""What is wrong with a message, where, and under which code of HL7 table 0357."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import Rejected, Unreadable, Unusable

ERROR_CODES: dict[str, str] = {
    "100": "Segment sequence error", "101": "Required field missing", "102": "Data type error",
    "103": "Table value not found", "200": "Unsupported message type", "201": "Unsupported event code",
    "202": "Unsupported processing id", "203": "Unsupported version id", "204": "Unknown key identifier",
    "205": "Duplicate key identifier", "206": "Application record locked", "207": "Application internal error",
}
"""HL7 table 0357, message error condition codes."""

SEQUENCE, REQUIRED, DATA_TYPE, TABLE = "100", "101", "102", "103"
MESSAGE_TYPE, EVENT, VERSION, DUPLICATE_KEY, RECORD_LOCKED, INTERNAL = "200", "201", "203", "205", "206", "207"


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a message (HL7 2.5.1 §2.A.28 ERL). `sequence`: the how-many-th segment of that name, 1-based.

    `field` and `component` are 1-based; 0 leaves them out.
    """

    segment: str
    field: int = 0
    sequence: int = 1
    component: int = 0

    def __str__(self) -> str:
        name = self.segment if self.sequence == 1 else f"{self.segment}[{self.sequence}]"
        if not self.field:
            return name
        return f"{name}-{self.field}.{self.component}" if self.component else f"{name}-{self.field}"


LONGEST_IDENTIFIER = 199
"""Characters of an identifier (ST, 2.5.1 §2.A.75)."""


class Fault(Rejected):
    """A refusal that knows its place: `location` and `code` (HL7 table 0357) go into the ERR segment."""

    def __init__(self, reason: str, location: Location, code: str) -> None:
        """`reason`: one sentence for the sender, in ASCII and without patient data."""
        super().__init__(reason, element=str(location))
        self.location = location
        self.code = code


class UnreadableMessage(Fault, Unreadable):
    """The message cannot be read at all: answered AR or CR (HL7 table 0008)."""


class UnusableMessage(Fault, Unusable):
    """The message can be read, but something needed is missing or contradicts: answered AE or CE."""


def identifier(value: str, location: Location) -> str:
    """The value, as long as identifiers may be; raises UnusableMessage where it is longer."""
    if len(value) > LONGEST_IDENTIFIER:
        raise UnusableMessage(f"{location} is longer than {LONGEST_IDENTIFIER} characters.", location, DATA_TYPE)
    return value
