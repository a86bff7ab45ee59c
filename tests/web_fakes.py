"""Fakes of our own ports for the HTTP tests, with a worklist of every kind of row, and a real server to ask."""

from __future__ import annotations

import io
import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from adapters.files.conversion import Conversion
from adapters.web.app import build_app
from adapters.web.uploads import Door
from gateway.browsing import EVERYTHING, Facets, WorklistFilter
from gateway.delivery import DeliveryState, Kind
from gateway.errors import NotFound, NotReady, StorageFull, Transient, Unreadable, Unusable
from gateway.ports import CaseDetail, CaseView, DeliveryView, Outcome, Page, Reception, Stored, StoredDocument
from gateway.result import ModelRelease
from gateway.settings import Settings, TriageSettings
from gateway.study import Priority, Sender
from gateway.triage import budget
from tests.browsing import passes
from tests.case_fakes import FakeBackground, MemoryFeedback
from tests.web_console import FakeOperations, FakeViews, console

NOW = datetime.now(UTC).replace(microsecond=0)
LONG_NAME = "Константинопольская-Преображенская^Александра-Виктория^Святославовна"
SUMMARY = "Atrial fibrillation with a ventricular rate of 118 per minute."


def finding(label: str, display: str, probability: float, threshold: float = 0.5) -> dict[str, Any]:
    return {"code": label, "display": display, "probability": probability, "threshold": threshold,
            "present": probability >= threshold}


AFIB = finding("AFIB", "Atrial fibrillation", 0.97, 0.41)
STACH = finding("STACH", "Sinus tachycardia", 0.55, 0.5)
LBBB = finding("CLBBB", "Complete left bundle branch block", 0.08, 0.5)


def view(number: int, **changes: Any) -> CaseView:
    """A reported normal ECG, with whatever the test changes; case ids count from 1."""
    case_id = f"{number:020x}"
    form: dict[str, Any] = {
        "case_id": case_id, "run_id": f"{number:024x}", "study_instance_uid": f"2.25.{1000 + number}",
        "accession_number": f"A{number}", "patient_id": f"P{number:05d}", "patient_name": "Ivanova^Anna",
        "modality": "ECG", "pipeline": "ecg_12lead", "state": "reported", "completeness": "assumed", "read_at": None,
        "verdict": "normal", "risk": 0.04, "priority": Priority.ROUTINE, "received_at": NOW - timedelta(minutes=number),
        "reported_at": NOW - timedelta(minutes=number) + timedelta(seconds=9), "demonstration": False,
        "findings": (LBBB,), "cases": (case_id,), "patient_birth_date": "19590214", "patient_sex": "F",
        "study_description": "Resting ECG"} | changes
    form.setdefault("due_at", form["received_at"] + budget(form["priority"], TriageSettings()))
    made = CaseView(**form)
    return made if made.deliveries else replace(made, deliveries=_deliveries(made))


def _deliveries(case: CaseView, *states: DeliveryState) -> tuple[DeliveryView, ...]:
    if case.state != "reported":
        return ()
    chosen = states or (DeliveryState.DELIVERED,) * 4
    places = (("PACS", Kind.SR), ("PACS", Kind.SC), ("RIS", Kind.ORU), ("EHR", Kind.DIAGNOSTIC_REPORT))
    number = int(case.case_id, 16)
    return tuple(
        DeliveryView(number * 10 + place, case.case_id, name, kind, state, 1 if state is DeliveryState.DELIVERED else 4,
                     "" if state is DeliveryState.DELIVERED else "The receiver answered 0xA700: out of resources.",
                     NOW + timedelta(minutes=20) if state is DeliveryState.PENDING else None,
                     NOW if state is DeliveryState.DELIVERED else None,
                     {"status": "0x0000"} if state is DeliveryState.DELIVERED else {})
        for place, ((name, kind), state) in enumerate(zip(places, chosen, strict=True)))


