"""What asks a database that does not answer is told so in one way, and nothing acknowledged is lost meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from adapters.database import messages
from adapters.database.connection import migrate, open_database, writing
from adapters.database.held import DatabaseHoldings
from adapters.database.probe import probe
from adapters.database.queries import DatabaseQueries
from adapters.dicom.transport import qido
from adapters.fhir.content.refusals import outcome_of, status_of
from gateway.errors import DatabaseAway, Transient
from gateway.orders import FinalReport, InboundMessage
from gateway.study import Patient, Sender
from tests.core.support import core
from tests.dicomweb import anybody
from tests.peers.dcmtk import free_port
from tests.web_fakes import World

SENTENCE = "The database does not answer; try again later."


@pytest.fixture(params=["sqlite", "postgresql"])
def away(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """An engine whose database is not there."""
    urls = {"sqlite": f"sqlite:///{tmp_path / 'missing' / 'gateway.sqlite'}",
            "postgresql": f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/nothing"}
    engine = open_database(urls[request.param])
    yield engine
    engine.dispose()


def test_whoever_reads_or_writes_is_told_and_the_log_once(away: sa.Engine) -> None:
    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(DatabaseAway, match="does not answer"), away.connect():
                pass
            with pytest.raises(DatabaseAway), writing(away):
                pass
    assert probe(away) == "the database does not answer (OperationalError)"
    assert [line["event"] for line in lines] == ["database_does_not_answer"]
    assert lines[0]["why"]
    with pytest.raises(Transient, match=r"database_url: the database cannot be opened: .*(unable|refused)"):
        migrate(away)


def test_a_fault_in_a_statement_is_no_database_that_is_away(tmp_path: Path) -> None:
    with core(tmp_path, start=False) as c, c.database.connect() as connection:
        with pytest.raises(sa.exc.DBAPIError) as caught:
            connection.execute(sa.text("select * from nowhere"))
        assert c.database.dialect.name != "sqlite" or isinstance(caught.value, OperationalError)


def asked(app: FastAPI, path: str, **headers: str) -> httpx.Response:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(get())


def test_the_api_and_the_pages_answer_503_and_when_to_come_back(away: sa.Engine) -> None:
    app = World().app(queries=DatabaseQueries(away, lambda _: b""))
    with capture_logs() as lines:
        for path in ("/api/worklist", f"/api/cases/{'0' * 20}"):
            answer = asked(app, path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"] == SENTENCE
        told = asked(app, "/api/worklist", **{"Accept-Language": "ru"}).json()
        assert told["detail"] == "База данных не отвечает; повторите позже."
        page = asked(app, f"/cases/{'0' * 20}", Accept="text/html")
        assert (page.status_code, page.headers["retry-after"]) == (503, "5")
        assert page.headers["content-type"].startswith("text/html")
        assert SENTENCE in page.text
    assert [line["event"] for line in lines if line["log_level"] != "debug"] == ["database_does_not_answer"]


def test_dicomweb_and_fhir_say_so_in_their_own_ways(away: sa.Engine) -> None:
    app = FastAPI()
    app.include_router(qido.build_router(DatabaseHoldings(away, "SITE", lambda _: {}), anybody))
    answer = asked(app, "/dicom-web/studies", Accept="application/dicom+json")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["detail"] == SENTENCE
    assert status_of(DatabaseAway()) == 503
    assert outcome_of(DatabaseAway())["issue"] == [{"severity": "error", "code": "transient", "diagnostics": SENTENCE}]


def test_a_message_waits_for_the_database_and_is_applied_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apply, calls = messages._apply, []

    def away_at_first(connection: sa.Connection, row: Any) -> set[int]:
        calls.append(row.id)
        if len(calls) == 1:
            raise DatabaseAway
        return apply(connection, row)

    monkeypatch.setattr(messages, "_apply", away_at_first)
    with core(tmp_path) as c:
        event = FinalReport("SITE", Patient("P1"), "A1")
        c.messages.record([InboundMessage(Sender("hl7", "RIS|H"), "C1", datetime.now(UTC), b"raw", b"AA", (event,))])
        assert c.messages.settle(60)
    assert len(calls) == 2
