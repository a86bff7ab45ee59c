"""`/api/deliveries`: the ledger of documents sent, and another try for those that failed."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Query

from adapters.web.cases import as_conflict
from adapters.web.principal import Asker
from adapters.web.schemas import DeliveryForm, DeliveryList, DestinationName, Retried
from gateway.delivery import DeliveryState
from gateway.ports import Commands, Queries

log = structlog.get_logger()


def router(queries: Queries, commands: Commands) -> APIRouter:
    routes = APIRouter(prefix="/api/deliveries", tags=["deliveries"])

    @routes.get("", response_model=DeliveryList)
    def deliveries(state: DeliveryState | None = None,
                   limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> DeliveryList:
        """The ledger, of one state or of all."""
        return DeliveryList(items=[DeliveryForm.of(view) for view in queries.deliveries(state, limit)])

    @routes.post("/retry", response_model=Retried)
    def retry_dead(chosen: DestinationName, asker: Asker) -> Retried:
        """Try every dead delivery again, or those of one destination."""
        with as_conflict():
            retried = commands.retry_dead(chosen.destination)
        log.info("dead_deliveries_retried", destination=chosen.destination, count=retried, by=asker.name)
        return Retried(retried=retried)

    @routes.post("/{delivery_id}/retry", response_model=Retried)
    def retry(delivery_id: int, asker: Asker) -> Retried:
        """Try this delivery again, now."""
        with as_conflict():
            commands.retry_delivery(delivery_id)
        log.info("delivery_retried", delivery_id=delivery_id, by=asker.name)
        return Retried(retried=1)

    return routes
