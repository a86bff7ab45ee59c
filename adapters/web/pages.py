"""The pages people look at: worklist, case, deliveries, models. All of it works without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse

from adapters.web.cases import as_conflict, existing
from adapters.web.catalogue import Texts
from adapters.web.health import not_ready
from adapters.web.models import ModelCards, model_forms
from adapters.web.presentation import Line, Tone
from adapters.web.problems import not_found
from adapters.web.rendering import Renderer, safe_html
from adapters.web.schemas import CaseDetailForm, CaseForm, DeliveryForm
from adapters.web.worklist import Cursor
from gateway.delivery import DeliveryState, Kind
from gateway.ports import Commands, Health, Inference, Queries

PAGE_SIZE = 100
_LIVE_STATES = frozenset({"receiving", "waiting", "analysing"})


def router(queries: Queries, commands: Commands, health: Health, inference: Inference, cards: ModelCards,
           renderer: Renderer) -> APIRouter:
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    _add_worklist(routes, queries, health, renderer)
    _add_case(routes, queries, renderer)
    _add_forms(routes, queries, commands)
    _add_deliveries(routes, queries, commands, renderer)
    _add_models(routes, inference, cards, renderer)
    return routes


def _add_worklist(routes: APIRouter, queries: Queries, health: Health, renderer: Renderer) -> None:
    def values(cursor: str | None) -> dict[str, Any]:
        page = queries.worklist(PAGE_SIZE, cursor)
        ready, parts = health.ready()
        lines = [renderer.line(CaseForm.of(view).model_dump()) for view in page.items]
        return {"lines": lines, "total": page.total, "next": page.next, "cursor": cursor, "counts": queries.counts(),
                "not_ready": "" if ready else not_ready(parts)}

    @routes.get("/")
    def worklist(cursor: Cursor = None) -> HTMLResponse:
        return renderer.html("worklist.html", **values(cursor))

    @routes.get("/fragments/worklist")
    def fragment(cursor: Cursor = None) -> HTMLResponse:
        """The changing part of the page: what the page's script asks for."""
        return renderer.html("_worklist.html", **values(cursor))


def _add_case(routes: APIRouter, queries: Queries, renderer: Renderer) -> None:
    @routes.get("/cases/{case_id}")
    def case(case_id: str) -> HTMLResponse:
        form = CaseDetailForm.of_detail(existing(queries, case_id)).model_dump()
        line = renderer.line(form)
        return renderer.html("case.html", case=form, line=line, notice=_notice(form, line, renderer.t),
                             **_case_values(form, renderer))


def _notice(form: Mapping[str, Any], line: Line, t: Texts) -> str:
    """One sentence over the findings wherever they are not a plain, current verdict."""
    settled = form["state"] == "reported" and form["verdict"] in {"normal", "pathology"}
    if not settled:
        return f"{t('not_normal')}. {line.why}".strip()
    return line.why if line.tone is Tone.CAUTION else ""


def _case_values(form: Mapping[str, Any], renderer: Renderer) -> dict[str, Any]:
    """What the template would otherwise have to work out."""
    result = form["result"] or {}
    findings = sorted(result.get("findings", ()), key=lambda f: (not f["present"], -f["probability"]))
    return {
        "findings": findings, "result": result, "ran": result.get("provenance", {}).get("models", ()),
        "measurements": [*result.get("measurements", ()), *(m for f in findings for m in f["measurements"])],
        "marks": [renderer.mark(d) for d in form["ledger"]],
        "has_picture": any(d["kind"] == Kind.SC for d in form["documents"]),
        "live": form["state"] in _LIVE_STATES or any(d["state"] == "pending" for d in form["ledger"]),
        "can_cancel": form["state"] in _LIVE_STATES,
        "can_replay": form["state"] in {"failed", "cancelled", "unsupported"} or form["verdict"] == "undetermined",
    }


def _back_to_case(case_id: str) -> RedirectResponse:
    return RedirectResponse(f"/cases/{case_id}", 303)


def _add_forms(routes: APIRouter, queries: Queries, commands: Commands) -> None:
    actions = {"read": commands.mark_read, "cancel": commands.cancel, "replay": commands.replay}

    @routes.post("/cases/{case_id}/{action}")
    def act(case_id: str, action: str) -> RedirectResponse:
        existing(queries, case_id)
        if action not in actions:
            raise not_found("action")
        with as_conflict():
            actions[action](case_id)
        return _back_to_case(case_id)


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
        return _back_to_case(existing(queries, case_id).case.case_id)


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
