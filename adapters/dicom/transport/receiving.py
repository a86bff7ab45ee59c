"""P-DATA of an established association, from the socket to where it belongs.

The data sets of C-STORE requests go piece by piece into the intake and are answered in place, in the one thread of the
dispatcher. An object that memory should not hold is received in the thread of the association's upper layer, and so is
every other message, which is handed to the library; that also keeps association negotiation, release and abort.
"""

from __future__ import annotations

import collections
import contextlib
import mmap
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from adapters.dicom.content.pdu_events import Command, Data, Event
from adapters.dicom.content.pdu_reader import PduReader, ProtocolError
from adapters.dicom.transport.channel import Answered
from adapters.dicom.transport.conversation import CLOSED, INVALID, Conversation, Store, is_store
from adapters.dicom.transport.dispatch import Dispatcher
from adapters.dicom.transport.reactor import LOOK_SECONDS, Wakeup

LONGEST_DISPATCHED = 512 * 1024 + 128 * 1024
"""Bytes of a data set that is received beside others: neither its memory nor its writing keeps them waiting."""
BUFFER = 512 * 1024
PROGRESS = 4096
"""Bytes of a message that must come within the DIMSE time-out."""
_BREATH_SECONDS = 0.001
"""Between two looks whether the library ends its thread, which tells nobody."""
_NEGOTIATING, _ESTABLISHED, _CLOSING = "Sta3", "Sta6", "Sta13"


