"""What an acknowledgement says of a message that we sent (MSA, ERR)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters.hl7.content.charset import Charsets
from adapters.hl7.content.faults import ERROR_CODES, INTERNAL, RECORD_LOCKED, UnreadableMessage
from adapters.hl7.content.segments import Message, Segment, read

ACCEPTED = frozenset({"AA", "CA"})
NEGATIVE = frozenset({"AE", "AR", "CE", "CR"})
_LATER = frozenset({RECORD_LOCKED, INTERNAL})
_PLACE = re.compile(r"[A-Z][A-Z0-9]{2}\Z")


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """`code` MSA-1, `control_id` MSA-2. `errors`: (segment-field, HL7 table 0357 code) of each ERR, "" where absent."""

    code: str
    control_id: str
    errors: tuple[tuple[str, str], ...] = ()

    @property
    def accepted(self) -> bool:
        return self.code in ACCEPTED

    @property
    def later(self) -> bool:
        """Refused for a reason that passes: AE or CE with nothing but 206 or 207."""
        return self.code in ("AE", "CE") and bool(self.errors) and all(code in _LATER for _, code in self.errors)

    def __str__(self) -> str:
        told = [" ".join(filter(None, ("ERR", place, code, ERROR_CODES.get(code, "")))) for place, code in self.errors]
        return ", ".join([self.code, *told])


def acknowledgement(raw: bytes) -> Acknowledgement | None:
    """Read an answer of the peer; None where it is no acknowledgement. Its texts are left out: they may name patients.
    """
    message = _read(raw)
    msa = message.first("MSA") if message is not None else None
    if message is None or msa is None or msa.get(1) not in ACCEPTED | NEGATIVE:
        return None
    errors = tuple(_error(segment) for segment in message.all("ERR"))
    return Acknowledgement(msa.get(1), msa.get(2), errors)


def _read(raw: bytes) -> Message | None:
    """An answer in a character set other than it says is still an answer."""
    for attempt in (raw, raw.decode("latin_1").encode("ascii", "replace")):
        try:
            return read(attempt, Charsets())
        except UnreadableMessage:
            continue
    return None


def _error(err: Segment) -> tuple[str, str]:
    """ERR-2 and ERR-3 since 2.5, ERR-1 (segment^sequence^field^code) before."""
    code = err.get(3) or err.get(1, 4)
    number = 2 if err.raw(2) else 1
    segment, field = err.get(number), err.get(number, 3)
    place = segment if _PLACE.match(segment) else ""
    return (f"{place}-{field}" if place and field.isdigit() else place), code if code in ERROR_CODES else ""
