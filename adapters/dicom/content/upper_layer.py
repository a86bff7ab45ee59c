"""The requestor's side of the DICOM upper layer (PS3.8 9.3) and DIMSE commands (PS3.7 E.1), as bytes. No sockets."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from adapters.dicom.content.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
MOST_CONTEXTS = 128
LARGEST_PDU = 16 * 1024 * 1024
"""Nothing that a peer answers us with is longer; a longer announcement is not DICOM."""
LARGEST_FRAGMENT = 256 * 1024

C_STORE_RQ, C_STORE_RSP, C_ECHO_RQ, C_ECHO_RSP = 0x0001, 0x8001, 0x0030, 0x8030
NO_DATA_SET = 0x0101

AFFECTED_SOP_CLASS, COMMAND_FIELD, MESSAGE_ID = 0x0002, 0x0100, 0x0110
RESPONDED_TO, PRIORITY, DATA_SET_TYPE = 0x0120, 0x0700, 0x0800
STATUS, ERROR_COMMENT, AFFECTED_SOP_INSTANCE = 0x0900, 0x0902, 0x1000
MOVE_ORIGINATOR = 0x1030
_TEXTS = frozenset({AFFECTED_SOP_CLASS, ERROR_COMMENT, AFFECTED_SOP_INSTANCE, MOVE_ORIGINATOR})

_COMMAND, _LAST = 1, 2
_FRAGMENT = struct.Struct(">BxIIBB")
_ELEMENT = struct.Struct("<HHI")
_REASONS = {(1, 1): "no reason given", (1, 2): "application context name not supported",
            (1, 3): "calling AE title not recognised", (1, 7): "called AE title not recognised",
            (2, 1): "no reason given", (2, 2): "protocol version not supported",
            (3, 1): "temporary congestion", (3, 2): "local limit exceeded"}


class Malformed(ValueError):
    """The peer's bytes are not what the standard allows there."""


@dataclass(frozen=True, slots=True)
class Context:
    """A proposed presentation context: `number` odd, 1 to 255."""

    number: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A-ASSOCIATE-AC. `contexts`: number → transfer syntax. `longest`: bytes of a P-DATA-TF the peer takes, 0 any."""

    contexts: Mapping[int, str]
    longest: int = 0


@dataclass(frozen=True, slots=True)
class Rejection:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4). `transient`: may be tried again."""

    transient: bool
    reason: str


@dataclass(slots=True)
class Message:
    """A DIMSE command set being received: fragments until the last one."""

    received: bytearray = field(default_factory=bytearray)
    complete: bool = False


