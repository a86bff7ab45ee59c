"""What of MSH is needed to answer a message, read even from a message that cannot be read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters.hl7.content.charset import header_line
from adapters.hl7.content.faults import (
    DATA_TYPE,
    EVENT,
    MESSAGE_TYPE,
    REQUIRED,
    VERSION,
    Location,
    UnreadableMessage,
)
from adapters.hl7.content.segments import NULL, Element, Message, Separators, separators_of

_VERSION = re.compile(r"2\.[3-8](\.\d)?\Z")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_LONGEST = {3: 250, 4: 250, 10: 199}
"""Characters (ST: 199; HD: its namespace with an OID)."""
ANSWERED_IN = "2.5.1"
"""The version of an answer to a message whose own version is unknown or not supported."""
TRIGGERS: dict[str, tuple[str, ...]] = {"ORM": ("O01",), "OMI": ("O23",), "OMG": ("O19",),
                                         "ADT": ("A04", "A08", "A40"), "ORU": ("R01",)}
"""Message types and trigger events that are taken (HL7 tables 0076 and 0003)."""


@dataclass(frozen=True, slots=True)
class Header:
    """MSH as it stands in the message (still escaped), for answering. `codec`: the Python codec of the answer.

    `fields[n]` is MSH-n; absent ones are "".
    """

    separators: Separators
    fields: tuple[str, ...]
    codec: str

    def raw(self, field: int) -> str:
        """MSH-`field`, "" where absent or null."""
        value = self.fields[field] if field < len(self.fields) else ""
        return "" if value == NULL else value.strip()

    def get(self, field: int, component: int = 1) -> str:
        return Element(self.raw(field), self.separators, self.codec).get(component)

    @property
    def sender(self) -> str:
        """`MSH-3|MSH-4`, which with MSH-10 tells a repeated message."""
        return f"{self.raw(3)}|{self.raw(4)}"

    @property
    def version(self) -> str:
        """MSH-12 where it is supported, else `ANSWERED_IN`."""
        return self.get(12) if _VERSION.match(self.get(12)) else ANSWERED_IN

    @property
    def kind(self) -> str:
        return self.get(9, 1)

    @property
    def trigger(self) -> str:
        """MSH-9.2; where it is left out, the only one that its message type has."""
        only = TRIGGERS.get(self.kind, ())
        return self.get(9, 2) or (only[0] if len(only) == 1 else "")

    def check(self) -> None:
        """Raise UnreadableMessage unless MSH-10, MSH-9 and MSH-12 are there and supported."""
        if not self.raw(10):
            raise UnreadableMessage("MSH-10, the message control id, is missing.", Location("MSH", 10), REQUIRED)
        for field, longest in _LONGEST.items():
            if len(self.raw(field)) > longest:
                raise UnreadableMessage(f"MSH-{field} is longer than {longest} characters.", Location("MSH", field),
                                        DATA_TYPE)
        self._check_type()
        self._check_version()

    def _check_version(self) -> None:
        if not self.get(12):
            raise UnreadableMessage("MSH-12, the version, is missing.", Location("MSH", 12), REQUIRED)
        if not _VERSION.match(self.get(12)):
            raise UnreadableMessage("MSH-12 names a version that is not supported; 2.3 to 2.8 are.",
                                    Location("MSH", 12), VERSION)

    def _check_type(self) -> None:
        if not self.kind:
            raise UnreadableMessage("MSH-9, the message type, is missing.", Location("MSH", 9), REQUIRED)
        triggers = TRIGGERS.get(self.kind)
        if triggers is None:
            raise UnreadableMessage(f"MSH-9 names a message type that is not taken; {', '.join(TRIGGERS)} are.",
                                    Location("MSH", 9, component=1), MESSAGE_TYPE)
        if self.trigger not in triggers:
            raise UnreadableMessage(f"MSH-9 names a trigger event that is not taken; {', '.join(triggers)} are.",
                                    Location("MSH", 9, component=2), EVENT)


def header_of(message: Message) -> Header:
    """The header of a message that was read."""
    msh = message.header
    return Header(message.separators, tuple(msh.fields[:22]), message.codec)


def salvage(raw: bytes) -> Header:
    """The header of bytes that could not be read: whatever an MSH at their beginning tells, else an empty one.

    It is answered in ASCII and without MSH-18, which may be what was wrong.
    """
    line = _CONTROL.sub("?", header_line(raw))
    try:
        separators = separators_of(line)
    except UnreadableMessage:
        return Header(Separators(), (), "ascii")
    fields = line.split(separators.field)
    return Header(separators, (fields[0], separators.field, *fields[1:17]), "ascii")
