"""P-DATA of an established association, from the socket to where it belongs.

The data sets of C-STORE requests go piece by piece into the intake, from one buffer that is used again and again, and
are answered in place. Every other message is handed to the library, which also keeps association negotiation, release
and abort.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

import structlog
from pynetdicom.pdu_primitives import P_DATA

from adapters.dicom.content import upper_layer
from adapters.dicom.content.pdu_reader import Command, Data, Event, OtherPdu, PduReader, ProtocolError
from adapters.dicom.transport.reactor import LOOK_SECONDS, Wakeup

LONGEST_MESSAGE = 64 * 1024 * 1024
"""Bytes of a data set that is no C-STORE's: the library collects it in memory."""
BUFFER = 512 * 1024
PROGRESS = 4096
"""Bytes of a message that must come within the DIMSE time-out."""
_NEGOTIATING, _ESTABLISHED, _CLOSING = "Sta3", "Sta6", "Sta13"
_CLOSED, _INVALID = "Evt17", "Evt19"
"""Events of the upper layer's state machine (PS3.8 Table 9-10)."""


class Store(Protocol):
    """One C-STORE request that is being taken in."""

    def write(self, piece: memoryview) -> None:
        """More of the data set; never raises what the peer may be answered."""
        ...

    def finish(self) -> bytes:
        """The whole data set has come: the encoded response command."""
        ...

    def abort(self) -> None:
        """It is over: answered, or the rest never comes."""
        ...


