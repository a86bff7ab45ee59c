"""What people order of cases of a running gateway, from the terminal and over the API: read anew, cancel, replay."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from adapters.database.tables import runs
from tests.peers import hospital
from tests.peers.gateway_process import GatewayProcess, await_that, delivered, gateway
from tests.reading import MODELS

pytestmark = [pytest.mark.peer, pytest.mark.slow]
CONTENT = hospital.ecg("ordered", kind="afib", seed=11)


@pytest.fixture
def g(tmp_path: Path) -> Iterator[GatewayProcess]:
    shutil.copytree(MODELS / "ecg_12lead", tmp_path / "models/ecg_12lead")
    with gateway(tmp_path / "gateway", start=False, model_repository=str(tmp_path / "models"),
                 destinations=[{"name": "out", "type": "folder", "path": str(tmp_path / "out")}]) as running:
        yield running


def send(g: GatewayProcess) -> None:
    hospital.storescu(g.dicom_port, *hospital.written(g.folder / "sent", [CONTENT]))


def order(g: GatewayProcess, case_id: str, what: str) -> httpx.Response:
    return httpx.post(f"{g.url}/api/cases/{case_id}/{what}", timeout=30, trust_env=False)


def newer_model(g: GatewayProcess) -> None:
    """The same network as the next version of its release."""
    model = Path(g.settings["model_repository"]) / "ecg_12lead"
    (model / "1").rename(model / "2")
    config = (model / "config.pbtxt").read_text(encoding="utf-8")
    assert config.count("versions: 1") == config.count('"2.1.0"') == 1
    (model / "config.pbtxt").write_text(config.replace("versions: 1", "versions: 2").replace('"2.1.0"', '"3.0.0"'),
                                        encoding="utf-8")


def models_of(g: GatewayProcess, case_id: str) -> list[tuple[str, str]]:
    return [(m["name"], m["version"]) for m in g.get(f"/api/cases/{case_id}")["result"]["provenance"]["models"]]


def test_a_newer_model_reads_anew_and_nothing_newer_is_refused(g: GatewayProcess) -> None:
    g.start()
    send(g)
    (first,) = g.await_delivered(1)
    case_id = first["case_id"]
    nothing = order(g, case_id, "rerun")
    assert (nothing.status_code, "nothing newer" in nothing.json()["detail"]) == (409, True)
    before = models_of(g, case_id)
    g.stop()
    newer_model(g)
    g.start()
    told = g.cli("cases", "rerun", case_id)
    assert case_id in told.stdout
    (second,) = g.await_worklist(lambda items: items[0]["run_id"] != first["run_id"] and delivered(items[0]),
                                 "the newer reading")
    assert second["case_id"] == case_id
    assert models_of(g, case_id) != before
    (older, newer) = sorted(g.rows(runs), key=lambda run: run.number)
    assert (older.run_id, newer.run_id, newer.state) == (first["run_id"], second["run_id"], "reported")
    case = g.get(f"/api/cases/{case_id}")
    assert [(run["number"], run["current"]) for run in case["runs"]] == [(2, True), (1, False)]
    assert order(g, case_id, "rerun").status_code == 409
    replay = order(g, case_id, "replay")
    assert (replay.status_code, replay.json()["run_id"]) == (200, second["run_id"])


def doors_open(g: GatewayProcess) -> bool:
    try:
        return httpx.get(f"{g.url}/readyz", timeout=5, trust_env=False).status_code == 503
    except httpx.TransportError:
        return False


def test_a_waiting_case_is_cancelled_and_read_once_it_is_replayed(g: GatewayProcess) -> None:
    model = Path(g.settings["model_repository"]) / "ecg_12lead"
    (model / "1").rename(model / "away")
    g.launch()
    await_that(lambda: doors_open(g), 90, "its doors; it is not ready without the model")
    send(g)
    (item,) = g.await_worklist(lambda items: items and items[0]["state"] == "waiting" and items[0]["error"], "waiting")
    case_id = item["case_id"]
    assert case_id in g.cli("cases", "cancel", case_id).stdout
    again = order(g, case_id, "cancel")
    assert (again.status_code, again.json()["detail"]) == (409, "the case is cancelled: there is nothing to cancel")
    (model / "away").rename(model / "1")
    await_that(g.ready, 30, "readiness")
    assert g.worklist()[0]["state"] == "cancelled"
    assert case_id in g.cli("cases", "replay", case_id).stdout
    (reported,) = g.await_delivered(1)
    assert (reported["case_id"], reported["verdict"]) == (case_id, "pathology")
