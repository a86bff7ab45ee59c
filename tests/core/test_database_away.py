"""What asks a database that does not answer is told so in one way, and nothing acknowledged is lost meanwhile."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from adapters.cli.local import leave_within
from adapters.database import messages
from adapters.database.connection import migrate, open_database, writing
from adapters.database.held import DatabaseHoldings
from adapters.database.index import InstanceIndex
from adapters.database.probe import probe
from adapters.database.queries import DatabaseQueries
from adapters.database.tables import instances
from adapters.dicom.transport import qido
from adapters.fhir.content.refusals import outcome_of, status_of
from gateway.commitment import Request
from gateway.commitment_desk import CommitmentDesk, Open
from gateway.errors import DatabaseAway, Transient
from gateway.orders import FinalReport, InboundMessage
from gateway.study import Patient, Sender
from tests.core.support import Untouched, core, instance
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


def test_connections_that_all_hang_are_a_database_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'gateway.sqlite'}")
    monkeypatch.setattr(engine.pool, "_timeout", 0.01)
    with ExitStack() as held:
        for _ in range(18):
            held.enter_context(engine.connect())
        with pytest.raises(DatabaseAway), engine.connect():
            pass
        with pytest.raises(DatabaseAway), writing(engine):
            pass
    with writing(engine) as connection:
        assert connection.execute(sa.select(1)).scalar() == 1


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


def test_an_index_that_is_to_stop_waits_for_no_database_and_skips_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    engine = open_database(f"sqlite:///{folder / 'gateway.sqlite'}")
    index = InstanceIndex(engine, "SITE", lambda _: None, Untouched())
    index.start()
    index.add(instance("1.2.3", "1.2.3.1"), conflict=False)
    index.wait_no_more()
    assert not index.flush(60)
    folder.mkdir()
    migrate(engine)
    index.add(instance("1.2.3", "1.2.3.2"), conflict=False)
    assert not index.flush(60)
    index.stop()
    with engine.connect() as connection:
        assert not connection.execute(sa.select(instances)).all(), "it would seem that all before it is indexed"
    again = InstanceIndex(engine, "SITE", lambda _: None, Untouched())
    again.start()
    found = {f"/nowhere/1.2.3/1.2.3.{n}.dcm": instance("1.2.3", f"1.2.3.{n}") for n in (1, 2)}
    assert again.rebuild(lambda _: found, found.__getitem__) == 2
    again.stop()
    engine.dispose()


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


def test_no_commitment_is_judged_by_an_index_that_waits() -> None:
    nobody = cast(Any, None)
    desk = CommitmentDesk(nobody, nobody, nobody, nobody, nobody, lambda: False, nobody)
    with pytest.raises(Transient, match="index"):
        desk.deal_with(Open(1, Request("1.2", "PEER", ()), datetime.now(UTC), 0))


def test_a_process_whose_parts_hang_ends_all_the_same() -> None:
    program = (f"import threading; from {leave_within.__module__} import leave_within; leave_within(0.1); "
               "threading.Event().wait(100)")
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "gateway_stop_cut_short" in done.stdout + done.stderr
