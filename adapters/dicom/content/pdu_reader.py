"""The acceptor's side of an established association (PS3.8 9.3, PS3.7 E): bytes as they come → what they mean.

No sockets and no waiting: `PduReader.feed` takes whatever the network gave, in any pieces, and gives commands whole,
data sets as they pass, and every other PDU whole. Memory stays bounded by what a peer may send besides data sets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from adapters.dicom.content.upper_layer import (
    ABORT,
    ASSOCIATE_RQ,
    DATA_SET_TYPE,
    NO_DATA_SET,
    P_DATA,
    Malformed,
    decode_command,
)

LONGEST_COMMAND = 64 * 1024
"""Bytes of a command set; the standard's longest have some hundreds."""
LONGEST_OTHER = 1024 * 1024
"""Bytes of a PDU other than P-DATA-TF, such as an A-ASSOCIATE-RQ at the wrong time."""
_IS_COMMAND, _IS_LAST = 1, 2


class ProtocolError(Malformed):
    """The peer's bytes are no DICOM upper layer, or come in an order that PS3.7 and PS3.8 forbid."""


@dataclass(frozen=True, slots=True)
class Command:
    """A whole command set. `fields`: element number in group 0 → value. `encoded`: as it came."""

    context: int
    fields: dict[int, int | str]
    encoded: bytes

    @property
    def has_dataset(self) -> bool:
        return self.fields.get(DATA_SET_TYPE, NO_DATA_SET) != NO_DATA_SET


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of the data set of the last command; a view that is good until the next `feed`."""

    piece: memoryview
    last: bool


@dataclass(frozen=True, slots=True)
class OtherPdu:
    """A PDU that is no P-DATA-TF, with its head."""

    kind: int
    encoded: bytes


Event = Command | Data | OtherPdu


class PduReader:
    """One association's reader. After a ProtocolError it reads no more: the association has to be aborted."""

    def __init__(self) -> None:
        self._head = bytearray()
        """What has come of a PDU's or PDV's head."""
        self._pdu_left = 0
        """Bytes of the current P-DATA-TF that no PDV head has claimed yet."""
        self._pdv_left = 0
        self._control = 0
        self._context = 0
        self._other: bytearray | None = None
        """The current PDU of another type, head included; `_pdu_left` bytes are missing."""
        self._command = bytearray()
        self._dataset_of: int | None = None
        """The context whose data set must follow."""
        self.fed = 0
        """How much of the last `feed` is understood, with the event that it gave last."""

    @property
    def idle(self) -> bool:
        """Between two messages and two PDUs: nothing has begun."""
        return not (self._head or self._pdu_left or self._pdv_left or self._command
                    or self._other is not None or self._dataset_of is not None)

    def feed(self, received: memoryview) -> Iterator[Event]:
        """What `received` completes, in order. Where it is not exhausted, the next call goes on after `fed`. Raises
        ProtocolError."""
        offset, end = 0, len(received)
        while offset < end:
            if self._pdv_left:
                stop = self.fed = min(end, offset + self._pdv_left)
                self._pdv_left -= stop - offset
                yield from self._value(received[offset:stop])
                offset = stop
            elif self._other is not None:
                stop = self.fed = min(end, offset + self._pdu_left)
                self._pdu_left -= stop - offset
                self._other += received[offset:stop]
                offset = stop
                yield from self._other_complete()
            else:
                stop = self.fed = min(end, offset + 6 - len(self._head))
                self._head += received[offset:stop]
                offset = stop
                if len(self._head) == 6:
                    yield from self._head_complete()

    def _head_complete(self) -> Iterator[Event]:
        if self._pdu_left:
            yield from self._value_begins()
            return
        kind, length = struct.unpack(">BxI", self._head)
        if not ASSOCIATE_RQ <= kind <= ABORT:
            raise ProtocolError("this is no DICOM upper layer message")
        if kind == P_DATA:
            if length and length < 6:
                raise ProtocolError("a P-DATA-TF is too short for a presentation data value")
            self._pdu_left = length
        else:
            if length > LONGEST_OTHER:
                raise ProtocolError("a message of the upper layer is longer than any can be")
            self._other, self._pdu_left = bytearray(self._head), length
            yield from self._other_complete()
        self._head.clear()

    def _other_complete(self) -> Iterator[Event]:
        if self._other is not None and not self._pdu_left:
            encoded, self._other = bytes(self._other), None
            yield OtherPdu(encoded[0], encoded)

    def _value_begins(self) -> Iterator[Event]:
        length, self._context, self._control = struct.unpack(">IBB", self._head)
        self._head.clear()
        self._pdu_left -= 4 + length
        self._pdv_left = length - 2
        if length < 2 or self._pdu_left < 0 or 0 < self._pdu_left < 6:
            raise ProtocolError("a presentation data value does not fit into its P-DATA-TF")
        is_command = bool(self._control & _IS_COMMAND)
        if is_command != (self._dataset_of is None):
            raise ProtocolError("a data set without its command, or a command within a data set")
        if not is_command and self._context != self._dataset_of:
            raise ProtocolError("a data set comes in another presentation context than its command")
        if not self._pdv_left:
            yield from self._value(memoryview(b""))

    def _value(self, piece: memoryview) -> Iterator[Event]:
        ended = not self._pdv_left and bool(self._control & _IS_LAST)
        if not self._control & _IS_COMMAND:
            if ended:
                self._dataset_of = None
            yield Data(piece, ended)
            return
        self._command += piece
        if len(self._command) > LONGEST_COMMAND:
            raise ProtocolError("a command set is longer than any can be")
        if ended:
            yield self._command_complete()

    def _command_complete(self) -> Command:
        encoded = bytes(self._command)
        self._command.clear()
        try:
            command = Command(self._context, decode_command(encoded), encoded)
        except Malformed as error:
            raise ProtocolError(str(error)) from error
        if command.has_dataset:
            self._dataset_of = self._context
        return command
