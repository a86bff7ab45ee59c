"""A whole gateway that knows when a study is complete: procedure steps, notifications, late objects, over the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.database.tables import runs
from tests.peers import modality
from tests.peers.gateway_process import GatewayProcess, await_that, delivered, gateway
from tests.peers.hospital import ecg, storescu, tags, written

pytestmark = [pytest.mark.slow, pytest.mark.peer]
STUDY = "1.2.826.0.1.3680043.10.99.7"
AT_ONCE = 0.5
PATIENT_WAIT = {"quiet_seconds": 60, "settle_seconds": 30}


def recordings(names: Sequence[str]) -> list[bytes]:
    """The later, the newer: the reader takes the newest."""
    return [ecg(name, study=STUDY, minute=minute) for minute, name in enumerate(names)]


def listed(contents: Sequence[bytes]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in map(tags, contents):
        found.setdefault(one["SeriesInstanceUID"], []).append(one["SOPInstanceUID"])
    return found


def handed_over(g: GatewayProcess) -> list[float]:
    """When each run was queued, POSIX seconds."""
    return sorted(row.created_at.timestamp() for row in g.rows(runs))


def shown(g: GatewayProcess) -> dict[str, Any]:
    return g.case_of(STUDY)


def test_dcmjs_dimse_sends_step_objects_and_the_end_of_the_step(tmp_path: Path) -> None:
    contents = recordings(["a", "b"])
    files = written(tmp_path / "objects", contents)
    with gateway(tmp_path / "gateway", assembly=PATIENT_WAIT) as g:
        answers = modality.run(
            g.dicom_port, tmp_path,
            [{"create": "1.2.3.1", "attributes": modality.created(STUDY)}],
            [{"store": str(file)} for file in files],
            [{"set": "1.2.3.1", "attributes": modality.ended(listed(contents))}],
            [{"set": "1.2.3.1", "attributes": modality.ended(listed(contents))}])
        assert [answer.status for answer in answers] == [0, 0, 0, 0, 0x0110]
        g.await_worklist(lambda items: items and all(map(delivered, items)), "reported")
        (run,) = handed_over(g)
        assert 0 <= run - answers[-2].at + 0.05 <= AT_ONCE
        case = shown(g)
        assert case["completeness"] == "complete"
        assert [one["code"] for one in case["evidence"]] == ["proven", "release.ended", "mpps.ended"]
        assert case["evidence"][2]["text"] == "Procedure step of CT1: completed, 2 objects listed"


def test_the_last_object_after_the_end_of_the_step_is_handed_over_at_once_and_an_open_step_holds_it(
        tmp_path: Path) -> None:
    contents = recordings(["a", "b"])
    first, second = (written(tmp_path / name, [one]) for name, one in zip("ab", contents, strict=True))
    with gateway(tmp_path / "gateway", assembly={**PATIENT_WAIT, "settle_seconds": 0.1}) as g:
        scanner = modality.Modality(g.dicom_port)
        scanner.create(modality.created(STUDY), "1.2.3.1")
        scanner.create(modality.created(STUDY), "1.2.3.2")
        storescu(g.dicom_port, *first)
        assert scanner.set(modality.ended(listed(contents[:1])), "1.2.3.1").Status == 0
        g.await_worklist(lambda items: items, "the study")
        g.kill()
        g.start()
        assert handed_over(g) == []
        assert shown(g)["state"] == "receiving"
        assert scanner.set(modality.ended(listed(contents[1:]), "DISCONTINUED"), "1.2.3.2").Status == 0
        storescu(g.dicom_port, *second)
        g.await_worklist(lambda items: items and all(map(delivered, items)), "reported")
        (run,) = handed_over(g)
        stored = datetime.fromisoformat(shown(g)["evidence"][-1]["heard_at"]).timestamp()
        assert run <= stored + AT_ONCE
        assert shown(g)["completeness"] == "complete"


def test_what_never_comes_makes_the_study_partial_and_its_documents_say_so(tmp_path: Path) -> None:
    contents = recordings(["a", "b", "c"])
    folder = {"name": "out", "type": "folder", "path": str(tmp_path / "out")}
    with gateway(tmp_path / "gateway", assembly={"quiet_seconds": 1, "max_wait_seconds": 3}, destinations=[folder],
                 site={"language": "ru"}) as g:
        scanner = modality.Modality(g.dicom_port)
        status, _ = scanner.create(modality.notified(STUDY, listed(contents)), sop_class=modality.IAN)
        assert status.Status == 0
        storescu(g.dicom_port, *written(tmp_path / "objects", contents[:1]))
        g.await_worklist(lambda items: items and all(map(delivered, items)), "reported")
        case = shown(g)
        assert case["completeness"] == "partial"
        assert sorted((one["missing"], one["of"], one["text"]) for one in case["missing"]) == [
            (1, 1, f"1 of 1 objects of series {uid} were not received") for uid in sorted(listed(contents[1:]))]
        assert "не получено объектов серии" in g.document(case["case_id"], "json").decode()
        page = httpx.get(f"{g.url}/cases/{case['case_id']}", trust_env=False).text
        assert "не получено объектов серии" in page
        assert "Уведомление о доступности от CT1: объектов 3" in page


def test_a_study_in_three_bursts_is_reported_and_superseded_twice_and_once_current(tmp_path: Path) -> None:
    contents = recordings(["a", "b", "c"])
    with gateway(tmp_path / "gateway", assembly={"quiet_seconds": 0.5, "settle_seconds": 0.5}) as g:
        for number, content in enumerate(contents, 1):
            files = written(tmp_path / str(number), [content])
            storescu(g.dicom_port, *files)
            await_that(lambda n=number: [row.state for row in g.rows(runs)] == ["reported"] * n, 60,
                       f"burst {number} reported")
            storescu(g.dicom_port, *files)
        case = shown(g)
        assert [(run["number"], run["state"], run["current"]) for run in case["runs"]] == [
            (3, "reported", True), (2, "reported", False), (1, "reported", False)]
        assert [row.predecessor_run_id for row in sorted(g.rows(runs), key=lambda row: row.number)] == [
            "", case["runs"][2]["run_id"], case["runs"][1]["run_id"]]
        assert len(g.worklist()) == 1
