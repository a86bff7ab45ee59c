"""The DICOM receiver: Verification and Storage SCP (PS3.4 Annexes A and B) on pynetdicom."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)
from pynetdicom.pdu_primitives import SOPClassCommonExtendedNegotiation

from adapters.dicom.content import part10, tags
from adapters.dicom.transport import contexts
from gateway.errors import GatewayError, Rejected, Transient, Unreadable
from gateway.intake import SenderLeft
from gateway.ports import Intake
from gateway.settings import DicomSettings
from gateway.study import Sender

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

_WAITING_ROOM = 32
"""Connections beyond the allowed associations that may wait for their refusal; more are closed at once."""
_LONGEST_REQUEST = 1024 * 1024
"""Bytes of an A-ASSOCIATE-RQ: 128 contexts with every transfer syntax have 200 KB."""
_LONGEST_PDU = 1024**3
_PIECE = 256 * 1024
"""Bytes asked of the socket at a time: memory grows with what came, not with what was announced."""
_LIBRARY_LOGS = ((evt.EVT_DIMSE_RECV, standard_dimse_recv_handler), (evt.EVT_DIMSE_SENT, standard_dimse_sent_handler),
                 (evt.EVT_PDU_RECV, standard_pdu_recv_handler), (evt.EVT_PDU_SENT, standard_pdu_sent_handler))


def failure_status(error: GatewayError) -> int:
    """The C-STORE status of an error (PS3.4 Table B.2-1)."""
    if isinstance(error, Transient):
        return OUT_OF_RESOURCES
    if isinstance(error, Unreadable):
        return CANNOT_UNDERSTAND
    return DATA_SET_DOES_NOT_MATCH if isinstance(error, Rejected) else PROCESSING_FAILURE


@dataclass(frozen=True, slots=True)
class Service:
    """What another service class adds to the receiver: abstract syntaxes that it accepts, and pynetdicom handlers.

    A handler asks `sender_of(event.assoc)` who is calling.
    """

    abstract_syntaxes: Sequence[str]
    handlers: Sequence[tuple[Any, Callable[[Any], Any]]]
    """(pynetdicom event, such as `evt.EVT_N_CREATE`; handler)."""
    transfer_syntaxes: Sequence[str] = (contexts.IMPLICIT_LITTLE_ENDIAN, contexts.EXPLICIT_LITTLE_ENDIAN)
    scp_role: bool = False
    """Whether the requestor may also be the SCP of these classes (role selection, PS3.7 D.3.3.4)."""


@dataclass(slots=True)
class _Tally:
    """What one association did. `sender`: calling AE title and address."""

    sender: Sender
    statuses: Counter[str] = field(default_factory=Counter)
    studies: set[str] = field(default_factory=set)


class DicomServer:
    """Listens while started. Every object goes through `intake`; 0x0000 is answered once that has returned.

    A sender is refused with "local limit exceeded" (PS3.8 9.3.4) while all associations are taken or `intake.check`
    raises, with "calling/called AE title not recognised" where the settings ask for it.
    """

    def __init__(self, settings: DicomSettings, intake: Intake, services: Sequence[Service] = (),
                 left: Callable[[SenderLeft], None] = lambda _: None) -> None:
        """`services`: what is served besides Verification and Storage. `left` is called, in the association's thread,
        when an association that brought objects is over."""
        self._services, self._left = services, left
        self._settings = settings
        self._intake = intake
        self._log = structlog.get_logger()
        self._entity = _entity(settings)
        self._server: Any = None
        self._tallies: dict[Any, _Tally] = {}
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
        self._server = self._entity.start_server(
            (self._settings.host, self._settings.port), block=False,
            contexts=self._contexts(), evt_handlers=self._handlers())
        for event, handler in _LIBRARY_LOGS:
            self._server.unbind(event, handler)  # they would write data sets' attributes to the log
        self._server.verify_request = self._has_room
        self._server.socket.listen(128)
        self._log.info("dicom_listening", host=self._settings.host, port=self.port, ae_title=self._settings.ae_title)

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Stop listening, let objects that are being stored finish, abort what is left."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        with self._change:
            self._change.wait_for(lambda: self._busy == 0, timeout=grace_seconds)
        with self._change:
            established = list(self._tallies)
        for association in server.active_associations:
            association.abort()
        for association in established:  # one whose peer left before it said who it is holds nothing to wait for
            association.join(grace_seconds)

    def _handlers(self) -> list[tuple[Any, Any]]:
        return [(evt.EVT_CONN_OPEN, self._on_open), (evt.EVT_REQUESTED, self._on_requested),
                (evt.EVT_REJECTED, self._on_rejected), (evt.EVT_ESTABLISHED, self._on_established),
                (evt.EVT_CONN_CLOSE, self._on_close), (evt.EVT_SOP_COMMON, self._on_sop_common),
                (evt.EVT_C_STORE, self._on_store),
                *(pair for service in self._services for pair in service.handlers)]

    def _contexts(self) -> Any:
        offered = contexts.supported(self._settings.storage_sop_classes)
        for service in self._services:
            offered += [contexts.served(uid, service.transfer_syntaxes, service.scp_role)
                        for uid in service.abstract_syntaxes]
        return offered

    def _has_room(self, _request: object, _address: object) -> bool:
        """Whether a new connection gets threads of its own at all."""
        server = self._server
        return server is None or len(server.active_associations) < self._settings.maximum_associations + _WAITING_ROOM

    def _on_open(self, event: Any) -> None:
        connection = event.assoc.dul.socket.socket
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(self._settings.network_timeout)
        _read_at_once(event.assoc)

    def _on_requested(self, event: Any) -> None:
        reason = self._reason_to_refuse()
        if reason:
            self._log.warning("association_refused", address=sender_of(event.assoc).address, reason=reason)
            event.assoc.acse.send_reject(0x02, 0x03, 0x02)
            event.assoc.kill()

    def _reason_to_refuse(self) -> str:
        with self._change:
            if len(self._tallies) >= self._settings.maximum_associations:
                return "too many associations"
        try:
            self._intake.check()
        except GatewayError as error:
            return str(error)
        return ""

    def _on_rejected(self, event: Any) -> None:
        request = event.assoc.requestor.primitive
        self._log.warning("association_rejected", calling=request.calling_ae_title, called=request.called_ae_title,
                          address=sender_of(event.assoc).address)

    def _on_established(self, event: Any) -> None:
        sender = sender_of(event.assoc)
        with self._change:
            self._tallies[event.assoc] = _Tally(sender)
        self._log.info("association_accepted", calling=sender.name, address=sender.address)

    def _on_close(self, event: Any) -> None:
        with self._change:
            tally = self._tallies.pop(event.assoc, None)
        if tally:
            if tally.studies:
                self._left(SenderLeft(tally.sender, frozenset(tally.studies), bool(event.assoc.is_released)))
            self._log.info("association_closed", calling=tally.sender.name, address=tally.sender.address,
                           released=bool(event.assoc.is_released), objects=tally.statuses[f"0x{SUCCESS:04X}"],
                           statuses=dict(tally.statuses))

    def _on_sop_common(self, _event: Any) -> dict[str, Any]:
        """Have the library serve the configured private classes as storage (PS3.7 D.3.3.6)."""
        return {uid: _as_storage(uid) for uid in self._settings.storage_sop_classes}

    def _on_store(self, event: Any) -> Dataset:
        with self._change:
            self._busy += 1
        try:
            status, comment = self._store(event)
        finally:
            with self._change:
                self._busy -= 1
                self._change.notify_all()
                if tally := self._tallies.get(event.assoc):
                    tally.statuses[f"0x{status:04X}"] += 1
        return _response(status, comment)

    def _store(self, event: Any) -> tuple[int, str]:
        """(status, comment) for one C-STORE; never raises, since the peer waits for an answer."""
        sender = sender_of(event.assoc)
        try:
            header = _header(event, sender.name)
            dataset = [event.request.DataSet.getvalue()]
            tags.require_announced(header, dataset)
            self._intake.take(sender, header, dataset)
            self._tallies[event.assoc].studies.add(tags.identity(header, dataset)["StudyInstanceUID"])
        except GatewayError as error:
            status = failure_status(error)
            self._log.warning("object_refused", calling=sender.name, status=f"0x{status:04X}", reason=str(error))
            return status, str(error)
        except Exception:
            self._log.exception("object_failed", calling=sender.name)
            return PROCESSING_FAILURE, "The gateway failed to process the object."
        return SUCCESS, ""


def _entity(settings: DicomSettings) -> Any:
    entity = AE(ae_title=settings.ae_title)
    entity.implementation_class_uid = part10.IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = part10.IMPLEMENTATION_VERSION_NAME
    entity.require_called_aet = settings.require_called_ae_title
    entity.require_calling_aet = settings.allowed_calling_ae_titles
    # The library counts connections that have not yet said who they are; associations are counted here instead.
    entity.maximum_associations = settings.maximum_associations + 2 * _WAITING_ROOM
    entity.maximum_pdu_size = settings.maximum_pdu_size
    entity.acse_timeout = settings.acse_timeout
    entity.dimse_timeout = settings.dimse_timeout
    entity.network_timeout = settings.network_timeout
    return entity


def _read_at_once(association: Any) -> None:
    """Read as much of a PDU as has come (the library reads 4 KB at a time), and break off where one is announced
    longer than anybody needs (the library would collect it in memory)."""
    connection = association.dul.socket

    def receive(size: int) -> bytearray:
        awaiting_request = association.dul.state_machine.current_state == "Sta2"
        if size > (_LONGEST_REQUEST if awaiting_request else _LONGEST_PDU):
            raise ConnectionAbortedError("the peer announces too long a message")
        received = bytearray()
        while len(received) < size:
            piece = connection.socket.recv(min(size - len(received), _PIECE))
            if not piece:
                break
            received += piece
        return received

    connection.recv = receive


def sender_of(association: Any) -> Sender:
    """Who calls: AE title and address of an association's requestor."""
    request = association.requestor.primitive
    calling = request.calling_ae_title.strip() if request else ""
    return Sender("dicom", calling, association.requestor.address_info.address)


def _header(event: Any, calling: str) -> bytes:
    """File meta information for the data set as it came, in the transfer syntax that was agreed on."""
    request = event.request
    return part10.build(part10.FileMeta(str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID),
                                        str(event.context.transfer_syntax), calling))


def _as_storage(uid: str) -> Any:
    item = SOPClassCommonExtendedNegotiation()
    item.sop_class_uid = uid
    item.service_class_uid = contexts.STORAGE_SERVICE_CLASS
    return item


def _response(status: int, comment: str) -> Dataset:
    response = Dataset()
    response.Status = status
    if comment:
        response.ErrorComment = comment[:64].encode("ascii", "replace").decode()
    return response
