"""The worklist's order is one: over UPS-RS, FHIR Task and the page's own API, on a real database."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRouter
from pydicom.dataset import Dataset

from adapters.database.held import DatabaseHoldings
from adapters.dicom.content.qido import parse_workitems
from adapters.dicom.transport.workitems import Workitems
from adapters.dicom.transport.workitems_rs import build_router as workitems_router
from adapters.fhir.content.task import Site
from adapters.fhir.transport.tasks import TaskDesk
from gateway.case import CaseState
from gateway.errors import Unusable
from gateway.identity import case_of_workitem
from gateway.study import Priority
from tests.core.support import Core, core
from tests.dicomweb import anybody

pytestmark = pytest.mark.slow
SITE = Site("SITE", {})


def fill(held: Core) -> None:
    """Sick, well, unread and unsupported studies, one of them urgent, one read by a person, one cancelled."""
    for number in range(1, 9):
        sick = {"BodyPartExamined": "SICK"} if number % 2 else {}
        held.receive(f"1.2.{number}", f"1.2.{number}.1", PatientID=f"P{number}", AccessionNumber=f"A{number}", **sick)
    held.receive("1.2.9", "1.2.9.1", Modality="XX", PatientID="P9")
    held.await_case(lambda _: [i.state for i in held.queries.worklist(20).items].count("reported") == 8
                    and any(i.state == "unsupported" for i in held.queries.worklist(20).items))
    by_patient = {item.patient_id: item.case_id for item in held.queries.worklist(20).items}
    held.rows.set_priority(by_patient["P5"], Priority.STAT)
    held.rows.mark_read(by_patient["P2"], held.queries.worklist(1).items[0].received_at)


def get(router: APIRouter, path: str) -> Any:
    async def asked() -> Any:
        app = FastAPI()
        app.include_router(router)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            return (await client.get(path)).json()

    return asyncio.run(asked())


def test_every_machine_gets_the_order_of_the_worklist(tmp_path: Path) -> None:
    with core(tmp_path) as held:
        fill(held)
        lines = held.queries.worklist(20).items
        assert len(lines) == 9
        workitems = Workitems(held.queries, DatabaseHoldings(held.database, "SITE", lambda _: {}))
        told = [Dataset.from_json(item) for item in get(workitems_router(workitems, anybody), "/dicom-web/workitems")]
        assert [case_of_workitem(item.SOPInstanceUID) for item in told] == [line.case_id for line in lines]
        ranks = [("HIGH", "MEDIUM", "LOW").index(item.ScheduledProcedureStepPriority) for item in told]
        assert ranks == sorted(ranks)
        assert told[0].PatientID == "P5"
        assert told[-1].ProcedureStepState == "COMPLETED"
        assert {i.ScheduledProcedureStepPriority for i in told if i.PatientID == "P9"} == {"MEDIUM"}

        desk = TaskDesk(held.queries, SITE)
        tasks = [e["resource"] for e in desk.search([("_sort", "-priority")], "http://x", lenient=False)["entry"]]
        assert [task["id"] for task in tasks] == [line.case_id for line in lines]
        ranks = [("stat", "asap", "urgent", "routine").index(task["priority"]) for task in tasks]
        assert ranks == sorted(ranks)
        paged, asked = [], [("_count", "2"), ("status", "ready")]
        while asked:
            page = desk.search(asked, "http://x", lenient=False)
            paged += [e["resource"]["id"] for e in page["entry"]]
            links = [link["url"] for link in page["link"] if link["relation"] == "next"]
            asked = list(httpx.URL(links[0]).params.multi_items()) if links else []
        assert paged == [t["id"] for t in tasks if t["status"] == "ready"]
        with pytest.raises(Unusable):
            desk.search([("_page", "forged")], "http://x", lenient=False)


def test_one_patient_and_one_order_are_found_among_many(tmp_path: Path) -> None:
    with core(tmp_path) as held:
        fill(held)
        desk = TaskDesk(held.queries, SITE)

        def found(*parameters: tuple[str, str]) -> list[str]:
            bundle = desk.search(parameters, "http://x", lenient=False)
            return [e["resource"]["for"]["identifier"]["value"] for e in bundle.get("entry", ())]

        assert found(("patient.identifier", "P3")) == ["P3"]
        assert found(("focus", "urn:dicom:uid|urn:oid:1.2.4")) == ["P4"]
        (case_id,) = [i.case_id for i in held.queries.worklist(20).items if i.patient_id == "P6"]
        assert found(("patient", f"Patient/{case_id}.0")) == ["P6"]
        assert found(("status", "completed")) == ["P2"]
        assert found(("business-status", CaseState.UNSUPPORTED.value)) == ["P9"]
        workitems = Workitems(held.queries, DatabaseHoldings(held.database, "SITE", lambda _: {}))
        wanted = parse_workitems([("ReferencedRequestSequence.AccessionNumber", "A7")]).query.matching
        (item,) = workitems.search(wanted, inputs=True)
        assert item["PatientID"] == "P7"
        assert item["InputInformationSequence"][0]["ReferencedSOPSequence"][0]["ReferencedSOPInstanceUID"] == "1.2.7.1"
