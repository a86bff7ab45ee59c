"""pynetdicom's server and its associations, as the receiver wants them: silent, and read as fast as bytes come."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from pynetdicom import AE, evt
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)
from pynetdicom.transport import ThreadedAssociationServer

from adapters.dicom.content import part10
from adapters.dicom.content.association_request import LONGEST_REQUEST
from gateway.settings import DicomSettings

ENDING = 32
"""Associations beyond the allowed ones whose threads may still be on their way to their end."""
_LONGEST_PDU = 1024**3
_PIECE = 256 * 1024
"""Bytes asked of the socket at a time: memory grows with what came, not with what was announced."""
_LIBRARY_LOGS = ((evt.EVT_DIMSE_RECV, standard_dimse_recv_handler), (evt.EVT_DIMSE_SENT, standard_dimse_sent_handler),
                 (evt.EVT_PDU_RECV, standard_pdu_recv_handler), (evt.EVT_PDU_SENT, standard_pdu_sent_handler))


class Unbound(ThreadedAssociationServer):  # type: ignore[misc]  # the library is not typed
    """Listens nowhere: connections are given to it."""

    def server_bind(self) -> None:
        """There is nothing to bind."""

    def server_activate(self) -> None:
        """Nor to listen to."""


def entity_of(settings: DicomSettings) -> Any:
    entity = AE(ae_title=settings.ae_title)
    entity.implementation_class_uid = part10.IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = part10.IMPLEMENTATION_VERSION_NAME
    entity.require_called_aet = settings.require_called_ae_title
    entity.require_calling_aet = settings.allowed_calling_ae_titles
    # The library counts associations that are ending; here those count that have a place.
    entity.maximum_associations = settings.maximum_associations + 2 * ENDING
    entity.maximum_pdu_size = settings.maximum_pdu_size
    entity.acse_timeout = settings.acse_timeout
    entity.dimse_timeout = settings.dimse_timeout
    entity.network_timeout = settings.network_timeout
    return entity


def silence(server: Any) -> None:
    """The library would write data sets' attributes to the log."""
    for event, handler in _LIBRARY_LOGS:
        server.unbind(event, handler)


def read_at_once(association: Any) -> None:
    """Read as much of a PDU as has come (the library reads 4 KB at a time), and break off where one is announced
    longer than anybody needs (the library would collect it in memory)."""
    connection = association.dul.socket

    def receive(size: int) -> bytearray:
        awaiting_request = association.dul.state_machine.current_state == "Sta2"
        if size > (LONGEST_REQUEST if awaiting_request else _LONGEST_PDU):
            raise ConnectionAbortedError("the peer announces too long a message")
        received = bytearray()
        while len(received) < size:
            piece = connection.socket.recv(min(size - len(received), _PIECE))
            if not piece:
                break
            received += piece
        return received

    connection.recv = receive


def hang_up(association: Any) -> None:
    """End the connection of an association that has not begun or is ending: its threads end with it."""
    connection = association.dul.socket.socket if association.dul.socket else None
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
