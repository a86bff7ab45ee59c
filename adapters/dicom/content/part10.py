"""The DICOM File Format (PS3.10 7.1): preamble, `DICM` and the file meta information (group 2, explicit VR LE)."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

from gateway import identity
from gateway.errors import Unreadable

IMPLEMENTATION_CLASS_UID = identity.uid("implementation", "triage-gateway")
IMPLEMENTATION_VERSION_NAME = "TRIAGE_GATEWAY"

_PREFIX = b"\0" * 128 + b"DICM"
_LONG_FORM = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX, _SOURCE = 0x00020002, 0x00020003, 0x00020010, 0x00020016


class _CutShort(Unreadable):
    """More bytes might help."""


class FileMeta(NamedTuple):
    """What the file meta information says of its data set; `source_ae_title` is empty where unknown."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    source_ae_title: str = ""


class Header(bytes):
    """Preamble, prefix and file meta information of our own making, and what they say."""

    meta: FileMeta


def build(meta: FileMeta) -> Header:
    """A header ready to stand before the data set."""
    before, after = _around_instance(meta.sop_class_uid, meta.transfer_syntax_uid, meta.source_ae_title,
                                     len(meta.sop_instance_uid))
    header = Header(b"".join((before, meta.sop_instance_uid.encode("ascii", "replace"), after)))
    header.meta = meta
    return header


@lru_cache(maxsize=1024)
def _around_instance(sop_class_uid: str, transfer_syntax_uid: str, source_ae_title: str,
                     length: int) -> tuple[bytes, bytes]:
    """What stands before and after a SOP Instance UID of that length: the same for most objects of a sender."""
    after = [
        b"\0" * (length % 2),
        _element(_TRANSFER_SYNTAX, b"UI", _padded(transfer_syntax_uid, b"\0")),
        _element(0x00020012, b"UI", _padded(IMPLEMENTATION_CLASS_UID, b"\0")),
        _element(0x00020013, b"SH", _padded(IMPLEMENTATION_VERSION_NAME, b" ")),
    ]
    if source_ae_title:
        after.append(_element(_SOURCE, b"AE", _padded(source_ae_title, b" ")))
    instance = _element(_SOP_INSTANCE, b"UI", bytes(length + length % 2))
    before = (_element(0x00020001, b"OB", b"\0\1") + _element(_SOP_CLASS, b"UI", _padded(sop_class_uid, b"\0"))
              + instance[:len(instance) - length - length % 2])
    size = len(before) + length + sum(map(len, after))
    return _PREFIX + _element(0x00020000, b"UL", struct.pack("<I", size)) + before, b"".join(after)


def parse(header: bytes) -> FileMeta:
    """The file meta information of a Part 10 header. Raises Unreadable: no `DICM`, no transfer syntax, cut short."""
    if isinstance(header, Header):
        return header.meta
    values, _ = _group_two(header)
    if not values.get(_TRANSFER_SYNTAX):
        raise Unreadable("The file meta information names no transfer syntax.", element="TransferSyntaxUID")
    return FileMeta(values.get(_SOP_CLASS, ""), values.get(_SOP_INSTANCE, ""), values[_TRANSFER_SYNTAX],
                    values.get(_SOURCE, ""))


def header_length(part10: bytes) -> int:
    """Bytes before the data set, by walking group 2 (its own length element is often wrong). Raises Unreadable."""
    return _group_two(part10)[1]


def complete_header(early: bytes) -> int | None:
    """`header_length` of a file of which only the first bytes have come; None: more are needed. Raises Unreadable where
    they cannot become a file."""
    if len(early) < len(_PREFIX):
        return None
    try:
        length = header_length(early)
    except _CutShort:
        return None
    return length if length + 2 <= len(early) else None


def split(part10: bytes) -> tuple[bytes, bytes]:
    """(header, data set) of a Part 10 file; the data set of a view is a view. Raises Unreadable."""
    length = header_length(part10)
    return bytes(part10[:length]), part10[length:]


def _element(tag: int, vr: bytes, value: bytes) -> bytes:
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    if vr in _LONG_FORM:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def _padded(text: str, pad: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    return value + pad * (len(value) % 2)


def _group_two(data: bytes) -> tuple[dict[int, str], int]:
    """({tag: text}, offset of the first element outside group 2)."""
    if bytes(data[128:132]) != b"DICM":
        raise Unreadable("This is no DICOM file: the letters DICM are missing at byte 128.")
    values: dict[int, str] = {}
    offset = 132
    while bytes(data[offset:offset + 2]) == b"\2\0":
        tag, start, length = _head(data, offset)
        offset = start + length
        if offset > len(data):
            raise _CutShort("The file ends within its file meta information.")
        values[tag] = bytes(data[start:offset]).decode("ascii", "replace").strip("\0 ")
    return values, offset


def _head(data: bytes, offset: int) -> tuple[int, int, int]:
    """(tag, start of value, length of value)."""
    try:
        group, number, vr, short = struct.unpack_from("<HH2sH", data, offset)
        tag = group << 16 | number
        if vr not in _LONG_FORM:
            return tag, offset + 8, short
        return tag, offset + 12, struct.unpack_from("<I", data, offset + 8)[0]
    except struct.error as error:
        raise _CutShort("The file ends within its file meta information.") from error
