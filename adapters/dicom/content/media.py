"""Which representation a client accepts (PS3.18 8.7): Accept header and `accept` parameter, multipart and single."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header

from adapters.dicom.content.frames import EXPLICIT_LITTLE_ENDIAN
from gateway.errors import Unreadable

DICOM, JSON, OCTETS = "application/dicom", "application/dicom+json", "application/octet-stream"
ANY = "*"
"""As a transfer syntax: whichever the object is stored in."""
_MOST_RANGES = 64
_MULTIPART = "multipart/related"


class NotAcceptable(Exception):
    """None of what the client accepts can be given (406); the message says what can."""


@dataclass(frozen=True, slots=True)
class Range:
    """One media range. `media_type`: of the part for multipart/related, empty where it is left open there.

    `transfer_syntax`: UID, `*`, or empty where the client names none.
    """

    media_type: str
    multipart: bool
    transfer_syntax: str = ""
    quality: float = 1.0

    def covers(self, media_type: str) -> bool:
        kind = media_type.partition("/")[0]
        return self.media_type in ("", "*/*", f"{kind}/*", media_type)

    @property
    def open(self) -> bool:
        """`*/*`: multipart or not, as is usual."""
        return self.media_type == "*/*" and not self.multipart


def ranges(header: str, parameter: str = "") -> tuple[Range, ...]:
    """Most wanted first. The `accept` query parameter counts instead of the header (8.3.3.1); without both it is `*/*`.

    Raises Unreadable where there are more ranges than anybody needs; a range that cannot be read is left out.
    """
    told = _split(parameter or header or "*/*")
    if len(told) > _MOST_RANGES:
        raise Unreadable(f"Accept names more than {_MOST_RANGES} media types.", element="Accept")
    read = [found for text in told if (found := _range(text)) is not None and found.quality > 0]
    return tuple(sorted(read, key=lambda r: -r.quality))


def _split(text: str) -> list[str]:
    """At commas outside of quotes."""
    parts, quoted = [""], False
    for letter in text:
        quoted ^= letter == '"'
        if letter == "," and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part.strip()]


def _range(text: str) -> Range | None:
    kind, parameters = parse_options_header(text.strip())
    media_type = kind.decode("latin-1").lower()
    if "/" not in media_type:
        return None
    told = {name.decode("latin-1").lower(): value.decode("latin-1").strip() for name, value in parameters.items()}
    try:
        quality = float(told.get("q", "1"))
    except ValueError:
        return None
    multipart = media_type == _MULTIPART
    return Range(told.get("type", "").lower() if multipart else media_type, multipart,
                 told.get("transfer-syntax", ""), quality if 0 <= quality <= 1 else 0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """`transfer_syntaxes`: those that are accepted, most wanted first; empty text stands for the default."""

    multipart: bool
    transfer_syntaxes: tuple[str, ...]

    def pick(self, stored: str, *, decodable: bool) -> str | None:
        """The transfer syntax to give an object in that is stored in `stored`; None where none is accepted.

        What is not named defaults to Explicit VR Little Endian (8.7.3.5.2), and to the stored one where that cannot be.
        """
        for wanted in self.transfer_syntaxes:
            if wanted in (ANY, stored):
                return stored
            if wanted in ("", EXPLICIT_LITTLE_ENDIAN) and decodable:
                return EXPLICIT_LITTLE_ENDIAN
            if not wanted:
                return stored
        return None


def dicom(accepted: Iterable[Range], *, single: bool) -> Wanted:
    """For objects. `single`: whether one object alone, without multipart, can be the answer. Raises NotAcceptable."""
    fitting = [r for r in accepted if r.covers(DICOM) and (r.multipart or r.open or single)]
    if not fitting:
        also = f" or {DICOM}" if single else ""
        raise NotAcceptable(f'Instances are given as multipart/related; type="{DICOM}"{also}, metadata at …/metadata.')
    multipart = fitting[0].multipart or fitting[0].open
    return Wanted(multipart, tuple(r.transfer_syntax for r in fitting if (r.multipart or r.open) == multipart))


def json(accepted: Iterable[Range]) -> None:
    """For metadata and search results. Raises NotAcceptable."""
    if not any(r.covers(JSON) or r.covers("application/json") for r in accepted if not r.multipart):
        raise NotAcceptable(f"This is given as {JSON} only.")


def image(accepted: Iterable[Range], offered: Sequence[str]) -> str:
    """For rendered resources: the first offered type that the most wanted range covers. Raises NotAcceptable."""
    for wanted in accepted:
        for media_type in offered:
            if wanted.covers(media_type):
                return media_type
    raise NotAcceptable(f"This is given as {' or '.join(offered)}.")


@dataclass(frozen=True, slots=True)
class BulkWanted:
    """`native`: the frames or bulk data as they were encoded, told as `media_type`; else plain little endian."""

    multipart: bool
    media_type: str
    native: bool


def bulk(accepted: Iterable[Range], stored: str, native_type: str, *, decodable: bool, single: bool) -> BulkWanted:
    """For frames and bulk data of an object stored in `stored`; `native_type` is empty where it is not compressed.

    `single`: whether one value alone, without multipart, can be the answer. Raises NotAcceptable.
    """
    for wanted in accepted:
        if not (wanted.multipart or wanted.open or single):
            continue
        found = _bulk(wanted, stored, native_type, decodable)
        if found is not None:
            return found
    offers = [f'"{OCTETS}"'] if decodable or not native_type else []
    offers += [f'"{native_type}"; transfer-syntax={stored}'] if native_type else []
    raise NotAcceptable(f"This is given as multipart/related; type={' or type='.join(offers)}.")


def _bulk(wanted: Range, stored: str, native_type: str, decodable: bool) -> BulkWanted | None:
    multipart = wanted.multipart or wanted.open
    syntax = wanted.transfer_syntax
    as_stored = bool(native_type) and syntax in (ANY, stored)
    if as_stored and wanted.covers(native_type):
        return BulkWanted(multipart, native_type, True)
    if wanted.covers(OCTETS):
        if as_stored:
            return BulkWanted(multipart, OCTETS, True)
        if decodable and syntax in ("", ANY, EXPLICIT_LITTLE_ENDIAN):
            return BulkWanted(multipart, OCTETS, False)
    if native_type and wanted.covers(native_type) and not syntax:
        return BulkWanted(multipart, native_type, True)
    return None
