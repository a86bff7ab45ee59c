"""Character sets of messages: HL7 table 0211 (MSH-18) and what the bytes themselves show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.hl7.content.faults import DATA_TYPE, TABLE, Location, UnreadableMessage

TABLE_0211: dict[str, str] = {
    "ASCII": "ascii", "ISO IR6": "ascii",
    **{f"8859/{part}": f"iso8859_{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)},
    "UNICODE": "utf_8", "UNICODE UTF-8": "utf_8", "UNICODE UTF-16": "utf_16", "UNICODE UTF-32": "utf_32",
    "GB 18030-2000": "gb18030", "BIG-5": "cp950", "KS X 1001": "euc_kr", "JAS2020": "iso2022_jp",
    "ISO IR14": "iso2022_jp_ext", "ISO IR87": "iso2022_jp_ext", "ISO IR159": "iso2022_jp_ext",
    "JIS X 0202": "iso2022_jp_ext",
}
"""Value → Python codec. `8859/12` never existed; CNS 11643-1992 has no codec and is refused."""

_COMMON: dict[str, str] = {
    "UTF-8": "utf_8", "UTF8": "utf_8", "WINDOWS-1250": "cp1250", "WINDOWS-1251": "cp1251", "WINDOWS-1252": "cp1252",
    "CP1251": "cp1251", "CP1252": "cp1252",
    **{f"ISO-8859-{part}": f"iso8859_{part}" for part in (1, 2, 5, 7, 9, 15)},
}
"""Not in the table, but sent in practice."""

_WIDE: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xfe\x00\x00", "utf_32"), (b"\x00\x00\xfe\xff", "utf_32"), (b"M\0\0\0S\0\0\0", "utf_32_le"),
    (b"\0\0\0M\0\0\0S", "utf_32_be"), (b"\xff\xfe", "utf_16"), (b"\xfe\xff", "utf_16"), (b"M\0S\0H\0", "utf_16_le"),
    (b"\0M\0S\0H", "utf_16_be"),
)
_SEVEN_BIT_WITH_ESCAPES = "iso2022_jp_ext"
_C1 = re.compile("[\x80-\x9f]")
_LINE_END = re.compile(rb"[\r\n]")
CHARSET = Location("MSH", 18)


@dataclass(frozen=True, slots=True)
class Charsets:
    """What holds for messages without MSH-18. `senders`: `MSH-3|MSH-4` → table 0211 value; else `default`."""

    default: str = "UNICODE UTF-8"
    senders: Mapping[str, str] = field(default_factory=dict)


def header_line(raw: bytes) -> str:
    """The first segment, each byte as one character: enough for MSH, whose own fields are ASCII as a rule."""
    for mark, codec in _WIDE:
        if raw.startswith(mark):
            return re.split("[\r\n]", raw[:8192].decode(codec, "ignore").lstrip("\ufeff"), maxsplit=1)[0]
    return _LINE_END.split(raw[:8192].removeprefix(b"\xef\xbb\xbf").lstrip(), maxsplit=1)[0].decode("latin_1")


def decode(raw: bytes, charsets: Charsets) -> tuple[str, str]:
    """(text, codec). Raises UnreadableMessage at MSH-18: unknown character set, or bytes that are not of it."""
    codec, named = _choose(raw, charsets)
    try:
        text = raw.decode(codec).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise UnreadableMessage(f"The bytes from offset {error.start} on are not in the character set {named}.",
                                CHARSET, DATA_TYPE) from None
    if "\0" in text:
        raise UnreadableMessage(f"The text holds NUL characters, so it is not in the character set {named}.",
                                CHARSET, DATA_TYPE)
    if codec.startswith("iso8859") and _C1.search(text):
        return _with_windows_quotes(raw, codec, named), "cp1252"
    return text, codec


def codec_of(value: str) -> str | None:
    """The Python codec of a table 0211 value, None where there is none."""
    key = " ".join(value.upper().split())
    return TABLE_0211.get(key) or _COMMON.get(key)


def _choose(raw: bytes, charsets: Charsets) -> tuple[str, str]:
    for mark, codec in _WIDE:
        if raw.startswith(mark):
            return codec, codec.upper().replace("_", "-")
    line = header_line(raw)
    fields = line.split(line[3:4] or "|")
    declared = fields[17].strip() if len(fields) > 17 else ""
    if not declared:
        sender = "|".join([*fields[2:4], "", ""][:2])
        declared = charsets.senders.get(sender, charsets.default)
        return _codec(declared, f"{_ascii(declared)}, which is assumed as MSH-18 is empty")
    return _from_repetitions(declared.split(line[5:6] or "~"))


def _from_repetitions(values: list[str]) -> tuple[str, str]:
    """The first repetition holds; empty it means ASCII (2.5.1 §2.15.9.18). ISO 2022 escapes reach the others."""
    codecs = [codec_of(value) for value in values]
    if codecs[0] in (None, "ascii") and _SEVEN_BIT_WITH_ESCAPES in codecs[1:]:
        return _SEVEN_BIT_WITH_ESCAPES, _ascii(values[1])
    return _codec(values[0] or "ASCII", _ascii(values[0] or "ASCII"))


def _codec(value: str, named: str) -> tuple[str, str]:
    codec = codec_of(value)
    if codec is None:
        raise UnreadableMessage(f"MSH-18 names a character set that is not supported: {_ascii(value)}.", CHARSET, TABLE)
    return codec, named


def _ascii(value: str) -> str:
    return "".join(c for c in value[:40] if c.isascii() and (c.isalnum() or c in " /-_"))


def _with_windows_quotes(raw: bytes, codec: str, named: str) -> str:
    """`8859/1` in practice often is its Windows superset; C1 control codes in any other part mean a wrong label."""
    try:
        if codec == "iso8859_1":
            return raw.decode("cp1252")
    except UnicodeDecodeError:
        pass
    raise UnreadableMessage(f"The text holds control codes, so it is not in the character set {named}.",
                            CHARSET, DATA_TYPE)