class Receiver:
    """Reads one association's socket in the thread of its upper layer, in place of the library's own reading."""

    def __init__(self, association: Any, wakeup: Wakeup, begin: Callable[[Any, Command], Store]) -> None:
        """`begin` is called with the association's accepted presentation context and the request."""
        self._association, self._dul, self._begin = association, association.dul, begin
        self._wakeup = wakeup
        self._library_reads = self._dul._is_transport_event
        self._reader = PduReader()
        self._buffer = memoryview(b"")
        self._store: Store | None = None
        self._context = 0
        self._forwarded = 0
        self._heard, self._heard_at = 0, 0.0
        self._established = self._over = False
        self.release_requested = False
        """Whether the peer has asked for the end of the association in good order."""
        self._log = structlog.get_logger()
        self._dul._is_transport_event = self._transport_event
        wakeup.watch(self._dul.socket.socket.fileno())

    def open(self) -> None:
        """The association is established: from now on objects are taken in."""
        self._established = True

    def close(self) -> None:
        """The association is over: drop what is half received."""
        self._over = True
        self._drop()
        self._buffer = memoryview(b"")
        self._wakeup.close()

    # ------------------------------------------------------------ in the library's loop

    def _transport_event(self) -> bool:
        """Whether something happened, as the library's method of this name; waits for it a while."""
        connection, state = self._dul.socket.socket, self._dul.state_machine.current_state
        if connection is None or self._over:
            return bool(self._library_reads())
        if state == _ESTABLISHED:
            return self._established and self._receive(connection)
        if state == _CLOSING:
            return self._drain(connection)
        if state == _NEGOTIATING:
            return False  # what comes before our answer is read after it
        if self._dul.event_queue.empty():
            self._wakeup.wait(LOOK_SECONDS)
        return bool(self._library_reads())

    def _drain(self, connection: Any) -> bool:
        """Read what the peer still sends, so that its end does not drop our last words; then close."""
        try:
            count = os.readv(connection.fileno(), (self._room(),))
        except OSError:
            count = 0
        if not count:
            self._dul.socket.close()
        return True

    def _room(self) -> memoryview:
        if not self._buffer:
            self._buffer = memoryview(mmap.mmap(-1, BUFFER))  # costs nothing before it is used, nor afterwards
            self._heard_at = time.monotonic()
        return self._buffer

    def _receive(self, connection: Any) -> bool:
        """Read until something else has to be done by the library's loop."""
        buffer, descriptor, dul = self._room(), connection.fileno(), self._dul
        while not dul._kill_thread and dul.to_provider_queue.empty() and dul.event_queue.empty():
            try:
                count = os.readv(descriptor, (buffer,))
            except BlockingIOError:
                if not self._wakeup.wait(LOOK_SECONDS):
                    return self._quiet_too_long()
                continue
            except OSError:
                count = 0
            if not self._take(buffer[:count]):
                return True
        return False

    def _quiet_too_long(self) -> bool:
        patience = self._association.dimse_timeout
        if self._reader.idle or patience is None or time.monotonic() - self._heard_at < patience:
            return False
        self._log.warning("sender_went_quiet", seconds=patience, address=self._address())
        self._end(_INVALID)
        return True

    def _take(self, received: memoryview) -> bool:
        """Act on what has come; False where the library has to."""
        if not received:
            self._end(_CLOSED)
            return False
        self._note_progress(len(received))
        self._dul._idle_timer.restart()
        try:
            for event in self._reader.feed(received):
                if not self._act(event):
                    return False
        except ProtocolError as error:
            self._log.warning("protocol_violation", reason=str(error), address=self._address())
            self._end(_INVALID)
            return False
        except Exception:  # the library would leave the association as it is
            self._log.exception("association_failed", address=self._address())
            self._end(_INVALID)
            return False
        return len(received) >= PROGRESS or not self._quiet_too_long()

    def _note_progress(self, count: int) -> None:
        """A message that comes byte by byte is no better than one that has stopped."""
        self._heard += count
        if self._heard >= PROGRESS or self._reader.idle:
            self._heard, self._heard_at = 0, time.monotonic()

    def _act(self, event: Event) -> bool:
        if isinstance(event, Data):
            self._data(event)
        elif isinstance(event, Command):
            self._command(event)
        else:
            self._hand_over(event)
            return False
        return True

    # ------------------------------------------------------------ messages

    def _command(self, command: Command) -> None:
        self._context, self._forwarded = command.context, 0
        if command.fields.get(upper_layer.COMMAND_FIELD) != upper_layer.C_STORE_RQ:
            self._forward(_COMMAND_LAST, command.encoded)
            return
        context = self._association._accepted_cx.get(command.context)
        if context is None:
            raise ProtocolError("a request comes in a presentation context that was not accepted")
        self._store = self._begin(context, command)
        if not command.has_dataset:
            self._answer()

    def _data(self, data: Data) -> None:
        if self._store is None:
            self._forwarded += len(data.piece)
            if self._forwarded > LONGEST_MESSAGE:
                raise ProtocolError("the data set of a message that is no C-STORE is too long")
            self._forward(_DATA_LAST if data.last else _DATA, bytes(data.piece))
            return
        self._store.write(data.piece)
        if data.last:
            self._answer()

    def _answer(self) -> None:
        store = self._store
        if store is None:
            return
        command = store.finish()
        longest = self._association.requestor.maximum_length
        self._send(b"".join(upper_layer.command_pdus(self._context, command, longest)))
        self._drop()

    def _send(self, response: bytes) -> None:
        connection, sent = self._dul.socket.socket, 0
        try:
            with contextlib.suppress(BlockingIOError):
                sent = os.write(connection.fileno(), response)
            if sent < len(response):
                connection.sendall(response[sent:])
        except OSError:
            self._end(_CLOSED)

    def _forward(self, control: bytes, value: bytes) -> None:
        """To the library's DIMSE provider, as its upper layer does (PS3.8 9.2, DT-2)."""
        primitive = P_DATA()
        primitive.presentation_data_value_list = [[self._context, control + value]]
        try:
            self._association.dimse.receive_primitive(primitive)
        except Exception as error:
            raise ProtocolError("a message cannot be read") from error

    def _address(self) -> str:
        return str(self._association.requestor.address_info.address)

    # ------------------------------------------------------------ the end

    def _hand_over(self, pdu: OtherPdu) -> None:
        """To the library's state machine, as its own reading does."""
        self._drop()
        self.release_requested |= pdu.kind == upper_layer.RELEASE_RQ
        try:
            decoded, event = self._dul._decode_pdu(bytearray(pdu.encoded))
        except Exception:
            self._end(_INVALID)
            return
        self._dul._recv_pdu.put(decoded)
        self._dul.event_queue.put(event)

    def _end(self, event: str) -> None:
        self._drop()
        self._dul.event_queue.put(event)

    def _drop(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.abort()


_DATA, _DATA_LAST, _COMMAND_LAST = b"\0", b"\2", b"\3"
"""Message control headers (PS3.8 E.2)."""
