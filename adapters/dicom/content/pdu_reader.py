"""The acceptor's side of an established association (PS3.8 9.3, PS3.7 E): bytes as they come → what they mean.

No sockets and no waiting: `PduReader.feed` takes whatever the network gave, in any pieces, and gives commands whole,
data sets as they pass, and every other PDU whole. Memory stays bounded by what a peer may send besides data sets.
"""

from __future__ import annotations

import struct

from adapters.dicom.content.familiar import Familiar
from adapters.dicom.content.pdu_events import Command, Data, Event, OtherPdu
from adapters.dicom.content.upper_layer import (
    ABORT,
    ASSOCIATE_RQ,
    MESSAGE_ID,
    P_DATA,
    RELEASE_RQ,
    Malformed,
    decode_command,
)

LONGEST_COMMAND = 64 * 1024
"""Bytes of a command set; the standard's longest have some hundreds."""
LONGEST_MESSAGE_ID = 0xFFFF
"""PS3.7 E.1: US."""
LONGEST_OTHER = 1024 * 1024
"""Bytes of a PDU other than P-DATA-TF, such as an A-ASSOCIATE-RQ at the wrong time."""
_IS_COMMAND, _IS_LAST = 1, 2
_PDU, _PDV = struct.Struct(">BxI"), struct.Struct(">IBB")


class ProtocolError(Malformed):
    """The peer's bytes are no DICOM upper layer, or come in an order that PS3.7 and PS3.8 forbid."""


class PduReader:
    """One association's reader. Once `broken` is set it reads no more: the association has to be aborted."""

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
        self.broken: ProtocolError | None = None
        """What the peer did, after the events that were given before it."""
        self._familiar = Familiar()
        self.idle = True
        """Between two messages and two PDUs: nothing has begun."""

    @property
    def _is_between(self) -> bool:
        """Between two PDUs."""
        return not (self._head or self._pdu_left or self._pdv_left or self._command or self._other is not None)

    def feed(self, received: memoryview) -> list[Event]:
        """What `received` completes, in order; see `broken` after it."""
        was_idle = self.idle and self.broken is None
        if was_idle and (familiar := self._familiar.read(received)) is not None:
            self._dataset_of = familiar.dataset_of
            self.idle = familiar.dataset_of is None
            return familiar.events
        events: list[Event] = []
        try:
            if self.broken is None:
                self._feed(received, events)
        except ProtocolError as error:
            self.broken = error
        is_between = self._is_between
        self.idle = is_between and self._dataset_of is None
        if was_idle and is_between and self.broken is None:
            self._familiar.learn(received, events)
        return events

    def _feed(self, received: memoryview, events: list[Event]) -> None:
        offset, end = 0, len(received)
        while offset < end:
            if self._pdv_left:
                stop = min(end, offset + self._pdv_left)
                self._pdv_left -= stop - offset
                self._value(received[offset:stop], events)
            elif self._other is not None:
                stop = min(end, offset + self._pdu_left)
                self._pdu_left -= stop - offset
                self._other += received[offset:stop]
                self._other_complete(events)
            elif not self._head and end - offset >= 6:
                stop = offset + 6
                self._head_complete(received[offset:stop], events)
            else:
                stop = min(end, offset + 6 - len(self._head))
                self._head += received[offset:stop]
                if len(self._head) == 6:
                    head = bytes(self._head)
                    self._head.clear()
                    self._head_complete(head, events)
            offset = stop

    def _head_complete(self, head: bytes | memoryview, events: list[Event]) -> None:
        if self._pdu_left:
            self._value_begins(head, events)
            return
        kind, length = _PDU.unpack(head)
        if kind == P_DATA:
            if 0 < length < 6:
                raise ProtocolError("a P-DATA-TF is too short for a presentation data value")
            self._pdu_left = length
            return
        if not ASSOCIATE_RQ <= kind <= ABORT:
            raise ProtocolError("this is no DICOM upper layer message")
        if length > LONGEST_OTHER:
            raise ProtocolError("a message of the upper layer is longer than any can be")
        self._other, self._pdu_left = bytearray(head), length
        self._other_complete(events)

    def _other_complete(self, events: list[Event]) -> None:
        if self._other is not None and not self._pdu_left:
            encoded, self._other = bytes(self._other), None
            if encoded[0] == RELEASE_RQ and (self._command or self._dataset_of is not None):
                raise ProtocolError("a release is requested within a message")
            events.append(OtherPdu(encoded[0], encoded))

    def _value_begins(self, head: bytes | memoryview, events: list[Event]) -> None:
        length, self._context, self._control = _PDV.unpack(head)
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
            self._value(memoryview(b""), events)

    def _value(self, piece: memoryview, events: list[Event]) -> None:
        ended = not self._pdv_left and bool(self._control & _IS_LAST)
        if not self._control & _IS_COMMAND:
            if ended:
                self._dataset_of = None
            events.append(Data(piece, ended))
            return
        if ended and not self._command:
            events.append(self._command_complete(bytes(piece)))
            return
        self._command += piece
        if len(self._command) > LONGEST_COMMAND:
            raise ProtocolError("a command set is longer than any can be")
        if ended:
            encoded = bytes(self._command)
            self._command.clear()
            events.append(self._command_complete(encoded))

    def _command_complete(self, encoded: bytes) -> Command:
        if len(encoded) > LONGEST_COMMAND:
            raise ProtocolError("a command set is longer than any can be")
        try:
            command = Command(self._context, decode_command(encoded), encoded)
        except Malformed as error:
            raise ProtocolError(str(error)) from error
        if int(command.fields.get(MESSAGE_ID, 0)) > LONGEST_MESSAGE_ID:
            raise ProtocolError("a message ID is longer than two bytes")
        if command.has_dataset:
            self._dataset_of = self._context
        return command
