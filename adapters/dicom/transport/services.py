"""What a service class adds to the receiver, and who calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from adapters.dicom.transport import contexts
from gateway.study import Sender


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


def dispatched(services: Sequence[Service]) -> list[tuple[Any, Callable[[Any], Any]]]:
    """One handler for each event: the service in whose presentation context a request came answers it."""
    handlers: dict[Any, dict[str, Callable[[Any], Any]]] = {}
    for service in services:
        for event, handler in service.handlers:
            handlers.setdefault(event, {}).update(dict.fromkeys(service.abstract_syntaxes, handler))
    return [(event, partial(_dispatch, known)) for event, known in handlers.items()]


def _dispatch(handlers: Mapping[str, Callable[[Any], Any]], event: Any) -> Any:
    return handlers[str(event.context.abstract_syntax)](event)


def sender_of(association: Any) -> Sender:
    """Who calls: AE title and address of an association's requestor."""
    request = association.requestor.primitive
    calling = request.calling_ae_title.strip() if request else ""
    return Sender("dicom", calling, association.requestor.address_info.address)
