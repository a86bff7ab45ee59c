"""`/fhir/ServiceRequest`: orders, answered once they are durable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from adapters.fhir.content.datatypes import Json, moment
from adapters.fhir.content.order import order_from_json, order_of, order_resource
from adapters.fhir.content.refusals import InvalidValue, Refused
from adapters.fhir.content.structure import parse_resource
from adapters.fhir.content.tokens import Token, parse_tokens
from adapters.fhir.transport.answers import encoded
from gateway import identity
from gateway.orders import InboundMessage, MessageLog, PlaceOrder
from gateway.ports import Queries
from gateway.study import Order, Sender

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Placed:
    """`content`: the ServiceRequest as the gateway holds it."""

    order_id: str
    version: str
    created: bool
    content: bytes


@dataclass(frozen=True, slots=True)
class OrderDesk:
    """Blocking; call it off the event loop."""

    queries: Queries
    message_log: MessageLog
    facility: str
    now: Callable[[], datetime]

    def place(self, body: bytes, sender: Sender, *, order_id: str = "", condition: str = "") -> Placed:
        """Create or update. `order_id`, `condition` (`identifier` of a conditional update): what it must be.

        Raises Unreadable, Unusable, Refused (404: no such order to update), Transient.
        """
        resource = parse_resource(body, "ServiceRequest")
        order = order_of(resource, self.facility, sender.name)
        known = self.queries.orders(order.order_id)
        if order_id:
            self._require_same(resource, order, order_id, known)
        if condition:
            _require_condition(resource, condition)
        content = self._record(order, body, sender, known)
        log.info("fhir_order_stored", order_id=order.order_id, known=known is not None)
        return Placed(order.order_id, _version(order), known is None, content)

    def _require_same(self, resource: Json, order: Order, order_id: str, known: Mapping[str, Any] | None) -> None:
        if resource.get("id") != order_id:
            raise Refused(400, "value", "ServiceRequest.id is not the id in the address.", element="ServiceRequest.id")
        if known is None and self.queries.orders(order_id) is None:
            raise Refused(404, "not-found", "There is no such ServiceRequest; ids are given by POST.")
        if order.order_id != order_id:
            raise InvalidValue("ServiceRequest.identifier names another order than the address.",
                               element="ServiceRequest.identifier")

    def _record(self, order: Order, body: bytes, sender: Sender, known: Mapping[str, Any] | None) -> bytes:
        """Durable when it returns. The same request again is the same message; after a change it is a new one."""
        at = self.now()
        parts = [order.order_id, body.hex()]
        if known is not None and not _says(known, order):
            parts.append(at.isoformat())
        content = encoded(_shown(order, at))
        message = InboundMessage(sender, identity.digest("fhir", *parts), at, body, content, (PlaceOrder(order),))
        return self.message_log.record([message])[0]

    def read(self, order_id: str) -> tuple[Json, str]:
        """(ServiceRequest, version). Raises Refused 404."""
        form = self.queries.orders(order_id)
        if form is None:
            raise Refused(404, "not-found", "There is no such ServiceRequest.")
        order = order_from_json(form)
        return _shown(order, None), _version(order)


def _shown(order: Order, at: datetime | None) -> Json:
    resource = order_resource(order)
    meta = {"versionId": _version(order)} | ({"lastUpdated": moment(at)} if at else {})
    return {"resourceType": resource.pop("resourceType"), "id": resource.pop("id"), "meta": meta, **resource}


def _version(order: Order) -> str:
    """By content: who sent it does not matter."""
    return identity.digest(repr(replace(order, sender="", fields=dict(sorted(order.fields.items())))))[:20]


def _says(known: Mapping[str, Any], order: Order) -> bool:
    return _version(order_from_json(known)) == _version(order)


def _require_condition(resource: Json, condition: str) -> None:
    wanted: tuple[Token, ...] = parse_tokens(condition, "http.identifier")
    if not any(token.among(resource.get("identifier", [])) for token in wanted):
        raise InvalidValue("ServiceRequest.identifier is not the one in the address.",
                           element="ServiceRequest.identifier")
