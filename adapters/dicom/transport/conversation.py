"""The messages of one established association: C-STORE requests into the intake, everything else to the library."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog
from pynetdicom.pdu_primitives import P_DATA

from adapters.dicom.content import upper_layer
from adapters.dicom.content.pdu_events import Command, Data, OtherPdu
from adapters.dicom.content.pdu_reader import ProtocolError
from adapters.dicom.transport.reactor import Wakeup
from adapters.dicom.transport.services import sender_of

LONGEST_MESSAGE = 64 * 1024 * 1024
"""Bytes of a data set that is no C-STORE's: the library collects it in memory."""
CLOSED, INVALID = "Evt17", "Evt19"
"""Events of the upper layer's state machine (PS3.8 Table 9-10)."""
_DATA, _DATA_LAST, _COMMAND_LAST = b"\0", b"\2", b"\3"
"""Message control headers (PS3.8 E.2)."""


class Store(Protocol):
    """One C-STORE request that is being taken in."""

    size: int
    """Bytes of the data set so far."""

    def write(self, piece: memoryview) -> None:
        """More of the data set; never raises what the peer may be answered."""
        ...

    def take(self, pieces: Sequence[memoryview]) -> None:
        """The whole data set at once, which is lent, instead of `write` and `stage`."""
        ...

    def stage(self) -> None:
        """The whole data set has come: do what of `finish` needs no waiting for the disk. Optional."""
        ...

    def finish(self) -> bytes:
        """The whole data set has come: the encoded response command."""
        ...

    def abort(self) -> None:
        """It is over: answered, or the rest never comes. After `stage` it may raise GatewayError, to be asked again."""
        ...


class Conversation:
    """Acts on what a peer says. One thread at a time."""

    def __init__(self, association: Any, wakeup: Wakeup, begin: Callable[[Any, Command], Store]) -> None:
        """`begin` is called with the association's accepted presentation context and the request."""
        self._association, self._dul, self._begin = association, association.dul, begin
        self._wakeup = wakeup
        self._store: Store | None = None
        self._size = 0
        """Bytes of the current message's data set so far."""
        self._pieces: list[memoryview] = []
        """Of them, those that the store has not got: what came with one reading."""
        self._context = 0
        self._longest: int | None = None
        """Bytes of a PDU that the peer takes, 0 for any (PS3.8 D.1); asked for once."""
        self._is_whole = False
        """Whether the current object has come whole, and is not answered."""
        self.release_requested = False
        """Whether the peer has asked for the end of the association in good order."""
        self._log = structlog.get_logger()
        self.descriptor = os.dup(self._dul.socket.socket.fileno())
        """Of the socket; stays open when the library closes the connection, so that nobody else's gets its number."""
        self._close_descriptor = weakref.finalize(self, os.close, self.descriptor)

    def _whole(self, store: Store) -> None:
        """An object has come whole."""
        raise NotImplementedError

    def _command(self, command: Command) -> None:
        self._context, self._size = command.context, 0
        if not is_store(command):
            self._forward(_COMMAND_LAST, command.encoded)
            return
        context = self._association._accepted_cx.get(command.context)
        if context is None:
            raise ProtocolError("a request comes in a presentation context that was not accepted")
        self._store = self._begin(context, command)
        if not command.has_dataset:
            self._whole(self._store)

    def _data(self, data: Data) -> None:
        self._size += len(data.piece)
        if self._store is None:
            if self._size > LONGEST_MESSAGE:
                raise ProtocolError("the data set of a message that is no C-STORE is too long")
            self._forward(_DATA_LAST if data.last else _DATA, bytes(data.piece))
            return
        self._pieces.append(data.piece)
        if data.last:
            self._whole(self._store)

    def _pass_on(self) -> None:
        pieces, self._pieces = self._pieces, []
        if self._store is not None:
            for piece in pieces:
                self._store.write(piece)

    def _finish(self, store: Store) -> None:
        self._store = None  # first: it has come whole, whatever becomes of the answer
        try:
            self._respond(store)
        finally:
            store.abort()

    def _respond(self, store: Store) -> None:
        command = store.finish()
        longest = self._longest_pdu()
        if len(command) + 6 <= (longest or len(command) + 6):
            self._send(upper_layer.command_pdu(self._context, command))
        else:
            self._send(b"".join(upper_layer.command_pdus(self._context, command, longest)))

    def takes(self, size: int) -> bool:
        """See `adapters.dicom.transport.channel.Channel.takes`."""
        longest = self._longest_pdu()
        return not longest or size - 6 <= longest

    def say_rest(self, rest: bytes) -> None:
        """See `adapters.dicom.transport.channel.Channel.say_rest`."""
        self._send(rest)

    def _longest_pdu(self) -> int:
        longest = self._longest
        if longest is None:
            longest = self._longest = int(self._association.requestor.maximum_length or 0)
        return longest

    def _send(self, response: bytes) -> None:
        sent = 0
        try:
            with contextlib.suppress(BlockingIOError):
                sent = os.write(self.descriptor, response)
            if sent < len(response):
                self._dul.socket.socket.sendall(response[sent:])
        except (OSError, AttributeError):  # the library has closed it
            self._end(CLOSED)

    def _forward(self, control: bytes, value: bytes) -> None:
        """To the library's DIMSE provider, as its upper layer does (PS3.8 9.2, DT-2)."""
        primitive = P_DATA()
        primitive.presentation_data_value_list = [[self._context, control + value]]
        try:
            self._association.dimse.receive_primitive(primitive)
        except Exception as error:
            raise ProtocolError("a message cannot be read") from error

    def _who(self) -> dict[str, str]:
        """What a line of the log says of the peer."""
        sender = sender_of(self._association)
        return {"calling": sender.name, "address": sender.address}

    def _hand_over(self, pdu: OtherPdu) -> None:
        """To the library's state machine, as its own reading does."""
        self._drop()
        self.release_requested |= pdu.kind == upper_layer.RELEASE_RQ
        try:
            decoded, event = self._dul._decode_pdu(bytearray(pdu.encoded))
        except Exception:
            self._end(INVALID)
            return
        self._dul._recv_pdu.put(decoded)
        self._dul.event_queue.put(event)

    def _end(self, event: str) -> None:
        self._drop()
        self._dul.event_queue.put(event)
        self._wakeup.wake()

    def _drop(self) -> None:
        store, self._store = self._store, None
        in_part = store is not None and not self._is_whole
        self._is_whole, self._pieces = False, []
        if in_part:
            self._log.warning("object_came_in_part", **self._who(), bytes=self._size)
        if store is not None:
            store.abort()


def is_store(command: Command) -> bool:
    return command.fields.get(upper_layer.COMMAND_FIELD) == upper_layer.C_STORE_RQ