class Receiver(Conversation):
    """Reads one association's socket, in place of the library's own reading: in the dispatcher's thread, whose
    `adapters.dicom.transport.channel.Channel` it is, or in the thread of its upper layer, never in both at once."""

    def __init__(self, association: Any, wakeup: Wakeup, dispatcher: Dispatcher,
                 begin: Callable[[Any, Command], Store]) -> None:
        """`begin` is called with the association's accepted presentation context and the request."""
        super().__init__(association, wakeup, begin)
        self._dispatcher = dispatcher
        self._library_reads = self._dul._is_transport_event
        self._reader = PduReader()
        self._buffer = memoryview(b"")
        self._heard, self._heard_at = 0, 0.0
        self.dispatched = False
        """Whether the dispatcher's thread reads."""
        self._lent: list[Event] = []
        """What the other thread could not act on, with all that had come behind it."""
        self._to_say: collections.deque[Sequence[Any]] = collections.deque()
        self.over = False
        self._dul._is_transport_event = self._transport_event
        association.say, association.unsay = self.say, self.unsay  # for services, which know the association alone
        wakeup.watch(self._dul.socket.socket.fileno())

    def open(self) -> None:
        """The association is established: from now on objects are taken in."""
        self.dispatched = True  # first: the upper layer's thread reads where nobody else does, once time is kept
        self._heard_at = time.monotonic()
        self._dispatch()

    def say(self, message: Sequence[Any]) -> None:
        """Send a message that nobody has asked for: primitives of the library, which leave together, and not amid those
        of another message. From any thread."""
        self._to_say.append(message)  # before it is looked who reads: see `_dispatch`
        self._dispatcher.recall(self)
        self._wakeup.wake()

    def unsay(self, message: Sequence[Any]) -> None:
        """Do not send it, where it has not begun to leave. From any thread."""
        with contextlib.suppress(ValueError):
            self._to_say.remove(message)

    def close(self) -> None:
        """The association is over: drop what is half received; what was answered has its file when this returns."""
        self.over = True
        left = self._dispatcher.leave(self)
        self._drop()
        self._buffer = memoryview(b"")
        self._wakeup.close()
        if left:  # else it may still be read: it is closed when nobody knows it any more
            self._close_descriptor()

    # ------------------------------------------------------------ in the dispatcher's thread

    def take(self, received: memoryview) -> bool:
        """See `Channel.take`."""
        if self._take(received) and not self._lent:
            return True
        self.dispatched = False
        self._wakeup.wake()
        return False

    @property
    def is_between(self) -> bool:
        """See `Channel.is_between`."""
        return self.dispatched and self._reader.idle and not self._lent and not self._is_whole

    def heard(self) -> None:
        """See `Channel.heard`."""
        self._heard_at = time.monotonic()
        self._dul._idle_timer.restart()

    def recalled(self) -> None:
        """See `Channel.recalled`."""
        self.dispatched = False
        self._wakeup.wake()

    def answer(self) -> Answered | None:
        """See `Channel.answer`."""
        if not self._is_whole:
            return None
        store, self._store, self._is_whole = self._store, None, False
        if store is not None:
            try:
                self._respond(store)
            except Exception:
                store.abort()
                raise
        return store

    def is_quiet(self) -> bool:
        """See `Channel.is_quiet`."""
        quiet = self._quiet_too_long()
        if quiet:
            self.dispatched = False
            self._wakeup.wake()
        return quiet

    def _dispatch(self) -> None:
        self.dispatched = True
        if self._to_say:
            self.dispatched = False
        else:
            self._dispatcher.join(self)

    def _lend(self, events: Sequence[Event]) -> None:
        """To the thread of the upper layer."""
        self._lent = [Data(memoryview(bytes(event.piece)), event.last) if isinstance(event, Data) else event
                      for event in events]

    # ------------------------------------------------------------ in the library's loop

    def _transport_event(self) -> bool:
        """Whether something happened, as the library's method of this name; waits for it a while."""
        connection, state = self._dul.socket.socket, self._dul.state_machine.current_state
        if connection is None or self.over:
            time.sleep(_BREATH_SECONDS)
            return bool(self._library_reads())
        if state == _ESTABLISHED:
            if not self.dispatched and self._heard_at:
                return self._receive(connection)
            self._wakeup.wait_woken(LOOK_SECONDS)
            return False
        if state == _CLOSING:
            return self._drain(connection)
        if state == _NEGOTIATING:
            if self._dul.to_provider_queue.empty() and self._dul.event_queue.empty():
                self._wakeup.wait_woken(LOOK_SECONDS)
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
        return self._buffer

    def _receive(self, connection: Any) -> bool:
        """Read until something else has to be done by the library's loop, or the dispatcher may go on."""
        buffer, descriptor = self._room(), connection.fileno()
        while self._may_read():
            if self._lent:
                if self._must_wait(self._lent[0]):
                    self._wakeup.wait_woken(LOOK_SECONDS)
                    return False
                if not self._take_lent():
                    return True
            elif self._reader.idle and self._library_rests():
                self._dispatch()
                return False
            else:
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

    def _may_read(self) -> bool:
        dul = self._dul
        # Between two messages of the peer's: one that sends a whole object before it reads would wait for us, and we
        # for it.
        if self._to_say and self._reader.idle and self._library_rests():
            with contextlib.suppress(IndexError):  # unsaid
                dul.to_provider_queue.put_all(self._to_say.popleft())
        return bool(not dul._kill_thread and dul.to_provider_queue.empty() and dul.event_queue.empty())

    def _must_wait(self, event: Event) -> bool:
        """An object is not answered before an earlier message is, which the library serves in a thread of its own."""
        return isinstance(event, Command) and is_store(event) and not self._library_rests()

    def _library_rests(self) -> bool:
        association = self._association
        return bool(association.dimse.msg_queue.empty() and association._reactor_checkpoint.waiting
                    and self._dul.to_provider_queue.empty())

    def _take_lent(self) -> bool:
        events, self._lent = self._lent, []
        return self._follow(events)

    # ------------------------------------------------------------ in either

    def _quiet_too_long(self) -> bool:
        patience = self._association.dimse_timeout
        if self._reader.idle or patience is None or time.monotonic() - self._heard_at < patience:
            return False
        self._log.warning("sender_went_quiet", **self._who(), seconds=patience)
        self._end(INVALID)
        return True

    def _take(self, received: memoryview) -> bool:
        """Act on what has come; False where the library has to."""
        if not received:
            self._end(CLOSED)
            return False
        self._note_progress(len(received))
        self._dul._idle_timer.restart()
        if not self._follow(self._reader.feed(received)):
            return False
        return len(received) >= PROGRESS or not self._quiet_too_long()

    def _follow(self, events: Sequence[Event]) -> bool:
        try:
            return self._act(events)
        except ProtocolError as error:
            self._log.warning("protocol_violation", **self._who(), reason=str(error))
        except Exception:  # the library would leave the association as it is
            self._log.exception("association_failed", **self._who())
        self._end(INVALID)
        return False

    def _act(self, events: Sequence[Event]) -> bool:
        """False: it is the library's now."""
        for number, event in enumerate(events):
            if self._is_whole:
                self._dispatcher.answer()  # a sender that does not wait for answers gets them in order
            if self._belongs_elsewhere(event):
                self._pass_on()
                self._lend(events[number:])
                return True
            if isinstance(event, Data):
                self._data(event)
            elif isinstance(event, Command):
                self._command(event)
            else:
                self._hand_over(event)
                return False
        self._pass_on()
        if self._reader.broken is not None:
            raise self._reader.broken
        return True

    def _note_progress(self, count: int) -> None:
        """A message that comes byte by byte is no better than one that has stopped."""
        self._heard += count
        if self._heard >= PROGRESS or self._reader.idle:
            self._heard, self._heard_at = 0, time.monotonic()

    def _belongs_elsewhere(self, event: Event) -> bool:
        if isinstance(event, Data):
            return self.dispatched and self._size + len(event.piece) > LONGEST_DISPATCHED
        if isinstance(event, Command):
            return self._must_wait(event) if not self.dispatched else not is_store(event)
        return False

    def _whole(self, store: Store) -> None:
        if self.dispatched:
            self._stage(store)
            self._is_whole = True
            self._dispatcher.is_whole(self)
        else:
            self._pass_on()
            self._finish(store)

    def _stage(self, store: Store) -> None:
        if store.size:
            self._pass_on()
            store.stage()
        else:
            pieces, self._pieces = self._pieces, []
            store.take(pieces)
