"""The pages people look at beside the worklist: case, deliveries, models. All of it works without scripts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse

from adapters.web.cases import as_conflict, existing
from adapters.web.models import ModelCards, model_forms
from adapters.web.pages_case import back_to_case
from adapters.web.problems import not_found
from adapters.web.rendering import Renderer, safe_html
from adapters.web.schemas import DeliveryForm
from gateway.delivery import DeliveryState
from gateway.ports import Commands, Inference, Queries

PAGE_SIZE = 100


def router(queries: Queries, commands: Commands, inference: Inference, cards: ModelCards,
           renderer: Renderer) -> APIRouter:
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    _add_deliveries(routes, queries, commands, renderer)
    _add_models(routes, inference, cards, renderer)
    return routes


def _add_deliveries(routes: APIRouter, queries: Queries, commands: Commands, renderer: Renderer) -> None:
    @routes.get("/deliveries")
    def deliveries(state: DeliveryState | None = None) -> HTMLResponse:
        ledger = [DeliveryForm.of(d).model_dump() for d in queries.deliveries(state, PAGE_SIZE)]
        return renderer.html("deliveries.html", ledger=ledger, marks=[renderer.mark(d) for d in ledger], state=state,
                             states=list(DeliveryState), counts=queries.counts())

    @routes.post("/deliveries/retry")
    def retry_dead() -> RedirectResponse:
        with as_conflict():
            commands.retry_dead()
        return RedirectResponse("/deliveries", 303)

    @routes.post("/deliveries/{delivery_id}/retry")
    def retry(delivery_id: int, case_id: Annotated[str, Form()] = "") -> RedirectResponse:
        with as_conflict():
            commands.retry_delivery(delivery_id)
        if not case_id:
            return RedirectResponse("/deliveries", 303)
        return back_to_case(existing(queries, case_id).case.case_id)


def _add_models(routes: APIRouter, inference: Inference, cards: ModelCards, renderer: Renderer) -> None:
    @routes.get("/models")
    def models() -> HTMLResponse:
        return renderer.html("models.html", models=model_forms(inference, cards))

    @routes.get("/models/{name}")
    def model(name: str) -> HTMLResponse:
        forms = {form.name: form for form in model_forms(inference, cards)}
        if name not in forms:
            raise not_found("model")
        return renderer.html("model.html", model=forms[name], card=safe_html(cards(name) or ""))
