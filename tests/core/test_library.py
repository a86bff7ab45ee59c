"""Patients, studies, audit and deletion on a real database and engine."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.database.library import open_library
from adapters.database.tables import audit, cases, deliveries, documents, instances, orders, patients, runs, studies
from adapters.files.store import FileObjectStore
from gateway.browsing import EVERYTHING, WorklistFilter
from gateway.commands import GatewayCommands
from gateway.delivery import DeliveryState
from gateway.errors import Conflict, NotFound, Stale, Unusable
from gateway.library import Demographics, Library
from gateway.orders import InboundMessage, PlaceOrder, UpdatePatient
from gateway.result import Verdict
from gateway.study import Instance, Order, Patient, Sender
from tests.core.support import Core, MemoryDestination, core, instance

pytestmark = pytest.mark.slow


def library_of(c: Core, tmp: Path) -> Library:
    return open_library(c.database, "SITE", c.work.plan, FileObjectStore(tmp / "instances", 0), c.documents,
                        c.engine)


def store(c: Core, tmp: Path, study: str, sop: str, **tags: object) -> Path:
    """An object on disk and in the index."""
    put = FileObjectStore(tmp / "instances", 0).put(study, sop, bytes(128) + b"DICM", [b"x" * 100])
    told = instance(study, sop, **tags)
    c.index.add(Instance(told.sop_instance_uid, told.sop_class_uid, study, told.series_instance_uid,
                         told.transfer_syntax_uid, put.path, put.size, put.digest, told.tags, told.received_at,
                         told.sender), conflict=False)
    return Path(put.path)


def reported(c: Core, count: int = 1) -> None:
    def all_over() -> bool:
        items = c.queries.worklist(100).items
        return len(items) == count and all(i.state == "reported" for i in items)

    c.await_case(lambda _item: all_over())


def counted(c: Core, *tables: sa.Table) -> list[int]:
    with c.database.connect() as connection:
        return [connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in tables]


def test_whoever_has_a_study_or_a_message_is_a_patient(tmp_path: Path) -> None:
    with core(tmp_path) as c:
        library = library_of(c, tmp_path)
        store(c, tmp_path, "1.2.1", "1.2.1.1", PatientName="Иванова^Анна", PatientSex="F")
        store(c, tmp_path, "1.2.2", "1.2.2.1", PatientID="P2", IssuerOfPatientID="H")
        store(c, tmp_path, "1.2.3", "1.2.3.1", PatientID="")
        reported(c, 3)
        sender = Sender("hl7", "RIS|H")
        c.messages.record([InboundMessage(sender, "1", c.work._clock(), b"", b"", (
            UpdatePatient("SITE", Patient("P1", name="Иванова^Анна^Петровна")), UpdatePatient("SITE", Patient("P9"))))])
        c.await_case(lambda _item: counted(c, patients) == [3])
        found, following = library.patients.page(2)
        rest, end = library.patients.page(2, following)
        assert [(r.patient.patient_id, r.studies) for r in (*found, *rest)] == [("P1", 1), ("P2", 1), ("P9", 0)]
        assert end is None
        assert [r.patient.name for r in library.patients.page(9, text="ПЕТРОВНА анна p1")[0]] == [
            "Иванова^Анна^Петровна"]
        assert library.patients.page(9, text="%")[0] == ()
        studies_of_one, _ = library.studies.page(EVERYTHING, 9, patient_key=found[1].patient_key)
        assert [s.study_instance_uid for s in studies_of_one] == ["1.2.2"]
        assert library.studies.page(EVERYTHING, 9, patient_key="0123")[0] == ()
        for cursor in ("x", "-1", "9" * 30):
            with pytest.raises(Unusable):
                library.patients.page(2, cursor)


def test_a_patient_is_changed_by_who_has_seen_the_last_version(tmp_path: Path) -> None:
    with core(tmp_path, start=False) as c:
        library = library_of(c, tmp_path)
        made = library.patients.create(Patient("P1", "H", "Doe^Jane"), "tester")
        with pytest.raises(Conflict):
            library.patients.create(Patient("P1", "H"), "tester")
        changed = library.patients.change(made.patient_key, Demographics(sex="F"), made.version, "tester")
        assert (changed.patient.name, changed.patient.sex) == ("Doe^Jane", "F")
        with pytest.raises(Stale):
            library.patients.change(made.patient_key, Demographics(name="X"), made.version, "tester")
        assert library.patients.change(made.patient_key, Demographics(name=""), None, "tester").patient.name == ""
        right = made.patient_key
        for key in ("", "0", "zz", right[:-1] + "g", "1" + right, "9" * 64, right + "0"):
            assert library.patients.get(key) is None
            with pytest.raises(NotFound):
                library.patients.change(key, Demographics(sex="M"), None, "tester")
        lines, _ = library.audit.page(10)
        assert [line.action for line in lines] == ["patient_changed", "patient_changed", "patient_created"]
        assert "Doe" not in str(lines)
        assert "P1" not in str(lines)


def test_a_study_goes_with_all_that_was_made_of_it_and_leaves_a_line(tmp_path: Path) -> None:
    with core(tmp_path, destinations=[MemoryDestination("pacs")]) as c:
        library = library_of(c, tmp_path)
        path = store(c, tmp_path, "1.2.1", "1.2.1.1", BodyPartExamined="SICK")
        kept = store(c, tmp_path, "1.2.2", "1.2.2.1")
        reported(c, 2)
        c.await_case(lambda _i: all(d.state is DeliveryState.DELIVERED for d in c.queries.deliveries()))
        (sick,), _ = library.studies.page(WorklistFilter(verdict=frozenset({Verdict.PATHOLOGY})), 9)
        assert (sick.verdict, sick.files, library.studies.ids_of(["1.2.1", "9.9"])) == (
            "pathology", 1, (sick.study_id,))
        (result,) = library.studies.results(sick.study_id)
        assert {document["kind"] for document in result.documents} == {"sr", "sc", "diagnostic_report"}
        made = list((tmp_path / "documents").rglob(f"{result.run_id}/*"))
        assert len(made) == 3
        library.eraser.study(sick.study_id, "tester", force=False)
        assert not path.exists()
        assert kept.exists()
        assert not any(one.exists() for one in made)
        assert not list((tmp_path / "documents").rglob(result.run_id))
        assert counted(c, studies, instances, cases, runs, audit) == [1, 1, 1, 1, 1]
        assert counted(c, documents, deliveries) == [3, 2]
        (line,), _ = library.audit.page(9)
        assert (line.who, line.action, line.subject) == ("tester", "study_deleted", sick.study_id)
        assert (line.detail["objects"], line.detail["forced"]) == (1, False)
        assert "1.2.1" not in str(line)
        for gone in (library.studies.get, library.studies.files, library.studies.results, library.studies.analyse):
            with pytest.raises(NotFound):
                gone(sick.study_id)
        store(c, tmp_path, "1.2.1", "1.2.1.1", BodyPartExamined="SICK")
        reported(c, 2)
        c.await_case(lambda _i: all(d.state is DeliveryState.DELIVERED for d in c.queries.deliveries()))
        assert counted(c, deliveries) == [4]


def test_what_is_under_delivery_is_deleted_only_by_force(tmp_path: Path) -> None:
    pacs = MemoryDestination("pacs", down=True)
    with core(tmp_path, destinations=[pacs], delivery={"first_retry_seconds": 600}) as c:
        library = library_of(c, tmp_path)
        path = store(c, tmp_path, "1.2.1", "1.2.1.1")
        c.await_case(lambda i: len(i.deliveries) == 2 and all(d.attempts for d in i.deliveries))
        (study,), _ = library.studies.page(EVERYTHING, 9)
        with pytest.raises(Conflict, match="under delivery"):
            library.eraser.study(study.study_id, "tester", force=False)
        with pytest.raises(Conflict, match="under delivery"):
            library.eraser.patient(study.patient_key, "tester", force=False)
        assert path.exists()
        library.eraser.study(study.study_id, "tester", force=True)
        assert not path.exists()
        (line,), _ = library.audit.page(9)
        assert (line.detail["forced"], line.detail["deliveries_abandoned"]) == (True, 2)
        pacs.down = False
        store(c, tmp_path, "1.2.9", "1.2.9.1")
        c.await_case(lambda _i: len(pacs.received) == 2)
        assert {document.content.split(b"|")[1] for document in pacs.received} == {b"1.2.9"}


def test_a_patient_goes_with_studies_and_orders(tmp_path: Path) -> None:
    with core(tmp_path) as c:
        library = library_of(c, tmp_path)
        paths = [store(c, tmp_path, f"1.2.{n}", f"1.2.{n}.1") for n in (1, 2)]
        other = store(c, tmp_path, "1.2.3", "1.2.3.1", PatientID="P2")
        order = Order("o1", "SITE", Patient("P1"), accession_number="A1")
        sender = Sender("hl7", "RIS|H")
        c.messages.record([InboundMessage(sender, "1", c.work._clock(), b"", b"", (PlaceOrder(order),))])
        reported(c, 3)
        c.await_case(lambda _i: counted(c, orders) == [1])
        key = next(r.patient_key for r in library.patients.page(9)[0] if r.patient.patient_id == "P1")
        library.eraser.patient(key, "tester", force=False)
        assert [path.exists() for path in (*paths, other)] == [False, False, True]
        assert counted(c, studies, orders, patients) == [1, 0, 1]
        assert library.patients.get(key) is None
        lines, _ = library.audit.page(9)
        assert [line.action for line in lines] == ["patient_deleted", "study_deleted", "study_deleted"]
        with pytest.raises(NotFound):
            library.eraser.patient(key, "tester", force=False)


def test_objects_that_come_while_a_study_is_deleted_are_kept(tmp_path: Path) -> None:
    with core(tmp_path) as c:
        library = library_of(c, tmp_path)
        store(c, tmp_path, "1.2.1", "1.2.1.1")
        reported(c)
        (study,), _ = library.studies.page(EVERYTHING, 9)
        rows = library.eraser._rows
        rows.doom(study.study_id, c.work._clock(), force=False)
        doomed = rows.doomed(study.study_id)
        late = store(c, tmp_path, "1.2.1", "1.2.1.2")
        assert c.index.flush()
        with pytest.raises(Conflict, match="came in"):
            rows.erase(doomed, "tester", c.work._clock(), force=False)
        reported(c)
        assert late.exists()
        assert library.studies.get(study.study_id).files == 1


def test_descriptions_change_by_version_and_analysis_starts_at_once(tmp_path: Path) -> None:
    with core(tmp_path, assembly={"quiet_seconds": 600, "max_wait_seconds": 900}) as c:
        library = library_of(c, tmp_path)
        store(c, tmp_path, "1.2.1", "1.2.1.1", StudyDescription="Resting")
        assert c.index.flush()
        (study,), _ = library.studies.page(EVERYTHING, 9)
        assert (study.description, study.receiving, study.state) == ("Resting", True, "receiving")
        with pytest.raises(Stale):
            library.studies.describe(study.study_id, "x", "other", "tester")
        library.studies.describe(study.study_id, "Стресс", "Resting", "tester")
        with pytest.raises(Conflict, match="received"):
            library.eraser.study(study.study_id, "tester", force=False)
        library.studies.analyse(study.study_id)
        reported(c)
        assert library.studies.get(study.study_id).description == "Стресс"


def test_a_case_is_replayed_with_its_version_and_read_anew_with_a_newer_one(tmp_path: Path) -> None:
    pacs = MemoryDestination("pacs")
    with core(tmp_path, destinations=[pacs]) as c:
        commands = GatewayCommands(c.rows, c.work, c.engine, None)  # type: ignore[arg-type]
        store(c, tmp_path, "1.2.1", "1.2.1.1")
        first = c.await_case(lambda i: i.state == "reported" and all(
            d.state is DeliveryState.DELIVERED for d in i.deliveries))
        assert len(pacs.received) == 2
        assert commands.replay(first.case_id) == first.run_id  # type: ignore[attr-defined]
        c.await_case(lambda _i: len(pacs.received) == 4)
        assert pacs.received[0].content == pacs.received[2].content
        with pytest.raises(Unusable, match="nothing newer"):
            commands.rerun(first.case_id)  # type: ignore[attr-defined]
        c.pipeline.version = "2"
        newer = commands.rerun(first.case_id)  # type: ignore[attr-defined]
        assert newer != first.run_id  # type: ignore[attr-defined]
        c.await_case(lambda i: i.run_id == newer and i.state == "reported")
        with pytest.raises(Unusable, match="no such case"):
            commands.rerun("0" * 20)
