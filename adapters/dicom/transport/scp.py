"""The DICOM receiver: Verification and Storage SCP (PS3.4 Annexes A and B) on pynetdicom."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import structlog
from pynetdicom import evt
from pynetdicom.transport import ThreadedAssociationServer

from adapters.dicom.content.association_request import HEAD, abstract_syntaxes, announced
from adapters.dicom.content.pdu_events import Command
from adapters.dicom.transport import contexts
from adapters.dicom.transport.dispatch import Dispatcher
from adapters.dicom.transport.express import compiled
from adapters.dicom.transport.late_events import forgive_late_events
from adapters.dicom.transport.library_server import ENDING, Unbound, entity_of, hang_up, read_at_once, silence
from adapters.dicom.transport.places import Places
from adapters.dicom.transport.reactor import without_polling
from adapters.dicom.transport.receiving import Receiver
from adapters.dicom.transport.services import Service, dispatched, sender_of
from adapters.dicom.transport.storing import SUCCESS, StoreRequest, Tally
from adapters.dicom.transport.waiting_room import WaitingRoom
from gateway.errors import GatewayError
from gateway.intake import SenderLeft
from gateway.ports import Intake
from gateway.settings import DicomSettings

_VERIFICATION = "1.2.840.10008.1.1"
_BACKLOG = 1024

PassOn = Callable[[socket.socket], bool]
"""Takes over a connection whose association request has come and is not read yet; False: it cannot."""


@dataclass(frozen=True, slots=True)
class _Session:
    """One association, from the connection to its end."""

    receiver: Receiver
    tally: Tally
    contexts: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Of those that objects have come in: storage SOP class ("" where it is none), transfer syntax."""