def varied_rows() -> list[CaseView]:
    """One row of every kind that matters, in the order in which the gateway would give them."""
    opacity = (finding("opacity", "Opacity", 0.93), finding("effusion", "Pleural effusion", 0.71),
               finding("nodule", "Nodule", 0.66), finding("emphysema", "Emphysema", 0.61),
               finding("consolidation", "Consolidation of the right lower lobe", 0.58))
    ct = {"modality": "CT", "pipeline": "chest_ct", "demonstration": True, "study_description": "CT chest"}
    rows = [
        view(1, verdict="pathology", risk=0.91, findings=opacity, priority=Priority.STAT, patient_name=LONG_NAME, **ct),
        view(2, verdict="pathology", risk=0.87, findings=(AFIB, STACH, LBBB), summary=SUMMARY,
             patient_name="Петров^Пётр^Петрович", patient_sex="M", priority=Priority.URGENT),
        view(3, verdict="pathology", risk=0.44, findings=(STACH,), state="analysing"),
        view(4, state="failed", verdict=None, risk=None, findings=(), error="The model server did not answer 8 times.",
             reported_at=None, priority=Priority.STAT),
        view(5, verdict="undetermined", risk=0.12, findings=(LBBB,),
             problems=({"code": "flat-leads", "text": "Leads V2 and V3 are flat."},)),
        view(6, verdict="normal", completeness="partial", risk=0.05,
             problems=({"code": "gap", "text": "12 of 64 slices are missing."},), **ct),
        view(7, state="unsupported", verdict=None, risk=None, findings=(), modality="MR", pipeline="", reported_at=None,
             problems=({"code": "no-rule", "text": "No routing rule takes this study."},)),
        view(8, verdict="normal", conflict=True), view(9, state="receiving", verdict=None, risk=None, findings=(),
                                                       reported_at=None, patient_birth_date="20260105"),
        view(10, state="waiting", verdict="normal", reported_at=None),
        view(11, state="analysing", verdict=None, risk=None, findings=(), reported_at=None, priority=Priority.URGENT),
        view(12), view(13, patient_name="", patient_id="", patient_birth_date="", patient_sex=""), view(14, **ct),
        view(15, verdict="pathology", risk=0.7, findings=(AFIB,), read_at=NOW), view(16, read_at=NOW),
        view(17, state="cancelled", verdict=None, risk=None, findings=(), reported_at=None)]
    rows[1] = replace(rows[1], deliveries=_deliveries(rows[1], DeliveryState.DELIVERED, DeliveryState.PENDING,
                                                      DeliveryState.DEAD, DeliveryState.UNPROVEN))
    return rows


def full_result(case: CaseView) -> dict[str, Any] | None:
    """The JSON form of the result, as gateway.result_json writes it."""
    if case.verdict is None:
        return None
    rate = {"code": {"value": "8867-4", "scheme": "LN", "meaning": "Heart rate"}, "value": 118.0,
            "unit": {"value": "{H.B.}/min", "scheme": "UCUM", "meaning": "bpm"}}
    findings = [{"label": f["code"], "code": {"value": "1", "scheme": "99TRIAGE", "meaning": f["display"]},
                 "acuity": 0.9, "display": f["display"], "probability": f["probability"], "threshold": f["threshold"],
                 "measurements": [], "region": None, "present": f["present"]} for f in case.findings]
    model = {"name": case.pipeline, "version": "1", "sha256": "ab" * 32, "demonstration": case.demonstration,
             "status": "demonstration: trained on synthetic chests" if case.demonstration else "validated on PTB-XL",
             "parameters": {}}
    return {"verdict": case.verdict, "risk": case.risk, "findings": findings, "measurements": [rate],
            "problems": list(case.problems), "summary": case.summary, "evidence": ["2.25.1"],
            "demonstration": case.demonstration,
            "provenance": {"pipeline": case.pipeline, "pipeline_version": "1", "models": [model]}}


