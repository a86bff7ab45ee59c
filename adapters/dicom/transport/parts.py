"""The parts of a multipart/related body (RFC 2387) as they come in, in memory while small and on disk when large."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from adapters.dicom.content import part10
from gateway.errors import Unreadable

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

IN_MEMORY = 4 * 1024 * 1024
"""Bytes of a part that are kept in memory; a longer one goes to a temporary file."""


class Part:
    """One complete part. `media_type` in lower case without parameters, empty where the part does not tell."""

    def __init__(self, media_type: str, file: IO[bytes], size: int) -> None:
        self.media_type = media_type
        self._file = file
        self._size = size

    @contextmanager
    def opened(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """(header, data set in pieces) as for `gateway.ports.Intake.take`. Raises Unreadable.

        A long data set is mapped and not loaded: the piece is then a view, good within this context only.
        """
        if self._size <= IN_MEMORY:
            self._file.seek(0)
            header, dataset = part10.split(self._file.read())
            yield header, [dataset]
            return
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as whole:
            length = part10.header_length(cast(bytes, whole))
            with whole[length:] as dataset_view:
                yield bytes(whole[:length]), [cast(bytes, dataset_view)]

    def close(self) -> None:
        self._file.close()


class PartReader:
    """Feed it the body piece by piece; it gives the parts that have become complete."""

    def __init__(self, boundary: bytes) -> None:
        self._complete: list[Part] = []
        self._headers: dict[str, str] = {}
        self._field = self._value = b""
        self._file: IO[bytes] | None = None
        self._size = 0
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin, "on_part_data": self._data, "on_part_end": self._end,
            "on_header_field": self._header_field, "on_header_value": self._header_value,
            "on_header_end": self._header_end}
        self._parser = MultipartParser(boundary, callbacks)

    def feed(self, piece: bytes) -> list[Part]:
        """The caller closes the parts. Raises Unreadable where the body is not multipart."""
        try:
            self._parser.write(piece)
        except MultipartParseError as error:
            raise Unreadable("The body is no multipart message with the boundary that Content-Type names.") from error
        complete, self._complete = self._complete, []
        return complete

    @property
    def finished(self) -> bool:
        """Whether the closing boundary has come."""
        return self._parser.state is MultipartState.END

    def close(self) -> None:
        """Drop what has not been completed."""
        for part in self._complete:
            part.close()
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        self._headers = {}
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  (closed by Part.close)
        self._size = 0

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            self._size += end - start

    def _end(self) -> None:
        if self._file is not None:
            media_type, _ = parse_options_header(self._headers.get("content-type", ""))
            self._complete.append(Part(media_type.decode("latin-1").lower(), self._file, self._size))
            self._file = None

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._field = self._value = b""