class DicomServer:
    """Listens while started. Every object goes through `intake`; 0x0000 is answered once that has returned.

    A sender is refused with "local limit exceeded" (PS3.8 9.3.4) while all associations are taken or `intake.check`
    raises, with "calling/called AE title not recognised" where the settings ask for it.
    """

    def __init__(self, settings: DicomSettings, intake: Intake, services: Sequence[Service] = (),
                 left: Callable[[SenderLeft], None] = lambda _: None, pass_on: PassOn | None = None) -> None:
        """`services`: what is served besides Verification and Storage. `left` is called, in the association's thread,
        when an association that brought objects is over. `pass_on`: who takes over those that only store."""
        self._services, self._left, self._pass_on = services, left, pass_on
        self._settings = settings
        self._intake = intake
        self._log = structlog.get_logger()
        self._entity = entity_of(settings)
        self._server: Any = None
        self._places = Places(settings.maximum_associations)
        self._room: WaitingRoom | None = None
        self._dispatcher = Dispatcher(intake.may_put_off, intake.together())
        self._storage_classes = frozenset(contexts.storage_classes(settings.storage_sop_classes))
        self._connected: WeakKeyDictionary[Any, Receiver] = WeakKeyDictionary()
        self._sessions: dict[Any, _Session] = {}
        self._busy = 0
        self._change = threading.Condition()

    @property
    def port(self) -> int:
        """The bound port (settings.port 0 asks for a free one). Raises RuntimeError before start."""
        if self._server is None:
            raise RuntimeError("the DICOM server is not started")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Bind and listen in threads of its own. Raises OSError where the address cannot be bound."""
        self._make_server(ThreadedAssociationServer)
        self._server.socket.listen(_BACKLOG)
        self._room = WaitingRoom(self._server.socket, self.admit, self._settings.acse_timeout)
        self._room.start()
        self._log.info("dicom_listening", host=self._settings.host, port=self.port, ae_title=self._settings.ae_title,
                       compiled=compiled() is not None)

    def start_taking_over(self) -> None:
        """Listen nowhere: serve what is given to `admit`."""
        self._make_server(Unbound)

    def _make_server(self, kind: type[ThreadedAssociationServer]) -> None:
        self._server = self._entity.make_server(
            (self._settings.host, self._settings.port), contexts=self._contexts(), evt_handlers=self._handlers(),
            server_class=kind)
        silence(self._server)
        self._dispatcher.start()

    def open_studies(self) -> frozenset[str]:
        """Study Instance UIDs of what the associations of now have brought."""
        with self._change:
            return frozenset(study for one in self._sessions.values() for study in list(one.tally.studies))

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Stop listening, let objects that are being stored finish, abort what is left."""
        if self._server is None:
            return
        server, self._server = self._server, None
        if self._room:
            self._room.stop()
        self._dispatcher.read_as_always(grace_seconds)
        with self._change:
            self._change.wait_for(lambda: self._busy == 0, timeout=grace_seconds)
        with self._change:
            established = list(self._sessions)
        ending = server.active_associations
        for association in ending:
            if association in established and association.is_established:
                association.abort()
            else:
                hang_up(association)
        for association in {*established, *ending}:
            association.join(grace_seconds)
        self._dispatcher.stop()

    def _handlers(self) -> list[tuple[Any, Any]]:
        return [(evt.EVT_CONN_OPEN, self._on_open), (evt.EVT_REQUESTED, self._on_requested),
                (evt.EVT_REJECTED, self._on_rejected), (evt.EVT_ESTABLISHED, self._on_established),
                (evt.EVT_CONN_CLOSE, self._on_close),
                *dispatched(self._services)]

    def _contexts(self) -> Any:
        offered = contexts.supported(self._settings.storage_sop_classes)
        for service in self._services:
            offered += [contexts.served(uid, service.transfer_syntaxes, service.scp_role)
                        for uid in service.abstract_syntaxes]
        return offered

    def admit(self, connection: socket.socket, address: Any) -> bool:
        """Give a connection whose request has come threads of its own, where there is a place, or pass it on."""
        if self._pass_on and self._only_stores(connection) and self._pass_on(connection):
            connection.close()
            return True
        server = self._server
        if (server is None or len(server.active_associations) >= self._settings.maximum_associations + ENDING
                or not self._places.take(connection)):
            return False
        server.process_request(connection, address)
        return True

    def _only_stores(self, connection: socket.socket) -> bool:
        """Whether the association asked for needs none of the other services."""
        head = connection.recv(HEAD, socket.MSG_PEEK)
        request = connection.recv(announced(head), socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return len(request) == announced(head) and abstract_syntaxes(request) <= self._storage_classes | {_VERIFICATION}

    def _on_open(self, event: Any) -> None:
        connection = event.assoc.dul.socket.socket
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(self._settings.network_timeout)
        read_at_once(event.assoc)
        forgive_late_events(event.assoc)
        self._connected[event.assoc] = Receiver(event.assoc, without_polling(event.assoc), self._dispatcher,
                                                partial(self._begin, event.assoc))

    def _on_requested(self, event: Any) -> None:
        try:
            self._intake.check()
        except GatewayError as error:
            self._log.warning("association_refused", address=sender_of(event.assoc).address, reason=str(error))
            event.assoc.acse.send_reject(0x02, 0x03, 0x02)
            event.assoc.kill()

    def _on_rejected(self, event: Any) -> None:
        request = event.assoc.requestor.primitive
        self._log.warning("association_rejected", calling=request.calling_ae_title, called=request.called_ae_title,
                          address=sender_of(event.assoc).address)

    def _on_established(self, event: Any) -> None:
        sender = sender_of(event.assoc)
        with self._change:
            receiver = self._connected.get(event.assoc)
            if receiver is None:  # over already
                return
            self._sessions[event.assoc] = _Session(receiver, Tally(sender, self._settings.ae_title))
        receiver.open()
        self._log.info("association_accepted", calling=sender.name, address=sender.address)

    def _on_close(self, event: Any) -> None:
        with self._change:
            receiver = self._connected.pop(event.assoc, None)
        if receiver:
            receiver.close()
        with self._change:
            session = self._sessions.pop(event.assoc, None)
        elsewhere = self.open_studies()
        if session:
            self._tell_end(session.tally, elsewhere, released=session.receiver.release_requested)

    def _tell_end(self, tally: Tally, elsewhere: frozenset[str], *, released: bool) -> None:
        if tally.studies:
            self._left(SenderLeft(tally.sender, frozenset(tally.studies), released, elsewhere))
        self._log.info("association_closed", calling=tally.sender.name, address=tally.sender.address,
                       released=released, objects=tally.statuses.get(SUCCESS, 0),
                       statuses={f"0x{status:04X}": number for status, number in dict(tally.statuses).items()})

    def _begin(self, association: Any, context: Any, command: Command) -> StoreRequest:
        session = self._sessions[association]
        known = session.contexts.get(command.context)
        if known is None:
            abstract_syntax = str(context.abstract_syntax)
            storage_class = abstract_syntax if abstract_syntax in self._storage_classes else ""
            known = session.contexts[command.context] = storage_class, str(context.transfer_syntax[0])
        with self._change:
            self._busy += 1
        return StoreRequest(self._intake, session.tally, command, *known, self._ended)

    def _ended(self) -> None:
        with self._change:
            self._busy -= 1
            self._change.notify_all()
