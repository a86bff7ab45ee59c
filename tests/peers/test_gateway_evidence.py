"""A whole gateway that knows when a study is complete: procedure steps, notifications, late objects, over the wire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.database.tables import runs
from tests.peers import dcmtk, modality
from tests.peers.gateway_process import GatewayProcess, await_that, delivered, gateway
from tests.peers.hospital import ecg, tags, written

pytestmark = [pytest.mark.slow, pytest.mark.peer]
AT_ONCE = 0.5
POLICIES = {
    "quiet_seconds": 60, "settle_seconds": 30,
    "senders": {"BURSTS": {"quiet_seconds": 0.5, "settle_seconds": 0.5},
                "LACKING": {"quiet_seconds": 1, "max_wait_seconds": 3}, "HASTY": {"settle_seconds": 0.1}}}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("evidence")
    out = {"name": "out", "type": "folder", "path": str(folder / "out")}
    with gateway(folder / "gateway", assembly=POLICIES, destinations=[out], site={"language": "ru"}) as g:
        yield g


def recordings(study: str, *names: str) -> list[bytes]:
    """The later, the newer: the reader takes the newest."""
    return [ecg(f"{study}{name}", study=study, minute=minute) for minute, name in enumerate(names)]


def listed(contents: Sequence[bytes]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in map(tags, contents):
        found.setdefault(one["SeriesInstanceUID"], []).append(one["SOPInstanceUID"])
    return found


def store(g: GatewayProcess, calling: str, *paths: Path) -> None:
    done = dcmtk.run("storescu", "-R", "-aec", "TRIAGE", "-aet", calling, "127.0.0.1", str(g.dicom_port), *paths)
    assert done.returncode == 0, done.stdout + done.stderr


def reported(g: GatewayProcess, study: str) -> dict[str, Any]:
    """The case, once it is reported and everything of it is delivered."""
    g.await_worklist(lambda items: any(delivered(i) for i in items if i["study_instance_uid"] == study), study)
    return g.case_of(study)


def handed_over(case: dict[str, Any]) -> float:
    """When its only run was queued, POSIX seconds."""
    (run,) = case["runs"]
    return datetime.fromisoformat(run["created_at"]).timestamp()


def test_dcmjs_dimse_sends_step_objects_and_the_end_of_the_step(running: GatewayProcess, tmp_path: Path) -> None:
    study = "1.2.826.0.1.3680043.10.99.1"
    contents = recordings(study, "a", "b")
    answers = modality.run(
        running.dicom_port, tmp_path,
        [{"create": "1.2.3.1", "attributes": modality.created(study)}],
        [{"store": str(file)} for file in written(tmp_path / "objects", contents)],
        [{"set": "1.2.3.1", "attributes": modality.ended(listed(contents))}],
        [{"set": "1.2.3.1", "attributes": modality.ended(listed(contents))}])
    assert [answer.status for answer in answers] == [0, 0, 0, 0, 0x0110]
    case = reported(running, study)
    assert handed_over(case) - answers[-2].at <= AT_ONCE
    assert case["completeness"] == "complete"
    assert [one["code"] for one in case["evidence"]] == ["proven", "release.ended", "mpps.ended"]
    assert case["evidence"][2]["text"] == "Procedure step of CT1: completed, 2 objects listed"


def test_what_never_comes_makes_the_study_partial_and_its_documents_say_so(
        running: GatewayProcess, tmp_path: Path) -> None:
    study = "1.2.826.0.1.3680043.10.99.2"
    contents = recordings(study, "a", "b", "c")
    archive = modality.Modality(running.dicom_port, "PACS")
    assert archive.create(modality.notified(study, listed(contents)), sop_class=modality.IAN)[0].Status == 0
    store(running, "LACKING", *written(tmp_path, contents[:1]))
    case = reported(running, study)
    assert case["completeness"] == "partial"
    assert sorted((one["missing"], one["of"], one["text"]) for one in case["missing"]) == [
        (1, 1, f"1 of 1 objects of series {uid} were not received") for uid in sorted(listed(contents[1:]))]
    assert "не получено объектов серии" in running.document(case["case_id"], "json").decode()
    page = httpx.get(f"{running.url}/cases/{case['case_id']}", trust_env=False).text
    assert "не получено объектов серии" in page
    assert "Уведомление о доступности от PACS: объектов 3" in page


def test_a_study_in_three_bursts_is_reported_and_superseded_twice_and_once_current(
        running: GatewayProcess, tmp_path: Path) -> None:
    study = "1.2.826.0.1.3680043.10.99.3"
    for number, content in enumerate(recordings(study, "a", "b", "c"), 1):
        files = written(tmp_path / str(number), [content])
        store(running, "BURSTS", *files)
        await_that(lambda n=number: [r["state"] for i in running.worklist() if i["study_instance_uid"] == study
                                     for r in running.case_of(study)["runs"]] == ["reported"] * n, 60, "reported")
        store(running, "BURSTS", *files)
    case = reported(running, study)
    assert [(run["number"], run["state"], run["current"]) for run in case["runs"]] == [
        (3, "reported", True), (2, "reported", False), (1, "reported", False)]
    rows = {row.number: row for row in running.rows(runs, runs.c.case_id == case["case_id"])}
    assert [rows[n].predecessor_run_id for n in (1, 2, 3)] == ["", rows[1].run_id, rows[2].run_id]


def test_an_open_step_holds_a_study_over_a_crash_and_its_last_object_ends_the_wait_at_once(tmp_path: Path) -> None:
    study = "1.2.826.0.1.3680043.10.99.4"
    contents = recordings(study, "a", "b")
    first, second = (written(tmp_path / name, [one]) for name, one in zip("ab", contents, strict=True))
    with gateway(tmp_path / "gateway", assembly=POLICIES) as g:
        scanner = modality.Modality(g.dicom_port)
        scanner.create(modality.created(study), "1.2.3.1")
        scanner.create(modality.created(study), "1.2.3.2")
        store(g, "HASTY", *first)
        assert scanner.set(modality.ended(listed(contents[:1])), "1.2.3.1").Status == 0
        g.await_worklist(lambda items: items, "the study")
        g.kill()
        g.start()
        assert g.case_of(study)["runs"] == []
        assert g.case_of(study)["state"] == "receiving"
        assert scanner.set(modality.ended(listed(contents[1:]), "DISCONTINUED"), "1.2.3.2").Status == 0
        store(g, "HASTY", *second)
        case = reported(g, study)
        left = datetime.fromisoformat(case["evidence"][-1]["heard_at"]).timestamp()
        assert handed_over(case) <= left + AT_ONCE
        assert case["completeness"] == "complete"
