"""The worklist as Unified Procedure Steps: what a workitem says, the order, searches over HTTP, refused claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydicom.dataset import Dataset

from adapters.dicom.content import ups
from adapters.dicom.transport.workitems import Workitems
from adapters.dicom.transport.workitems_rs import build_router
from gateway.browsing import EVERYTHING, WorklistFilter
from gateway.case import CaseState
from gateway.errors import Unreadable
from gateway.held import Found, HeldQuery, Match
from gateway.identity import case_of_workitem, uid, workitem_uid
from gateway.ports import CaseDetail, CaseView, Page
from gateway.study import Instance
from gateway.triage import Band
from tests.dicomweb import JSON, anybody
from tests.web_fakes import view

SICK = view(1, verdict="pathology", risk=0.93, band=Band.PATHOLOGY, summary="Atrial fibrillation.")
FAILED = view(2, state="failed", verdict=None, risk=None, band=Band.NEEDS_A_PERSON, error="the file is damaged")
COMING = view(3, state="receiving", verdict=None, risk=None, band=Band.NOT_ANALYSED, completeness="partial")
WELL = view(4, band=Band.NORMAL)
READ = view(5, band=Band.READ, read_at=datetime(2026, 1, 2, tzinfo=UTC))
GONE = view(6, state="cancelled", verdict=None, risk=None, band=Band.CANCELLED)
LINES = (SICK, FAILED, COMING, WELL, GONE, READ)


class Worklist:
    """The two calls that workitems make, over fixed lines in their order, a page at a time."""

    def __init__(self, lines: Sequence[CaseView] = LINES, page: int = 2) -> None:
        self.lines, self.page, self.asked = lines, page, list[WorklistFilter]()

    def worklist(self, limit: int, cursor: str | None = None, where: WorklistFilter = EVERYTHING) -> Page:
        self.asked.append(where)
        start = int(cursor or 0)
        following = start + min(limit, self.page)
        return Page(tuple(self.lines[start:following]), len(self.lines),
                    str(following) if following < len(self.lines) else None)

    def case(self, case_id: str) -> CaseDetail | None:
        found = next((c for c in self.lines if c.case_id == case_id), None)
        return None if found is None else CaseDetail(found, None, None, (), 1, ())


class Held:
    def search(self, query: HeldQuery) -> Found:
        raise AssertionError("workitems need instances alone")

    def deleted_at(self, study: str) -> datetime | None:
        return None

    def instances(self, study: str, series: str = "", instance: str = "") -> tuple[Instance, ...]:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        return tuple(Instance(f"{study}.{s}.{n}", "1.2.840.10008.5.1.4.1.1.2", study, f"{study}.{s}", "", "", 0, "", {},
                              at) for s, n in ((1, 1), (1, 2), (2, 1)))


async def ask(path: str = "", method: str = "GET", lines: Sequence[CaseView] = LINES,
              **parameters: Any) -> httpx.Response:
    app = FastAPI()
    app.include_router(build_router(Workitems(Worklist(lines), Held()), anybody))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        return await client.request(method, f"/dicom-web/workitems{path}", params=parameters or None)


async def found(**parameters: Any) -> list[Dataset]:
    response = await ask(**parameters)
    assert response.status_code in (200, 204), response.text
    return [Dataset.from_json(told) for told in response.json()] if response.content else []


async def test_workitems_come_in_the_order_of_the_worklist() -> None:
    told = await found()
    assert [case_of_workitem(item.SOPInstanceUID) for item in told] == [c.case_id for c in LINES]
    assert [(i.ScheduledProcedureStepPriority, i.ProcedureStepState, i.InputReadinessState) for i in told] == [
        ("HIGH", "SCHEDULED", "READY"), ("MEDIUM", "SCHEDULED", "READY"), ("MEDIUM", "SCHEDULED", "INCOMPLETE"),
        ("LOW", "SCHEDULED", "READY"), ("LOW", "CANCELED", "READY"), ("LOW", "COMPLETED", "READY")]


def test_sorting_by_priority_keeps_the_order() -> None:
    places = [ups.priority_of(replace(SICK, band=band)) for band in sorted(Band)]
    ranks = [("HIGH", "MEDIUM", "LOW").index(place) for place in places]
    assert ranks == sorted(ranks)
    assert ranks[0] < ranks[-1]


async def test_a_workitem_says_whose_it_is_what_was_found_and_where_to_look() -> None:
    response = await ask(f"/{workitem_uid(SICK.case_id)}")
    assert response.headers["content-type"] == JSON
    told = Dataset.from_json(response.json()[0])
    assert (told.PatientID, told.PatientName, told.StudyInstanceUID) == (
        SICK.patient_id, SICK.patient_name, SICK.study_instance_uid)
    assert told.ReferencedRequestSequence[0].AccessionNumber == SICK.accession_number
    assert (told.SOPClassUID, told.WorklistLabel) == ("1.2.840.10008.5.1.4.34.6.1", "TRIAGE")
    assert told.CommentsOnTheScheduledProcedureStep == "pathology, risk 0.930. Atrial fibrillation"
    verdict, risk = told.ScheduledProcessingParametersSequence
    assert (verdict.ConceptCodeSequence[0].CodeValue, float(risk.NumericValue)) == ("263654008", 0.93)
    assert told.ScheduledWorkitemCodeSequence[0].CodeMeaning == "Interpretation"
    first, second = told.InputInformationSequence
    assert [len(i.ReferencedSOPSequence) for i in (first, second)] == [2, 1]
    assert first.WADORSRetrievalSequence[0].RetrieveURL == (
        f"http://gateway/dicom-web/studies/{SICK.study_instance_uid}/series/{SICK.study_instance_uid}.1")
    assert not told.UnifiedProcedureStepPerformedProcedureSequence
    read = Dataset.from_json((await ask(f"/{workitem_uid(READ.case_id)}")).json()[0])
    assert read.UnifiedProcedureStepPerformedProcedureSequence[0].PerformedProcedureStepEndDateTime.startswith("2026")


def test_what_was_not_analysed_never_says_normal() -> None:
    for case in (FAILED, COMING, GONE):
        told = ups.workitem(case)
        assert told["ScheduledProcessingParametersSequence"] == []
        assert "normal" not in told["CommentsOnTheScheduledProcedureStep"]


@pytest.mark.parametrize(("parameters", "expected"), [
    ({"ProcedureStepState": "SCHEDULED"}, (SICK, FAILED, COMING, WELL)), ({"ProcedureStepState": "COMPLETED"}, (READ,)),
    ({"00741200": "HIGH"}, (SICK,)), ({"ScheduledProcedureStepPriority": "MEDIUM\\LOW", "limit": 2}, (FAILED, COMING)),
    ({"PatientID": SICK.patient_id}, (SICK,)), ({"PatientName": "ivanova*", "offset": 4}, (GONE, READ)),
    ({"ReferencedRequestSequence.AccessionNumber": "A4"}, (WELL,)), ({"limit": 3, "offset": 1}, (FAILED, COMING, WELL)),
    ({"StudyInstanceUID": f"{WELL.study_instance_uid},{READ.study_instance_uid}"}, (WELL, READ)),
    ({"SOPInstanceUID": f"{workitem_uid(WELL.case_id)},1.2.3"}, (WELL,)),
    ({"InputReadinessState": "INCOMPLETE"}, (COMING,)),
    ({"WorklistLabel": "TRIAGE", "ScheduledWorkitemCodeSequence.CodeValue": "110005"}, LINES),
    ({"WorklistLabel": "OTHER"}, ()), ({"ScheduledProcedureStepStartDateTime": "-2001"}, ()),
    ({"InputInformationSequence.SeriesInstanceUID": f"{SICK.study_instance_uid}.2"}, (SICK,))])
async def test_workitems_are_matched(parameters: Mapping[str, Any], expected: Sequence[CaseView]) -> None:
    assert [i.SOPInstanceUID for i in await found(**parameters)] == [workitem_uid(c.case_id) for c in expected]


async def test_searches_look_only_where_something_can_be() -> None:
    assert ups.narrowed([Match("ProcedureStepState", ("COMPLETED",)), Match("PatientID", ("P1",))]) == WorklistFilter(
        read=True, text="P1")
    assert ups.narrowed([Match("ProcedureStepState", ("CANCELED",))]).state == {CaseState.CANCELLED}
    assert ups.narrowed([Match("PatientID", ("P*",), wildcards=True), Match("PatientName", ("A", "B"))]) == EVERYTHING
    worklist = Worklist()
    assert next(Workitems(worklist, Held()).search([]))["SOPInstanceUID"] == workitem_uid(SICK.case_id)
    assert len(worklist.asked) == 1, "one page is enough for the first"


@pytest.mark.parametrize(("path", "method", "status"), [
    ("/1.2.3", "GET", 404), ("/abc", "GET", 400), ("/{known}/state", "PUT", 403), ("/1.2.3/state", "PUT", 404),
    ("/{known}", "POST", 403), ("/{known}/cancelrequest", "POST", 403)])
async def test_what_is_refused_is_refused_in_words(path: str, method: str, status: int) -> None:
    response = await ask(path.format(known=workitem_uid(SICK.case_id)), method)
    assert response.status_code == status
    assert response.json()["detail"].endswith(".")
    assert (await ask(NoSuchThing="1")).status_code == 400


def test_a_workitem_uid_holds_the_case_id_and_no_other_uid_does() -> None:
    for case_id in ("0" * 20, "f" * 20, "3f2a9c0b71d4e8a65b90"):
        assert case_of_workitem(workitem_uid(case_id)) == case_id
        assert len(workitem_uid(case_id)) <= 64
    for other in (uid("workitem", "x"), "1.2.3", "2.25.", "2.25.1", "2.25." + "9" * 50, "2.25.٣", ""):
        assert case_of_workitem(other) == ""


def test_identifiers_become_matching_keys() -> None:
    query = Dataset()
    query.ProcedureStepState, query.PatientName, query.PatientID = "SCHEDULED", "Doe*", ""
    request = Dataset()
    request.AccessionNumber = "A1"
    query.ReferencedRequestSequence = [request]
    assert ups.asked(query) == (
        Match("PatientName", ("Doe*",), wildcards=True, name=True),
        Match("ReferencedRequestSequence.AccessionNumber", ("A1",), wildcards=True),
        Match("ProcedureStepState", ("SCHEDULED",), wildcards=True))
    deep = query
    for _ in range(10):
        outer = Dataset()
        outer.ReferencedRequestSequence = [deep]
        deep = outer
    with pytest.raises(Unreadable):
        ups.asked(deep)
