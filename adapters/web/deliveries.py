"""`/api/deliveries`: the ledger of documents sent, and another try for those that failed."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Query

from adapters.web.cases import as_conflict
from adapters.web.paging import RowId
from adapters.web.principal import Asker
from adapters.web.problems import problems_of
from adapters.web.schemas import DeliveryForm, DeliveryPage, DestinationName, Retried
from gateway.delivery import DeliveryState
from gateway.ports import Commands, Queries

log = structlog.get_logger()
Before = Annotated[str | None, Query(pattern="^[0-9]{1,15}$", description="`next` of the page before.")]
Destination = Annotated[str, Query(pattern=r"^[A-Za-z0-9_.-]{0,64}$", description="Name of a destination.")]
OfCase = Annotated[str, Query(pattern=r"^[0-9A-Za-z]{0,64}$", description="`case_id` of a case.")]


def router(queries: Queries, commands: Commands) -> APIRouter:
    routes = APIRouter(prefix="/api/deliveries", tags=["deliveries"])

    @routes.get("", response_model=DeliveryPage, summary="List deliveries", responses=problems_of(422))
    def deliveries(state: DeliveryState | None = None, destination: Destination = "", case_id: OfCase = "",
                   limit: Annotated[int, Query(ge=1, le=1000)] = 100, cursor: Before = None) -> DeliveryPage:
        """The newest first, of all or of those that a filter names."""
        found = queries.deliveries(state, limit + 1, before_id=int(cursor) if cursor else None,
                                   destination=destination, case_id=case_id)
        items = [DeliveryForm.of(view) for view in found[:limit]]
        return DeliveryPage(items=items, next=str(items[-1].delivery_id) if len(found) > limit else None)

    @routes.post("/retry", response_model=Retried, summary="Retry all dead deliveries", responses=problems_of(409, 422))
    def retry_dead(chosen: DestinationName, asker: Asker) -> Retried:
        """Try every dead delivery again, or those of one destination; what waits for its next attempt goes at once."""
        with as_conflict():
            retried = commands.retry_dead(chosen.destination)
        log.info("dead_deliveries_retried", destination=chosen.destination, count=retried, by=asker.name)
        return Retried(retried=retried)

    @routes.post("/{delivery_id}/retry", response_model=Retried, summary="Retry a delivery",
                 responses=problems_of(404, 409, 422))
    def retry(delivery_id: RowId, asker: Asker) -> Retried:
        """Try this delivery again, now."""
        with as_conflict():
            commands.retry_delivery(delivery_id)
        log.info("delivery_retried", delivery_id=delivery_id, by=asker.name)
        return Retried(retried=1)

    return routes
