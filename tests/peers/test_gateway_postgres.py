"""The core flow and a whole gateway on a real PostgreSQL server."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from adapters.database.tables import instances, runs
from gateway.housekeeping import SILENT_AFTER
from tests.core import test_flow
from tests.core.support import MemoryDestination, core
from tests.peers import hospital, postgres
from tests.peers.gateway_process import gateway

pytestmark = [pytest.mark.peer, pytest.mark.slow]
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with postgres.cluster() as found:
        yield found


@pytest.fixture
def url(port: int) -> str:
    return postgres.new_database(port, f"triage{next(_NUMBERS)}")


def flows() -> dict[str, Callable[..., None]]:
    """The core's own tests that need nothing but a folder and a monkeypatch."""
    named = {name: test for name, test in vars(test_flow).items() if name.startswith("test_")}
    return {name: test for name, test in named.items() if needs(test) <= {"tmp_path", "monkeypatch"}}


def needs(test: Callable[..., None]) -> set[str]:
    return set(inspect.signature(test).parameters)


@pytest.mark.parametrize("name", flows())
def test_the_core_flow(name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_flow, "core", lambda tmp, **more: core(tmp, url=url, **more))
    given = {"tmp_path": tmp_path, "monkeypatch": monkeypatch}
    flows()[name](**{fixture: given[fixture] for fixture in needs(flows()[name])})


@pytest.mark.parametrize("order_first", [True, False])
def test_order_and_study_meet(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order_first: bool) -> None:
    monkeypatch.setattr(test_flow, "core", lambda tmp, **more: core(tmp, url=url, **more))
    test_flow.test_order_and_study_meet_whichever_comes_first(tmp_path, order_first)


def test_the_work_of_a_silent_executor_is_taken_over(url: str, tmp_path: Path) -> None:
    """Another host died in the middle of a reading and is never heard again: the sweep here finishes it."""
    with core(tmp_path, url=url, destinations=[MemoryDestination("pacs")]) as c:
        c.receive("1.2.3", "1.2.3.1.1")
        c.await_case(test_flow.delivered)
    as_if_it_had_died_reading(url, "another-host")
    with core(tmp_path, url=url, destinations=[MemoryDestination("pacs")]) as c:
        now = datetime.now(UTC)
        c.rows.beat("another-host", now - timedelta(minutes=5))
        c.rows.beat("test", now)
        silent = c.rows.silent_executors("test", now, SILENT_AFTER)
        assert list(silent) == ["another-host"]
        assert not c.engine.lost_runs(c.rows.open_runs()), "it still belongs to the other host"
        assert c.engine.recover(silent) == 1
        c.await_case(test_flow.delivered)
        assert len(c.destinations["pacs"].received) == 2


def as_if_it_had_died_reading(url: str, executor: str) -> None:
    """Turn a finished run back to one whose only step was begun by `executor`."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        for statement in ("DELETE FROM deliveries", "DELETE FROM documents", "UPDATE runs SET state = 'analysing'",
                          "UPDATE cases SET state = 'analysing'",
                          "DELETE FROM dbos.operation_outputs",
                          "DELETE FROM dbos.workflow_status WHERE workflow_uuid LIKE 'delivery:%'"):
            connection.execute(statement)
        connection.execute("UPDATE dbos.workflow_status SET status = 'PENDING', output = NULL, executor_id = %s "
                           "WHERE workflow_uuid LIKE 'run:%%'", [executor])


def test_a_whole_gateway_with_restart_and_late_objects(url: str, tmp_path: Path) -> None:
    study = "1.2.826.0.1.3680043.8.498.78"
    early, late = (hospital.ecg(f"L{n}", kind=kind, seed=11, study=study, minute=n)
                   for n, kind in enumerate(("normal", "afib")))
    with hospital.Pacs() as pacs, gateway(tmp_path / "gateway", database_url=url,
                                          destinations=[hospital.pynetdicom(pacs)]) as g:
        hospital.storescu(g.dicom_port, *hospital.written(tmp_path / "early", [early]))
        (first,) = g.await_delivered(1)
        hospital.storescu(g.dicom_port, *hospital.written(tmp_path / "late", [late]))
        g.kill()
        g.start()
        g.await_worklist(lambda items: items[0]["run_id"] != first["run_id"], "a second reading")
        (second,) = g.await_delivered(1)
        assert (second["case_id"], second["verdict"]) == (first["case_id"], "pathology")
        assert [row.state for row in sorted(g.rows(runs), key=lambda r: r.number)] == ["reported", "reported"]
        assert sorted(pacs.order) == ["OT", "OT", "SR", "SR"]
        assert all(len(copies) == 1 for copies in pacs.received.values())
        assert not (tmp_path / "gateway" / "data" / "gateway.sqlite").exists()


def test_a_gateway_without_its_database_says_so_stops_soon_and_loses_nothing(tmp_path: Path) -> None:
    recordings = [hospital.ecg(f"A{n}", study="1.2.826.0.1.3680043.8.498.79", minute=n) for n in range(4)]
    before, while_away = (hospital.written(tmp_path / name, some)
                          for name, some in (("before", recordings[:2]), ("away", recordings[2:])))
    with postgres.running() as server, gateway(
            tmp_path / "gateway", database_url=postgres.new_database(server.port, "away")) as g:
        hospital.storescu(g.dicom_port, *before)
        server.stop()
        hospital.storescu(g.dicom_port, *while_away)
        refused = {path: httpx.get(g.url + path, headers={"Accept": kind}, timeout=30, trust_env=False)
                   for path, kind in (("/api/worklist", "*/*"), ("/", "text/html"), ("/fhir/Task", "*/*"),
                                      ("/dicom-web/studies", "*/*"), ("/readyz", "*/*"))}
        assert {path: (answer.status_code, answer.headers.get("retry-after")) for path, answer in refused.items()} == (
            dict.fromkeys(refused, (503, "5")))
        assert refused["/fhir/Task"].json()["issue"][0]["code"] == "transient"
        assert all("database does not answer" in answer.text for answer in refused.values())
        g.stop(30)
        assert "gateway_stop_cut_short" not in g.log.read_text()
        assert "http_handler_failed" not in g.log.read_text()
        server.start()
        g.start()
        assert {row.sop_instance_uid for row in g.rows(instances)} == {
            str(hospital.tags(one)["SOPInstanceUID"]) for one in recordings}
