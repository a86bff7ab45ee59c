"""The operations page: who sends, what waits, where results go, and whether the gateway can read at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse

from adapters.web.cases import as_conflict
from adapters.web.models import ModelCards, model_forms
from adapters.web.presentation import duration
from adapters.web.rendering import Renderer, utc_now
from adapters.web.rule_tester import Judged, RuleTester
from adapters.web.sayings import said
from adapters.web.schemas import DeliveryForm
from gateway.delivery import DeliveryState
from gateway.operations import Console, DestinationLoad, Latency, is_silent, received_lately
from gateway.ports import Commands, Health, Inference, Queries
from gateway.settings import Settings

DEAD_SHOWN = 50
_PARTS = frozenset({"database", "disk", "assembly", "model"})
_SLOW_SECONDS = 600.0
"""A destination for which something waits longer is behind."""


@dataclass(frozen=True, slots=True)
class SenderLine:
    protocol: str
    name: str
    last_heard: datetime | None
    ago: str
    lately: int
    count: int
    silent: bool


@dataclass(frozen=True, slots=True)
class DestinationLine:
    """`condition`: fine | behind | failing."""

    load: DestinationLoad
    kind: str
    condition: str
    oldest: str


@dataclass(frozen=True, slots=True)
class OperationsPage:
    """Everything the template prints, as of now."""

    queries: Queries
    health: Health
    inference: Inference
    cards: ModelCards
    console: Console
    settings: Settings
    renderer: Renderer
    clock: Callable[[], datetime] = utc_now

    def values(self) -> dict[str, Any]:
        now = self.clock()
        ready, parts = self.health.ready()
        dead = [DeliveryForm.of(d).model_dump() for d in self.queries.deliveries(DeliveryState.DEAD, DEAD_SHOWN)]
        lately, span = received_lately(self.console.operations.earlier())
        return {
            "ready": ready,
            "parts": [(self._part(name), told == "ok", self._worded(told)) for name, told in parts.items()],
            "senders": self._senders(now, lately), "span": self._since(timedelta(minutes=max(1, span.seconds // 60))),
            "queues": [(queue, self._since(now - queue.oldest) if queue.oldest else "")
                       for queue in self.console.operations.queues()],
            "destinations": [self._destination(load, now) for load in self._loads()],
            "disk": self.console.disk(), "models": self._models(), "dead": dead,
            "marks": [self.renderer.mark(d) for d in dead],
            "dead_in_all": self.queries.counts().get("deliveries.dead", 0)}

    def _part(self, name: str) -> str:
        """The name of a part of readiness, which a model's name may follow."""
        part, _, rest = name.partition(" ")
        return f"{self.renderer.t(f'ops.part.{part}')} {rest}".strip() if part in _PARTS else name

    def _senders(self, now: datetime, lately: Mapping[str, int]) -> list[SenderLine]:
        lines = [self._sender(sender, now, lately) for sender in self.queries.senders()]
        return sorted(lines, key=lambda line: (not line.silent, line.protocol, line.name))

    def _sender(self, sender: Mapping[str, Any], now: datetime, lately: Mapping[str, int]) -> SenderLine:
        protocol, name, heard = sender["protocol"], sender["name"], sender["last_heard"]
        return SenderLine(protocol, name, heard, self._since(now - heard) if heard else "",
                          lately.get(f"{protocol}:{name}", 0), sender["count"],
                          is_silent(heard, now, self.settings.alarms.silence_hours))

    def _loads(self) -> Sequence[DestinationLoad]:
        return self.console.operations.destinations([d.name for d in self.settings.destinations])

    def _destination(self, load: DestinationLoad, now: datetime) -> DestinationLine:
        kinds = {d.name: d.type for d in self.settings.destinations}
        waits = (now - load.oldest).total_seconds() if load.oldest else 0.0
        condition = "failing" if load.dead or (load.waiting and load.last_error) else (
            "behind" if waits > _SLOW_SECONDS else "fine")
        return DestinationLine(load, kinds.get(load.name, ""), condition,
                               self._since(now - load.oldest) if load.oldest else "")

    def _models(self) -> list[tuple[Any, Latency | None]]:
        measured = self.console.latencies()
        forms = [form.model_copy(update={"reason": self._worded(form.reason)})
                 for form in model_forms(self.inference, self.cards)]
        return [(form, measured.get(form.name)) for form in forms]

    def _since(self, time: timedelta) -> str:
        return duration(time.total_seconds(), self.renderer.t)

    def _worded(self, text: str) -> str:
        return said(text, self.settings.site.language)


def router(page: OperationsPage, commands: Commands, tester: RuleTester | None) -> APIRouter:
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @routes.get("/operations")
    def operations() -> HTMLResponse:
        return page.renderer.html("operations.html", accepted=tester.accepted if tester else "", **page.values())

    @routes.post("/operations/retry")
    def retry_dead() -> RedirectResponse:
        with as_conflict():
            commands.retry_dead()
        return RedirectResponse("/operations", 303)

    @routes.post("/operations/retry/{delivery_id}")
    def retry(delivery_id: int) -> RedirectResponse:
        with as_conflict():
            commands.retry_delivery(delivery_id)
        return RedirectResponse("/operations", 303)

    if tester is not None:
        _add_tester(routes, page.renderer, tester)
    return routes


def _add_tester(routes: APIRouter, renderer: Renderer, tester: RuleTester) -> None:
    def shown(judged: Judged | None) -> HTMLResponse:
        status = 422 if judged and judged.refusal else 200
        return renderer.html("rules.html", status, accepted=tester.accepted, judged=judged)

    @routes.get("/operations/rules")
    def rules() -> HTMLResponse:
        return shown(None)

    @routes.post("/operations/rules")
    def judge(file: list[UploadFile]) -> HTMLResponse:
        return shown(tester.judge(file))
