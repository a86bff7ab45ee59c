"""`/metrics` in Prometheus text: what the database counts, what HTTP did, and a registry of the caller's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.case import CaseState
from gateway.delivery import DeliveryState
from gateway.ports import Health, Queries

_BY_STATE: dict[str, tuple[str, type[StrEnum]]] = {
    "cases": ("Cases by state.", CaseState), "deliveries": ("Deliveries by state.", DeliveryState)}
_SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)


class GatewayCollector(Collector):
    """Asked at each scrape; keeps nothing."""

    def __init__(self, queries: Queries, health: Health) -> None:
        self._queries = queries
        self._health = health

    def collect(self) -> Iterator[Metric]:
        counts = self._queries.counts()
        for name, (told, states) in _BY_STATE.items():
            family = GaugeMetricFamily(f"triage_{name}", told, labels=["state"])
            for state in states:
                family.add_metric([state.value], counts.get(f"{name}.{state.value}", 0))
            yield family
        for name in ("instances", "studies"):
            yield GaugeMetricFamily(f"triage_{name}", f"Stored {name}.", value=counts.get(name, 0))
        yield self._ready()
        yield from self._senders()

    def _ready(self) -> Metric:
        ready, parts = self._health.ready()
        family = GaugeMetricFamily("triage_ready", "1 where the part is ready; `all`: studies can be taken and read.",
                                   labels=["part"])
        family.add_metric(["all"], float(ready))
        for part, told in parts.items():
            family.add_metric([part], float(told == "ok"))
        return family

    def _senders(self) -> Iterable[Metric]:
        labels = ["protocol", "sender"]
        heard = GaugeMetricFamily("triage_sender_last_heard_seconds", "POSIX time at which the sender was last heard.",
                                  labels=labels)
        count = CounterMetricFamily("triage_sender_received", "Objects or messages of the sender, in all.",
                                    labels=labels)
        for sender in self._queries.senders():
            named = [sender["protocol"], sender["name"]]
            count.add_metric(named, sender["count"])
            if sender["last_heard"] is not None:
                heard.add_metric(named, sender["last_heard"].timestamp())
        return [heard, count]


class HttpMetrics:
    """Requests and their duration by route template."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter("triage_http_requests", "HTTP requests.", ["method", "route", "status"],
                                 registry=registry)
        self._seconds = Histogram("triage_http_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS,
                                  registry=registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


def router(registries: Iterable[CollectorRegistry]) -> APIRouter:
    routes = APIRouter(tags=["health"])
    scraped = tuple(registries)

    @routes.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """Counts and times in Prometheus text."""
        text = b"".join(generate_latest(registry) for registry in scraped)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return routes
