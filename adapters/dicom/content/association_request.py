"""An A-ASSOCIATE-RQ (PS3.8 9.3.2) judged by its bytes alone, before any thread is given to whom it came from."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from adapters.dicom.content.upper_layer import ABORT, ASSOCIATE_RJ, ASSOCIATE_RQ, pdu

HEAD = 6
"""Bytes of a PDU's type and length."""
LONGEST_REQUEST = 1024 * 1024
"""Bytes of an A-ASSOCIATE-RQ: 128 contexts with every transfer syntax have 200 KB."""
_FIXED = 74
_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT, _USER_INFORMATION = 0x10, 0x20, 0x50
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40
_NOT_SPECIFIED, _UNRECOGNISED, _UNEXPECTED, _INVALID_VALUE = 0, 1, 2, 6
_MAXIMUM_LENGTH, _IDENTITY_ANSWER = 0x51, 0x59
_LONGEST_NAME = 256


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the connection ends here. `reason`: of the A-ABORT (PS3.8 Table 9-26), whose source is the provider."""

    text: str
    reason: int = _INVALID_VALUE

    @property
    def answer(self) -> bytes:
        """The A-ABORT PDU."""
        return pdu(ABORT, bytes((0, 0, 2, self.reason)))


NO_ROOM = pdu(ASSOCIATE_RJ, bytes((0, 2, 3, 2)))
"""A-ASSOCIATE-RJ: rejected transient, by the provider (presentation), local limit exceeded (PS3.8 9.3.4)."""


def head_fault(head: bytes) -> Fault | None:
    """What is wrong with the first bytes of a connection, as far as they have come (at most `HEAD`)."""
    if head[:1] and head[0] != ASSOCIATE_RQ:
        known = 1 <= head[0] <= ABORT
        return Fault("it does not begin with an association request", _UNEXPECTED if known else _UNRECOGNISED)
    if len(head) == HEAD and announced(head) > HEAD + LONGEST_REQUEST:
        return Fault(f"it announces a request of {announced(head)} bytes", _NOT_SPECIFIED)
    return None


def announced(head: bytes) -> int:
    """Bytes of the whole PDU, by its six first ones."""
    return HEAD + int(struct.unpack(">2xI", head)[0])


def request_fault(request: bytes) -> Fault | None:
    """What is wrong with a whole A-ASSOCIATE-RQ, so that no association could come of it.

    As tolerant as the library that negotiates: what passes here may still be rejected there, with a reason.
    """
    if len(request) < _FIXED:
        return Fault("its request is shorter than its fixed fields")
    if not all(_is_text(request[at:at + 16]) for at in (10, 26)):
        return Fault("an AE title of its request is no text")
    try:
        return _items_fault(list(_items(request, _FIXED)))
    except struct.error:
        return Fault("an item of its request reaches beyond the end")


def abstract_syntaxes(request: bytes) -> set[str]:
    """Of every proposed presentation context of a whole A-ASSOCIATE-RQ without fault."""
    return {name.decode("ascii").rstrip("\0 ") for kind, value in _items(request, _FIXED)
            if kind == _PRESENTATION_CONTEXT for sub, name in _items(value, 4) if sub == _ABSTRACT_SYNTAX}


def _items_fault(items: list[tuple[int, bytes]]) -> Fault | None:
    count = Counter(kind for kind, _ in items)
    if set(count) - {_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT, _USER_INFORMATION}:
        return Fault("its request has an item of unknown type")
    if count[_APPLICATION_CONTEXT] != 1 or count[_USER_INFORMATION] != 1 or not count[_PRESENTATION_CONTEXT]:
        return Fault("its request lacks an item, or has one twice")
    judges = {_APPLICATION_CONTEXT: _is_name, _PRESENTATION_CONTEXT: _is_proposal, _USER_INFORMATION: _is_user}
    if all(judges[kind](value) for kind, value in items):
        return None
    return Fault("an item of its request is malformed")


def _items(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """(type, value) of each item. Raises struct.error where one is cut short."""
    while offset < len(data):
        kind, length = struct.unpack_from(">BxH", data, offset)
        (value,) = struct.unpack_from(f"{length}s", data, offset + 4)
        yield kind, value
        offset += 4 + length


def _is_proposal(value: bytes) -> bool:
    """PS3.8 9.3.2.2: an odd number, one abstract syntax, at least one transfer syntax."""
    if len(value) < 4 or value[0] % 2 == 0:
        return False
    names = list(_items(value, 4))
    kinds = Counter(kind for kind, _ in names)
    return (kinds[_ABSTRACT_SYNTAX] == 1 and kinds[_TRANSFER_SYNTAX] >= 1 and len(kinds) == 2
            and all(_is_name(name) for _, name in names))


def _is_user(value: bytes) -> bool:
    """PS3.8 9.3.2.3 and Annex D, PS3.7 D.3.3."""
    found = list(_items(value, 0))
    return (sum(kind == _MAXIMUM_LENGTH for kind, _ in found) == 1
            and all(_MAXIMUM_LENGTH <= kind <= _IDENTITY_ANSWER and _is_sub_item(kind, sub) for kind, sub in found))


def _is_sub_item(kind: int, value: bytes) -> bool:
    match kind:
        case 0x51 | 0x53:  # maximum length, asynchronous operations window
            return len(value) == 4
        case 0x52:  # implementation class UID
            return _is_name(value)
        case 0x54:  # roles
            return _is_name(_counted(value, 0)) and len(value) == len(_counted(value, 0)) + 4
        case 0x55:  # implementation version name
            return _is_text(value)
        case 0x56:  # extended negotiation
            return _is_name(_counted(value, 0))
        case 0x57:  # common extended negotiation
            return _is_name(_counted(value, 0)) and _is_name(_counted(value, 2 + len(_counted(value, 0))))
        case _:  # user identity
            return len(value) >= 2


def _counted(value: bytes, offset: int) -> bytes:
    """The text that follows its own length. Raises struct.error where it is cut short."""
    (length,) = struct.unpack_from(">H", value, offset)
    (text,) = struct.unpack_from(f"{length}s", value, offset + 2)
    return bytes(text)


def _is_name(value: bytes) -> bool:
    """Short enough and without anything that could not be written to a log; whether it is a UID shows later."""
    return 0 < len(value) <= _LONGEST_NAME and _is_text(value.rstrip(b"\0"))


def _is_text(value: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in value)
