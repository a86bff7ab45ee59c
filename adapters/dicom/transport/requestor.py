"""Associations that we ask for and that pynetdicom carries: queries, retrieval, storage commitment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pynetdicom import AE, evt
from pynetdicom._handlers import (
    standard_dimse_recv_handler,
    standard_dimse_sent_handler,
    standard_pdu_recv_handler,
    standard_pdu_sent_handler,
)

from adapters.dicom.content import part10
from adapters.dicom.transport.association import Peer
from gateway.errors import Permanent, Transient
from gateway.settings import DicomDestination, Settings

Handler = tuple[Any, Callable[[Any], Any]]
_LIBRARY_LOGS = ((evt.EVT_DIMSE_RECV, standard_dimse_recv_handler), (evt.EVT_DIMSE_SENT, standard_dimse_sent_handler),
                 (evt.EVT_PDU_RECV, standard_pdu_recv_handler), (evt.EVT_PDU_SENT, standard_pdu_sent_handler))
_REJECTED_FOR_GOOD = 0x01


class NotOffered(Permanent):
    """The peer accepts the association and none of the services."""


@contextmanager
def associated(peer: Peer, contexts: Sequence[Any], roles: Sequence[Any] = (),
               handlers: Sequence[Handler] = ()) -> Iterator[Any]:
    """An established pynetdicom association; released at the end, aborted after an error.

    Raises Transient when the peer cannot be reached, is busy or does not answer within `peer.timeout`, and Permanent
    when it rejects the association for good.
    """
    association = associate(peer, contexts, roles, handlers)
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    if association.is_established:
        association.release()


def associate(peer: Peer, contexts: Sequence[Any], roles: Sequence[Any] = (),
              handlers: Sequence[Handler] = ()) -> Any:
    """As `associated`; the caller ends it."""
    entity = AE(ae_title=peer.calling_ae_title)
    entity.implementation_class_uid = part10.IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = part10.IMPLEMENTATION_VERSION_NAME
    entity.requested_contexts = list(contexts)
    entity.maximum_pdu_size = 0
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = peer.timeout
    entity.network_timeout = 2 * peer.timeout
    association: Any = entity.associate(peer.host, peer.port, ae_title=peer.called_ae_title, ext_neg=list(roles),
                                        evt_handlers=list(handlers))
    for event, handler in _LIBRARY_LOGS:
        association.unbind(event, handler)  # they would write data sets' attributes to the log
    if association.is_established:
        return association
    raise _failure(peer, association)


def answered(association: Any, ask: Callable[[], Any]) -> int:
    """The status of the data set that `ask` returns. Raises Transient (and aborts) where the peer did not answer."""
    try:
        status = ask()
    except (RuntimeError, ValueError) as error:  # the library's words for an association that is gone
        association.abort()
        raise Transient("The peer broke off the association.") from error
    if "Status" not in status:
        association.abort()
        raise Transient("The peer did not answer.")
    return int(status.Status)


def _failure(peer: Peer, association: Any) -> Exception:
    where = f"{peer.host}:{peer.port}"
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        kind = Permanent if answer.result == _REJECTED_FOR_GOOD else Transient
        return kind(f"{where} rejects the association: {answer.reason_str.lower()}.")
    if association.is_aborted and answer is not None:
        return NotOffered(f"{where} accepts none of the services that were asked for.")
    return Transient(f"{where} cannot be reached or does not answer as a DICOM peer.")


def known_peers(settings: Settings) -> dict[str, Peer]:
    """AE title → where it listens: dicom.peers first, then archives and destinations."""
    own, timeout = settings.dicom.ae_title, settings.delivery.timeout_seconds
    found: dict[str, Peer] = {}
    for other in settings.destinations:
        if isinstance(other, DicomDestination):
            found[other.ae_title] = destination_peer(settings, other)
    for archive in settings.archives:
        found[archive.ae_title] = Peer(archive.host, archive.port, archive.ae_title, archive.calling_ae_title or own,
                                       archive.timeout_seconds)
    for title, address in settings.dicom.peers.items():
        found[title] = Peer(address.host, address.port, title, own, timeout)
    return found


def destination_peer(settings: Settings, wanted: DicomDestination) -> Peer:
    return Peer(wanted.host, wanted.port, wanted.ae_title, wanted.calling_ae_title or settings.dicom.ae_title,
                settings.delivery.timeout_seconds)
