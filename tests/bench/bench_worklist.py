"""The worklist with 100,000 cases, over HTTP: the slowest twentieth of API answers and of pages, on both databases."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.database.connection import database_url, migrate, open_database
from tests.bench.lines import against_limit, progress, skipped
from tests.many_cases import seed
from tests.peers.gateway_process import GatewayProcess
from tests.peers.postgres import cluster

CASES = 100_000
API_LIMIT, PAGE_LIMIT = 0.050, 0.300
_TURNS = 15
_ROUTES = [{"name": "nothing", "when": {"Modality": "OT"}, "pipeline": "ecg_12lead"}]
_FILTERS: tuple[dict[str, Any], ...] = (
    {}, {"modality": "CT"}, {"verdict": "pathology"}, {"state": "failed"}, {"finding": "AFIB"}, {"priority": "stat"},
    {"verdict": "normal", "modality": "ECG"})


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="triage-bench-") as name:
        _measure("sqlite", Path(name) / "sqlite", "")
        try:
            with cluster() as port:
                _measure("postgresql", Path(name) / "postgresql",
                         f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres")
        except pytest.skip.Exception as skip:
            skipped("worklist postgresql", str(skip))


def _measure(database: str, folder: Path, url: str) -> None:
    gateway = GatewayProcess(folder, {"routes": _ROUTES, "database_url": url, "log": {"level": "warning"}})
    gateway.data.mkdir(parents=True)
    engine = open_database(database_url(url, gateway.data))
    migrate(engine)
    progress(f"seeding {CASES} cases in {database}")
    seed(engine, CASES)
    engine.dispose()
    gateway.start()
    try:
        with httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as client:
            _report(database, client)
    finally:
        gateway.stop()


def _report(database: str, client: httpx.Client) -> None:
    against_limit(f"worklist API {database} p95 s", _p95(lambda: _walk(client)), API_LIMIT, digits=3,
                  note=f"{CASES} cases, 100 a page, cursors and filters")
    against_limit(f"worklist API {database} text p95 s", _p95(lambda: _searches(client)), API_LIMIT, digits=3)
    against_limit(f"worklist page {database} p95 s", _p95(lambda: _pages(client)), PAGE_LIMIT, digits=3,
                  note=f"{CASES} cases")


def _p95(turn: Callable[[], list[float]]) -> float:
    turn()
    return statistics.quantiles([seconds for _ in range(_TURNS) for seconds in turn()], n=20)[-1]


def _timed(ask: Callable[[], httpx.Response]) -> tuple[float, httpx.Response]:
    began = time.perf_counter()
    answer = ask()
    seconds = time.perf_counter() - began
    answer.raise_for_status()
    return seconds, answer


def _walk(client: httpx.Client) -> list[float]:
    taken: list[float] = []
    for wanted in _FILTERS:
        query: dict[str, Any] = {"limit": 100, **wanted}
        for _ in range(3):
            seconds, answer = _timed(lambda query=query: client.get("/api/worklist", params=query))
            taken.append(seconds)
            if not (following := answer.json()["next"]):
                break
            query = {**query, "cursor": following}
    return taken


def _searches(client: httpx.Client) -> list[float]:
    words = ("okafor", "ACC0012345", "иванов 77", "P0123")
    return [_timed(lambda word=word: client.post("/api/worklist/search", json={"text": word, "limit": 100}))[0]
            for word in words]


def _pages(client: httpx.Client) -> list[float]:
    return [_timed(lambda query=query: client.get("/", params=query))[0] for query in _FILTERS]


if __name__ == "__main__":
    main()
