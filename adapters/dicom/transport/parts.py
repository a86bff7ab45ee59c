"""The parts of a multipart/related body (RFC 2387), handed on piece by piece as they come in; none is kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from gateway.errors import Unreadable

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


LONGEST_PREAMBLE = 64 * 1024
"""Bytes in which the first boundary must come; until then they are kept."""
_NO_MULTIPART = "The body is no multipart message with the boundary that Content-Type names."


class Taker(Protocol):
    """What becomes of one part. `write` and `end` raise nothing that is only this part's fault."""

    def write(self, piece: memoryview) -> None:
        """More of the part; the view is good during the call only."""
        ...

    def end(self) -> None:
        """The part is complete."""
        ...


class PartReader:
    """Feed it the body, of which a part may have few and short headers.

    A preamble, and padding behind a boundary, are passed over (RFC 2046 5.1.1).
    `open_part` gets each part's media type (lower case, without parameters, empty where the part does not tell) and
    gives who takes it.
    """

    def __init__(self, boundary: bytes, open_part: Callable[[str], Taker]) -> None:
        """Raises Unreadable for a boundary longer than anybody's."""
        self._open_part = open_part
        self._taker: Taker | None = None
        self._headers: dict[str, str] = {}
        self._field = self._value = b""
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin, "on_part_data": self._data, "on_part_end": self._end,
            "on_header_field": self._header_field, "on_header_value": self._header_value,
            "on_header_end": self._header_end, "on_headers_finished": self._headers_finished}
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:
            raise Unreadable("The boundary that Content-Type names is too long.") from error
        self._boundary = b"--" + boundary
        self._early, self._begun = b"", False

    def feed(self, piece: bytes) -> None:
        """Raises Unreadable where the body is not multipart."""
        try:
            self._parser.write(piece if self._begun else self._past_preamble(piece))
        except MultipartParseError as error:
            raise Unreadable(_NO_MULTIPART) from error

    def require_whole(self) -> None:
        """Raises Unreadable where the body ends too early."""
        if self._early:
            raise Unreadable(_NO_MULTIPART)
        if not self.finished:
            raise Unreadable("The body ends before its closing boundary.")

    @property
    def finished(self) -> bool:
        """Whether the closing boundary has come."""
        return self._parser.state is MultipartState.END

    def _past_preamble(self, piece: bytes) -> bytes:
        """From the first boundary on, without its padding: the parser takes that at the later ones only. Empty while
        there is none. Raises Unreadable where none comes."""
        self._early += piece
        line = rb"(?<![^\r\n])" + re.escape(self._boundary) + rb"(?:[ \t]*(?=\r\n)|(?=--))"
        found = re.compile(line).search(self._early, 0, LONGEST_PREAMBLE)
        if found is None and len(self._early) >= LONGEST_PREAMBLE:
            raise Unreadable(f"The body's first {LONGEST_PREAMBLE} bytes lack the boundary that Content-Type names.")
        if found is None:
            return b""
        rest, self._early, self._begun = self._boundary + self._early[found.end():], b"", True
        return rest

    def _begin(self) -> None:
        self._headers = {}

    def _headers_finished(self) -> None:
        media_type, _ = parse_options_header(self._headers.get("content-type", ""))
        self._taker = self._open_part(media_type.decode("latin-1").lower())

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._taker is not None:
            self._taker.write(memoryview(data)[start:end])

    def _end(self) -> None:
        taker, self._taker = self._taker, None
        if taker is not None:
            taker.end()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._field = self._value = b""