def picture() -> bytes:
    """A secondary capture: 400 rows, 640 columns, RGB."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "2.25.77"
    pixels = np.zeros((400, 640, 3), np.uint8)
    pixels[::8] = pixels[:, ::8] = (250, 214, 205)
    pixels[180:220] = (200, 30, 40)
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = 400, 640, 3, "RGB"
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PlanarConfiguration, data.PixelRepresentation = 0, 0
    data.PixelData = pixels.tobytes()
    return part10(data)


def part10(data: Dataset) -> bytes:
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def split(content: bytes) -> tuple[bytes, bytes]:
    """Header and data set of a fake object: everything after the mark is its data set."""
    if b"BROKEN" in content:
        raise Unreadable("The file meta cannot be read.")
    return content[:132], content[132:]


def fake_object(text: str) -> bytes:
    return bytes(128) + b"DICM" + text.encode()


@dataclass
class FakeQueries:
    rows: list[CaseView] = field(default_factory=varied_rows)
    order: dict[str, Any] | None = field(default_factory=lambda: {
        "accession_number": "A2", "clinical_question": "Palpitations since this morning; arrhythmia?",
        "requested_procedure_text": "12-lead ECG", "referring_physician": "Сидорова^Мария", "placed_at": "2026-01-05"})
    given_way: dict[str, str] = field(default_factory=dict)

    def worklist(self, limit: int, cursor: str | None = None, where: WorklistFilter = EVERYTHING) -> Page:
        if cursor is not None and not cursor.isdigit():
            raise Unusable("The cursor is not one of ours.", element="cursor")
        rows = [row for row in self.rows if passes(row, where)]
        start = int(cursor or 0)
        end = start + limit
        return Page(tuple(rows[start:end]), len(rows), str(end) if end < len(rows) else None)

    def facets(self, where: WorklistFilter = EVERYTHING) -> Facets:
        rows = [row for row in self.rows if passes(row, where)]
        values = {"modality": [r.modality for r in rows], "verdict": [r.verdict for r in rows if r.verdict],
                  "state": [r.state for r in rows], "priority": [r.priority.value for r in rows],
                  "finding": [f["code"] for r in rows for f in r.findings if f["present"]]}
        return {name: dict(Counter(found)) for name, found in values.items()}

    def case(self, case_id: str) -> CaseDetail | None:
        row = next((r for r in self.rows if r.case_id == case_id), None)
        if row is None:
            return None
        run = {"run_id": row.run_id, "number": 1, "created_at": row.received_at, "state": row.state,
               "verdict": row.verdict, "risk": row.risk, "current": True, "error": row.error}
        documents = tuple({"kind": d.kind.value, "identity": "2.25.1", "destination": ""} for d in row.deliveries)
        return CaseDetail(row, full_result(row), self.order, (run,), 1, documents)

    def successor(self, case_id: str) -> str:
        return self.given_way.get(case_id, "")

    def document(self, case_id: str, kind: Kind) -> StoredDocument | None:
        row = next((r for r in self.rows if r.case_id == case_id and r.state == "reported"), None)
        contents = {Kind.SC: picture(), Kind.ORU: b"MSH|^~\\&|", Kind.JSON: json.dumps({"a": 1}).encode()}
        if row is None or kind not in contents:
            return None
        return StoredDocument(case_id, row.run_id, kind, "2.25.1", "", contents[kind], NOW)

    def deliveries(self, state: DeliveryState | None = None, limit: int = 100, *, before_id: int | None = None,
                   destination: str = "", case_id: str = "") -> tuple[DeliveryView, ...]:
        every = [d for row in self.rows for d in row.deliveries
                 if state in {None, d.state} and destination in {"", d.destination} and case_id in {"", d.case_id}
                 and (before_id is None or d.delivery_id < before_id)]
        return tuple(sorted(every, key=lambda d: -d.delivery_id)[:limit])

    def reports(self, query: Any) -> tuple[tuple[StoredDocument, ...], int]:
        return (), 0

    def orders(self, order_id: str) -> Mapping[str, Any] | None:
        return None

    def senders(self) -> tuple[Mapping[str, Any], ...]:
        return ({"protocol": "dicom", "name": "CART", "last_heard": NOW, "count": 3},
                {"protocol": "hl7", "name": "RIS|H", "last_heard": None, "count": 0})

    def counts(self) -> Mapping[str, int]:
        told: dict[str, int] = {"instances": 1, "studies": len(self.rows)}
        for key in [f"cases.{r.state}" for r in self.rows] + [f"deliveries.{d.state}" for r in self.rows
                                                              for d in r.deliveries]:
            told[key] = told.get(key, 0) + 1
        return told


@dataclass
class FakeCommands:
    """Obeys on `queries.rows`; notes what was asked."""

    queries: FakeQueries
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def _change(self, case_id: str, **changes: Any) -> None:
        self.queries.rows = [replace(r, **changes) if r.case_id == case_id else r for r in self.queries.rows]

    def cancel(self, case_id: str) -> None:
        self.asked.append(("cancel", case_id))
        if self.queries.case(case_id).case.state == "reported":  # type: ignore[union-attr]
            raise Unusable("The case is reported already.")
        self._change(case_id, state="cancelled")

    def replay(self, case_id: str) -> str:
        self.asked.append(("replay", case_id))
        self._change(case_id, state="waiting")
        return "f" * 24

    def retry_delivery(self, delivery_id: int) -> None:
        self.asked.append(("retry", delivery_id))
        if delivery_id not in {d.delivery_id for d in self.queries.deliveries()}:
            raise NotFound("There is no such delivery.")

    def retry_dead(self, destination: str = "") -> int:
        self.asked.append(("retry_dead", destination))
        return len([d for d in self.queries.deliveries(DeliveryState.DEAD) if destination in {"", d.destination}])

    def set_priority(self, case_id: str, priority: Priority) -> None:
        self.asked.append(("priority", case_id, priority))
        self._change(case_id, priority=priority)

    def mark_read(self, case_id: str) -> None:
        self.asked.append(("read", case_id))
        self._change(case_id, read_at=NOW)

    def mark_unread(self, case_id: str) -> None:
        self.asked.append(("unread", case_id))
        self._change(case_id, read_at=None)

    def rerun(self, case_id: str) -> str:
        self.asked.append(("rerun", case_id))
        return "e" * 24

    def predict_study(self, objects: Iterable[tuple[bytes, Sequence[bytes]]], pipeline: str = "") -> Mapping[str, Any]:
        whole = [b"".join(dataset) for _, dataset in objects]
        if any(b"TRANSIENT" in dataset for dataset in whole):
            raise NotReady("The model ecg_12lead is not loaded.")
        if any(b"MR" in dataset for dataset in whole):
            raise Unusable("No pipeline takes this object.")
        if len(whole) > 1:
            raise Unusable("The upload holds objects of more than one study; one study is read at a time.")
        return {"pipeline": pipeline or "ecg_12lead", "verdict": "normal", "risk": 0.1, "findings": []}


@dataclass
class FakeHealth:
    parts: dict[str, str] = field(default_factory=lambda: {"database": "ok", "inference": "ok"})

    def ready(self) -> tuple[bool, Mapping[str, str]]:
        return all(v == "ok" for v in self.parts.values()), self.parts


class FakeInference:
    def models(self) -> tuple[str, ...]:
        return ("ecg_12lead", "chest_ct", "broken")

    def release(self, model: str) -> ModelRelease:
        if model == "broken":
            raise NotReady("The file's hash is not the one in config.pbtxt.")
        return ModelRelease(model, "1", "ab" * 32, model == "chest_ct", "status of " + model)

    def infer(self, model: str, inputs: Mapping[str, Any], outputs: tuple[str, ...]) -> dict[str, Any]:
        raise Transient("not in this test")


@dataclass
class FakeIntake:
    full: bool = False
    taken: list[tuple[Sender, bytes, bytes]] = field(default_factory=list)

    def check(self) -> None:
        if self.full:
            raise StorageFull("Less than the floor of free space is left.")

    def receive(self, sender: Sender, header: bytes) -> Reception:
        raise NotImplementedError("what is tested here brings whole objects")

    def take(self, sender: Sender, header: bytes, dataset: Sequence[bytes]) -> Stored:
        content = b"".join(dataset)
        if b"NOUID" in content:
            raise Unusable("StudyInstanceUID is missing.", element="StudyInstanceUID")
        seen = any(content == earlier for _, _, earlier in self.taken)
        self.taken.append((sender, header, content))
        return Stored("", "", len(content), Outcome.DUPLICATE if seen else Outcome.STORED)


CARD = "# Model\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<script>alert(1)</script> [x](javascript:alert(1)) ![i](http://e.org/i)"


@dataclass
class World:
    """A gateway of fakes behind the real application."""

    settings: Settings = field(default_factory=Settings)
    queries: FakeQueries = field(default_factory=FakeQueries)
    health: FakeHealth = field(default_factory=FakeHealth)
    intake: FakeIntake = field(default_factory=FakeIntake)
    views: FakeViews = field(default_factory=FakeViews)
    background: FakeBackground = field(default_factory=FakeBackground)
    feedback: MemoryFeedback = field(default_factory=MemoryFeedback)
    operations: FakeOperations = field(default_factory=FakeOperations)
    commands: FakeCommands = field(init=False)

    def __post_init__(self) -> None:
        self.commands = FakeCommands(self.queries)

    def app(self, **changes: Any) -> FastAPI:
        parts: dict[str, Any] = {
            "queries": self.queries, "commands": self.commands, "health": self.health, "inference": FakeInference(),
            "door": Door(self.intake, split, Conversion(), self.settings.http.maximum_upload_bytes),
            "settings": self.settings, "routers": (), "console": console(self.queries, self.views, self.operations),
            "case_parts": self.background.parts(self.feedback),
            "model_cards": lambda name: CARD if name != "broken" else None,
            "explain": lambda objects: {"rule": "ecg", "objects": len(list(objects))}}
        return build_app(**parts | changes)


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The application on a free port of loopback; its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False))
    started = threading.Event()
    startup = server.startup

    async def noted(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = noted
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(30)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        app.state.changes.close()
        server.should_exit = True
        thread.join(10)
