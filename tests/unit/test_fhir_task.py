"""FHIR Task over the worklist: what a Task says, its order, searching and paging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from adapters.fhir.content import task_search
from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.capability import capability_statement
from adapters.fhir.content.checks import content_problems, structure_problems
from adapters.fhir.content.task import Site, priority_of, task
from adapters.fhir.transport.tasks import TaskDesk
from gateway.browsing import WorklistFilter
from gateway.case import CaseState
from gateway.errors import Rejected, Unreadable
from gateway.triage import Band
from tests.unit.test_ups import COMING, FAILED, GONE, LINES, READ, SICK, WELL, Worklist

SITE = Site("SITE", {"HOSP": "urn:oid:1.2.3"})


class Lines(Worklist):
    """`placed`: orders by id."""

    placed: Mapping[str, Mapping[str, Any]] = {
        "o1": {"study_instance_uid": WELL.study_instance_uid}, "o2": {"accession_number": "A1"}, "o3": {}}

    def __init__(self) -> None:
        super().__init__(page=1000)

    def orders(self, order_id: str) -> Mapping[str, Any] | None:
        return self.placed.get(order_id)


def search(*parameters: tuple[str, str], lines: Lines | None = None) -> dict[str, Any]:
    return TaskDesk(lines or Lines(), SITE).search(parameters, "http://ehr/fhir", lenient=False)


def ids(bundle: Mapping[str, Any]) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle.get("entry", ())]


def case_ids(cases: Sequence[Any]) -> list[str]:
    return [case.case_id for case in cases]


@pytest.mark.parametrize("case", LINES, ids=lambda c: f"{c.state}-{c.band}")
def test_every_line_is_a_valid_task(case: Any) -> None:
    told = task(case, SITE)
    assert structure_problems(told) == []
    assert content_problems(told, "Task") == []


def test_a_task_says_what_is_to_be_read_and_why() -> None:
    told = task(replace(SICK, patient_issuer="HOSP", run_id="r1"), SITE)
    assert (told["status"], told["priority"], told["intent"]) == ("ready", "stat", "plan")
    assert told["focus"]["identifier"] == {"system": v.DICOM_UID, "value": f"urn:oid:{SICK.study_instance_uid}"}
    who = told["for"]["identifier"]
    assert (who["system"], who["value"]) == ("urn:oid:1.2.3", SICK.patient_id)
    assert told["reasonReference"]["reference"] == f"DiagnosticReport/{SICK.case_id}"
    assert told["reasonCode"]["text"] == "pathology, risk 0.930"
    assert told["basedOn"][0]["identifier"]["value"] == SICK.accession_number
    assert told["input"][0]["valueDecimal"] == 0.93


def test_no_status_is_invented_and_nothing_unread_seems_done_or_normal() -> None:
    assert [task(case, SITE)["status"] for case in LINES] == [
        "ready", "ready", "draft", "ready", "cancelled", "completed"]
    for case in (FAILED, COMING, GONE):
        told = task(case, SITE)
        assert "reasonCode" not in told
        assert "normal" not in str(told["businessStatus"])


def test_sorting_by_priority_keeps_the_order() -> None:
    codes = ("stat", "asap", "urgent", "routine")
    ranks = [codes.index(priority_of(replace(SICK, band=band))) for band in sorted(Band)]
    assert ranks == sorted(ranks)
    assert ranks[0] < ranks[1] < ranks[2] < ranks[3]


@pytest.mark.parametrize("sort", [(), (("_sort", "priority"),), (("_sort", "-priority"),)])
def test_tasks_come_in_the_order_of_the_worklist(sort: tuple[tuple[str, str], ...]) -> None:
    told = search(*sort)
    assert ids(told) == case_ids(LINES)
    assert told["total"] == len(LINES)
    assert all(entry["search"]["mode"] == "match" for entry in told["entry"])


@pytest.mark.parametrize(("parameters", "expected"), [
    ([("status", "ready")], (SICK, FAILED, WELL)), ([("status", "completed,cancelled")], (GONE, READ)),
    ([("status", "completed")], (READ,)), ([("status", "draft")], (COMING,)), ([("status", "in-progress")], ()),
    ([("priority", "stat")], (SICK,)), ([("priority", "asap,urgent")], (FAILED, COMING)),
    ([("priority", "routine"), ("status", "ready")], (WELL,)),
    ([("business-status", "failed")], (FAILED,)), ([("business-status", f"{v.CASE_STATE}|cancelled")], (GONE,)),
    ([("_id", f"{WELL.case_id},{SICK.case_id}")], (SICK, WELL)),
    ([("identifier", f"{v.CASE}|{WELL.case_id}")], (WELL,)), ([("patient.identifier", SICK.patient_id)], (SICK,)),
    ([("patient.identifier", f"urn:oid:9|{SICK.patient_id}")], ()),
    ([("focus", f"{v.DICOM_UID}|urn:oid:{WELL.study_instance_uid}")], (WELL,)),
    ([("focus", f"ImagingStudy/{WELL.case_id}.abc")], (WELL,)), ([("focus", "ImagingStudy/none")], ()),
    ([("based-on", "ServiceRequest/o1")], (WELL,)), ([("based-on", "o2")], (SICK,)), ([("based-on", "o3")], ()),
    ([("based-on", "o4")], ()), ([("patient", f"Patient/{SICK.case_id}.abc")], LINES), ([("patient", "none")], ())])
def test_search_parameters(parameters: list[tuple[str, str]], expected: Sequence[Any]) -> None:
    told = search(*parameters)
    assert ids(told) == case_ids(expected)


def test_searches_look_only_where_something_can_be() -> None:
    def where(*parameters: tuple[str, str]) -> WorklistFilter:
        return task_search.parse(Lines(), parameters).where

    assert where(("status", "completed"), ("patient.identifier", "P1")) == WorklistFilter(read=True, text="P1")
    assert where(("status", "cancelled")).state == {CaseState.CANCELLED}
    assert where(("patient", SICK.case_id)).patient == ("", SICK.patient_id)
    assert where(("_id", SICK.case_id)).study_instance_uid == SICK.study_instance_uid


@pytest.mark.parametrize("count", [1, 2, 4, 5])
@pytest.mark.parametrize("parameters", [[], [("status", "ready,completed")]])
def test_pages_follow_each_other(count: int, parameters: list[tuple[str, str]],
                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_search, "_PAGE", 2)
    everything = ids(search(*parameters))
    seen: list[str] = []
    asked = [*parameters, ("_count", str(count))]
    for _ in range(10):
        told = search(*asked)
        assert len(ids(told)) <= count
        seen += ids(told)
        following = [link["url"] for link in told["link"] if link["relation"] == "next"]
        if not following:
            break
        asked = parse_qsl(urlsplit(following[0]).query)
    assert seen == everything


def test_a_count_alone() -> None:
    assert search(("_count", "0"))["total"] == len(LINES)
    told = search(("_count", "0"), ("status", "ready"))
    assert (told["total"], "entry" in told) == (3, False)


@pytest.mark.parametrize("parameters", [
    [("colour", "red")], [("_sort", "status")], [("_count", "x")], [("priority", ",")],
    [("focus", "Patient/1")], [("based-on", "Task/1")], [("status", "a\0b")], [("_format", "xml")]])
def test_what_cannot_be_read_is_refused(parameters: list[tuple[str, str]]) -> None:
    with pytest.raises((Unreadable, Rejected)):
        search(*parameters)


def test_a_task_is_read_by_its_id() -> None:
    desk = TaskDesk(Lines(), SITE)
    assert desk.read(SICK.case_id)["meta"]["versionId"] == task(SICK, SITE)["meta"]["versionId"]
    with pytest.raises(Rejected):
        desk.read("none")


def test_the_capability_statement_names_it() -> None:
    told = capability_statement("http://ehr/fhir", "1")
    (named,) = (r for r in told["rest"][0]["resource"] if r["type"] == "Task")
    assert [i["code"] for i in named["interaction"]] == ["read", "search-type"]
    assert structure_problems(told) == []
