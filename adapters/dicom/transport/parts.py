"""The parts of a multipart/related body (RFC 2387), handed on piece by piece as they come in; nothing is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from gateway.errors import Unreadable

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


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

    `open_part` gets each part's media type (lower case, without parameters, empty where the part does not tell) and
    gives who takes it.
    """

    def __init__(self, boundary: bytes, open_part: Callable[[str], Taker]) -> None:
        self._open_part = open_part
        self._taker: Taker | None = None
        self._headers: dict[str, str] = {}
        self._field = self._value = b""
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin, "on_part_data": self._data, "on_part_end": self._end,
            "on_header_field": self._header_field, "on_header_value": self._header_value,
            "on_header_end": self._header_end, "on_headers_finished": self._headers_finished}
        self._parser = MultipartParser(boundary, callbacks)

    def feed(self, piece: bytes) -> None:
        """Raises Unreadable where the body is not multipart."""
        try:
            self._parser.write(piece)
        except MultipartParseError as error:
            raise Unreadable("The body is no multipart message with the boundary that Content-Type names.") from error

    @property
    def finished(self) -> bool:
        """Whether the closing boundary has come."""
        return self._parser.state is MultipartState.END

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