def associate_request(calling: str, called: str, contexts: Sequence[Context]) -> bytes:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2) that takes P-DATA-TF of any length."""
    user = _item(0x51, struct.pack(">I", 0)) + _item(0x52, IMPLEMENTATION_CLASS_UID.encode())
    user += _item(0x55, IMPLEMENTATION_VERSION_NAME.encode())
    body = struct.pack(">HH16s16s32x", 1, 0, _title(called), _title(calling))
    body += _item(0x10, APPLICATION_CONTEXT.encode())
    body += b"".join(_proposal(context) for context in contexts)
    return pdu(ASSOCIATE_RQ, body + _item(0x50, user))


def acceptance(body: bytes) -> Acceptance:
    """The body of an A-ASSOCIATE-AC (PS3.8 9.3.3). Raises Malformed."""
    if len(body) < 68:
        raise Malformed("the answer is cut short")
    contexts: dict[int, str] = {}
    longest = 0
    for kind, value in _items(body, 68):
        if kind == 0x21 and len(value) >= 4 and value[2] == 0:
            syntaxes = [sub for code, sub in _items(value, 4) if code == 0x40]
            contexts[value[0]] = syntaxes[0].decode("ascii", "replace").rstrip("\0 ") if syntaxes else ""
        elif kind == 0x50:
            lengths = [sub for code, sub in _items(value, 0) if code == 0x51 and len(sub) == 4]
            longest = struct.unpack(">I", lengths[0])[0] if lengths else 0
    return Acceptance(contexts, longest)


def rejection(body: bytes) -> Rejection:
    """The body of an A-ASSOCIATE-RJ. Raises Malformed."""
    if len(body) < 4:
        raise Malformed("the rejection is cut short")
    return Rejection(body[1] == 2, _REASONS.get((body[2], body[3]), "reason unknown"))


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def pdu_head(head: bytes) -> tuple[int, int]:
    """(type, length of the body) of the first six bytes of a PDU. Raises Malformed."""
    kind, length = struct.unpack(">BxI", head)
    if kind not in range(ASSOCIATE_RQ, ABORT + 1) or length > LARGEST_PDU:
        raise Malformed("this is no DICOM upper layer message")
    return kind, length


def command_pdus(context: int, command: bytes, longest: int) -> Iterator[bytes]:
    """P-DATA-TF with a command set."""
    yield from _fragments(context, command, longest, _COMMAND)


def command_pdu(context: int, command: bytes) -> bytes:
    """A command set in one P-DATA-TF."""
    return _head(context, len(command), _COMMAND | _LAST) + command


def fragment_head(context: int, length: int, *, last: bool) -> bytes:
    """What stands before so many bytes of a data set in a P-DATA-TF of their own."""
    return _head(context, length, _LAST if last else 0)


def dataset_pdus(context: int, dataset: bytes, longest: int) -> Iterator[bytes]:
    """P-DATA-TF with a data set, its bytes as they are."""
    yield from _fragments(context, dataset, longest, 0)


def receive(message: Message, body: bytes) -> None:
    """Add one P-DATA-TF body to a command set; data set fragments have no place here. Raises Malformed."""
    offset = 0
    while offset < len(body):
        if offset + 6 > len(body):
            raise Malformed("a presentation data value is cut short")
        length, _, control = struct.unpack_from(">IBB", body, offset)
        fragment = body[offset + 6:offset + 4 + length]
        if length < 2 or len(fragment) != length - 2 or not control & _COMMAND:
            raise Malformed("a presentation data value is cut short or no command")
        message.received += fragment
        message.complete = message.complete or bool(control & _LAST)
        offset += 4 + length


def encode_command(elements: Mapping[int, int | str]) -> bytes:
    """A command set: element number in group 0 → US or UI value, with the group length before them."""
    body = b""
    for number in sorted(elements):
        value = elements[number]
        raw = value.to_bytes(2, "little") if isinstance(value, int) else value.encode() + b"\0" * (len(value) % 2)
        body += _ELEMENT.pack(0, number, len(raw)) + raw
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def decode_command(data: bytes) -> dict[int, int | str]:
    """Element number → int (two or four bytes, all numbers of a response) or text. Raises Malformed."""
    values: dict[int, int | str] = {}
    offset, end = 0, len(data)
    while offset < end:
        start = offset + 8
        if start > end:
            raise Malformed("the command set is cut short")
        _, number, length = _ELEMENT.unpack_from(data, offset)
        offset = start + length
        if offset > end:
            raise Malformed("the command set is cut short")
        raw = data[start:offset]
        values[number] = text_of(raw) if number in _TEXTS else int.from_bytes(raw, "little")
    return values


def text_of(raw: bytes) -> str:
    """Of an element of a command set."""
    return raw.decode("ascii", "replace").strip("\0 ")


def _fragments(context: int, data: bytes, longest: int, control: int) -> Iterator[bytes]:
    size = min(longest - 6 if longest > 6 else LARGEST_FRAGMENT, LARGEST_FRAGMENT) & ~1
    view = memoryview(data)
    for start in range(0, max(len(view), 1), size):
        fragment = view[start:start + size]
        yield _head(context, len(fragment), control | (_LAST if start + size >= len(view) else 0)) + fragment


@lru_cache(maxsize=64)
def _head(context: int, length: int, control: int) -> bytes:
    """What stands before the only value of a P-DATA-TF."""
    return _FRAGMENT.pack(P_DATA, length + 6, length + 2, context, control)


def _title(title: str) -> bytes:
    return title.encode("ascii", "replace")[:16].ljust(16)


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _proposal(context: Context) -> bytes:
    value = struct.pack(">B3x", context.number) + _item(0x30, context.abstract_syntax.encode())
    return _item(0x20, value + b"".join(_item(0x40, uid.encode()) for uid in context.transfer_syntaxes))


def _items(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while offset < len(data):
        if offset + 4 > len(data):
            raise Malformed("the answer is cut short")
        kind, length = struct.unpack_from(">BxH", data, offset)
        value = data[offset + 4:offset + 4 + length]
        if len(value) != length:
            raise Malformed("the answer is cut short")
        yield kind, value
        offset += 4 + length
