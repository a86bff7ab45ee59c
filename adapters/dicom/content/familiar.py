"""What begins with a C-STORE request and lies like what was read before: read with one comparison, not byte by byte.

Of the requests on one association mostly only the message ID, the SOP Instance UID and the data set differ, and one
reading mostly brings either the command set alone or all of the object.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from adapters.dicom.content import upper_layer
from adapters.dicom.content.pdu_events import Command, Data, Event

_ELEMENT = struct.Struct("<HHI")
HEAD = 12
"""Bytes before the one value of a P-DATA-TF (PS3.8 9.3.5)."""
_FREE = {upper_layer.MESSAGE_ID, upper_layer.AFFECTED_SOP_INSTANCE}
_MOST = 8


class Known(NamedTuple):
    events: list[Event]
    dataset_of: int | None
    """The context whose data set goes on."""


class _Shape:
    """Of a command set with so many fragments of its data set, none or all perhaps, of certain lengths."""

    def __init__(self, received: memoryview, command: Command, data: Sequence[Data]) -> None:
        """`data`: views of `received`. Raises ValueError where the request is laid out in an unusual way."""
        encoded = command.encoded
        self._context, self._fields, self._end = command.context, command.fields, HEAD + len(encoded)
        self.ends_message = False
        self._pieces: list[tuple[int, int]] = []
        self._fragments: list[tuple[int, bytes]] = []
        """Heads of the data set's fragments behind the first one's, and where they stand."""
        at = self._end
        first = upper_layer.command_pdu(command.context, encoded)
        for event in data:
            head = upper_layer.fragment_head(command.context, len(event.piece), last=event.last)
            if self._pieces:
                self._fragments.append((at, head))
            else:
                first += head
            self.ends_message = event.last
            if received[at:at + HEAD] != head:
                raise ValueError("a fragment with something else than one value")
            self._pieces.append((at + HEAD, at + HEAD + len(event.piece)))
            at = self._pieces[-1][1]
        self._size = len(first)
        if at != len(received) or received[:self._size] != first:
            raise ValueError("not one fragment for the command set")
        places = values_of(encoded)
        mask = bytearray(b"\xff" * self._size)
        for start, end in (places[number] for number in _FREE):
            mask[HEAD + start:HEAD + end] = bytes(end - start)
        self._mask = int.from_bytes(mask, "little")
        self._heads = int.from_bytes(first, "little") & self._mask
        (id_at, _), (uid_at, uid_end) = (places[number] for number in sorted(_FREE))
        self._id, self._uid = HEAD + id_at, slice(HEAD + uid_at, HEAD + uid_end)

    def read(self, received: memoryview) -> Known | None:
        """What a `PduReader` reads; None where it does not lie like this."""
        head = bytes(received[:self._size])
        if int.from_bytes(head, "little") & self._mask != self._heads:
            return None
        for at, expected in self._fragments:
            if received[at:at + HEAD] != expected:
                return None
        at = self._id
        fields = {**self._fields, upper_layer.MESSAGE_ID: head[at] | head[at + 1] << 8,
                  upper_layer.AFFECTED_SOP_INSTANCE: upper_layer.text_of(head[self._uid])}
        events: list[Event] = [Command(self._context, fields, head[HEAD:self._end])]
        last = len(self._pieces) - 1 if self.ends_message else len(self._pieces)
        events += [Data(received[start:end], number == last) for number, (start, end) in enumerate(self._pieces)]
        return Known(events, None if self.ends_message else self._context)


class Familiar:
    """The shapes of what has come on one association, by their length."""

    def __init__(self) -> None:
        self._shapes: dict[int, _Shape] = {}
        self._missed = 0

    def read(self, received: memoryview) -> Known | None:
        """The events of what begins a message and ends between two fragments or with it, where its like has come
        before."""
        shape = self._shapes.get(len(received))
        known = shape.read(received) if shape is not None else None
        if known is not None:
            self._missed = 0
        return known

    def learn(self, received: memoryview, events: Sequence[Event]) -> None:
        """What was read of `received`, with which a message began, and which ended between two fragments or with it.
        The more seldom the more often it was in vain."""
        self._missed += 1
        if self._missed & (self._missed - 1) or not events:
            return
        command, *data = events
        pieces = [event for event in data if isinstance(event, Data)]
        if not isinstance(command, Command) or len(pieces) < len(data):
            return
        if command.fields.get(upper_layer.COMMAND_FIELD) != upper_layer.C_STORE_RQ or not command.has_dataset:
            return
        try:
            shape = _Shape(received, command, pieces)
        except (ValueError, KeyError):
            return
        if len(self._shapes) >= _MOST:
            del self._shapes[next(iter(self._shapes))]
        self._shapes[len(received)] = shape


def values_of(command: bytes) -> dict[int, tuple[int, int]]:
    """Element number → where its value lies, of a command set that has been read. Raises ValueError where one comes
    twice, or a message ID has another length than two bytes."""
    places: dict[int, tuple[int, int]] = {}
    at = 0
    while at < len(command):
        _, number, length = _ELEMENT.unpack_from(command, at)
        if number in places or (number == upper_layer.MESSAGE_ID and length != 2):
            raise ValueError("no usual command set")
        places[number] = at + 8, at + 8 + length
        at += 8 + length
    return places
