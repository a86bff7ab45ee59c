"""Encoded element values as JSON-serialisable Python values (PS3.5 6.2)."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence

from pydicom.charset import convert_encodings, decode_bytes

Scalar = str | int | float

DEFAULT_CHARSET: tuple[str, ...] = ("iso8859",)
_CHARSET_DEPENDENT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_SINGLE = frozenset({"LT", "ST", "UT", "UR"})
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_LINES, _VALUES, _NAME_PARTS = frozenset(b"\t\n\f\r"), frozenset(b"\\"), frozenset(b"^=")
"""Characters after which ISO 2022 falls back to the first character set (PS3.5 6.1.2.5.3), by what they separate."""


def charset(value: bytes) -> tuple[str, ...]:
    """Python codecs for a Specific Character Set (0008,0005), the default one where it is empty or unknown."""
    terms = [term.strip() for term in value.decode("ascii", "replace").replace("\0", "").strip().split("\\")]
    try:
        return tuple(convert_encodings(terms)) if any(terms) else DEFAULT_CHARSET
    except (LookupError, ValueError):
        return DEFAULT_CHARSET


def decode(vr: str, value: bytes, big_endian: bool, encodings: Sequence[str]) -> list[Scalar]:
    """The values of one element, empty ones left out. Numbers that are none are left out too.

    Text is Unicode without padding; DS is float, IS int. Bulk data and sequences give an empty list.
    """
    if vr in _BINARY:
        return _binary(_BINARY[vr], value, big_endian)
    if vr == "AT":
        return [f"{group:04X}{number:04X}" for group, number in
                struct.iter_unpack(">HH" if big_endian else "<HH", value[:len(value) // 4 * 4])]
    if vr in {"DS", "IS"}:
        return _numbers(value, _integer if vr == "IS" else float)
    if vr in {"SQ", "UN"} or vr.startswith("O"):
        return []
    return list(_texts(vr, value, encodings))


def _texts(vr: str, value: bytes, encodings: Sequence[str]) -> list[str]:
    text = _unicode(vr, value, encodings) if vr in _CHARSET_DEPENDENT else value.decode("ascii", "replace")
    text = text.replace("\0", "")
    parts = [text] if vr in _SINGLE else text.split("\\")
    stripped = [part.rstrip() if vr in _SINGLE else part.strip() for part in parts]
    if vr == "PN":
        stripped = [name.rstrip("=") for name in stripped]  # empty component groups at the end (PS3.5 6.2.1)
    return stripped if any(stripped) else []


def _unicode(vr: str, value: bytes, encodings: Sequence[str]) -> str:
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    return str(decode_bytes(value, list(encodings), _resets(vr)))


def _resets(vr: str) -> set[int]:
    return {*_LINES, *(() if vr in _SINGLE else _VALUES), *(_NAME_PARTS if vr == "PN" else ())}


def _numbers(value: bytes, number: Callable[[str], float]) -> list[Scalar]:
    """All of them or none: a position with one coordinate missing would be another position."""
    texts = value.decode("ascii", "replace").replace("\0", "").split("\\")
    try:
        found = [number(text) for text in texts]
        return list(found) if all(map(math.isfinite, found)) else []
    except (ValueError, OverflowError):
        return []


def _integer(text: str) -> int:
    """IS; some write a decimal point."""
    return int(text) if "." not in text else int(float(text))


def _binary(code: str, value: bytes, big_endian: bool) -> list[Scalar]:
    size = struct.calcsize(f"={code}")
    count = len(value) // size
    numbers = struct.unpack(f"{'>' if big_endian else '<'}{count}{code}", value[:count * size])
    return [n for n in numbers if math.isfinite(n)]
