"""What lies behind a case, on a real database: its objects, why it was read again, the patient's other studies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.database.command_rows import CommandRows
from adapters.database.connection import migrate, open_database
from adapters.database.tables import cases, documents, instances, runs, studies
from adapters.database.viewing import CaseBackground
from gateway.history import Change

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
FOUND = {"code": "X", "display": "Finding X", "probability": 0.9, "threshold": 0.5, "present": True}


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    made = open_database(f"sqlite:///{tmp_path / 'gateway.sqlite'}")
    migrate(made)
    return made


def add_study(engine: sa.Engine, number: int, **columns: Any) -> int:
    """A study and its reported case `c<number>`, received `number` days ago."""
    at = NOW - timedelta(days=number)
    with engine.begin() as connection:
        study_id: int = connection.execute(sa.insert(studies).values(**{
            "facility": "SITE", "study_instance_uid": f"1.{number}", "first_received_at": at, "burst_started_at": at,
            "last_received_at": at, "receiving": False, "patient_id": "P1", "patient_issuer": "HOSP", "modality": "CT",
            "evidence": [], "missing": [], **columns}).returning(studies.c.id)).scalar_one()
        connection.execute(sa.insert(cases).values(
            case_id=f"c{number}", study_id=study_id, run_id=f"r{number}", state="reported", verdict="pathology",
            priority="routine", findings=[FOUND, {**FOUND, "present": False, "display": "Other"}], problems=[],
            received_at=at, lead=True, band=0, weight=0.0, due_at=at, read_at=NOW))
    return study_id


def add_run(engine: sa.Engine, run_id: str, number: int, **columns: Any) -> None:
    with engine.begin() as connection:
        connection.execute(sa.insert(runs).values(**{
            "run_id": run_id, "case_id": "c1", "number": number, "state": "reported", "created_at": NOW,
            "last_instance_id": 1, "destinations": [], **columns}))


def test_the_patients_other_studies_newest_first_and_nobody_elses(engine: sa.Engine) -> None:
    add_study(engine, 3)
    add_study(engine, 1)
    add_study(engine, 2)
    beside = add_study(engine, 4)
    with engine.begin() as connection:
        connection.execute(sa.delete(cases).where(cases.c.study_id == beside))
    for number, other in enumerate(({"patient_id": "P2"}, {"patient_issuer": ""}, {"facility": "OTHER"}), 10):
        add_study(engine, number, **other)
    background = CaseBackground(engine)
    earlier = background.earlier("c1")
    assert [case.case_id for case in earlier] == ["c2", "c3", ""]
    assert (earlier[0].found, earlier[0].verdict, earlier[0].modality) == (("Finding X",), "pathology", "CT")
    assert [case.case_id for case in background.earlier("c1", limit=1)] == ["c2"]
    assert background.earlier("nobody") == ()


def test_patients_without_an_id_have_no_history(engine: sa.Engine) -> None:
    add_study(engine, 1, patient_id="")
    add_study(engine, 2, patient_id="")
    assert CaseBackground(engine).earlier("c1") == ()


def test_each_reading_but_the_first_says_why(engine: sa.Engine) -> None:
    add_study(engine, 1)
    add_run(engine, "a", 1)
    add_run(engine, "b", 2, last_instance_id=4)
    add_run(engine, "r1", 3, last_instance_id=4)
    assert CaseBackground(engine).changes("c1") == {"b": (Change.OBJECTS,), "r1": (Change.SETTINGS,)}


def test_sources_are_what_is_on_disk_and_what_was_read(engine: sa.Engine) -> None:
    study_id = add_study(engine, 1)
    background = CaseBackground(engine)
    bare = background.sources("c1")
    assert bare is not None
    assert (bare.instances, bare.read, bare.evidence_path) == ((), (), "")
    result = {"evidence": ["1.2.3"], "findings": [{"label": "X"}], "provenance": {"pipeline": "p"}}
    add_run(engine, "r1", 1, result=result)
    with engine.begin() as connection:
        connection.execute(sa.insert(instances).values(
            study_id=study_id, sop_instance_uid="1.2.3", path="/here", digest="d", size=1, received_at=NOW,
            tags={"StudyInstanceUID": "1.1"}))
        for kind, path in (("sr", "/sr"), ("evidence", "/map")):
            connection.execute(sa.insert(documents).values(run_id="r1", case_id="c1", kind=kind, path=path,
                                                           created_at=NOW))
    found = background.sources("c1")
    assert found is not None
    assert [i.path for i in found.instances] == ["/here"]
    assert (found.run_id, found.read, found.evidence_path) == ("r1", ("1.2.3",), "/map")
    assert found.provenance == {"pipeline": "p"}
    assert set(found.kept) == {"sr", "evidence"}
    assert background.sources("nobody") is None


def test_the_map_goes_with_the_pictures_when_a_study_is_retired(engine: sa.Engine) -> None:
    study_id = add_study(engine, 1)
    add_run(engine, "r1", 1)
    with engine.begin() as connection:
        for kind in ("sr", "sc", "evidence"):
            connection.execute(sa.insert(documents).values(
                run_id="r1", case_id="c1", kind=kind, path=f"/{kind}", created_at=NOW - timedelta(days=1)))
    rows = CommandRows(engine, lambda path: b"")
    rows.retire(study_id, NOW)
    assert sorted(rows.pictures(study_id)) == ["/evidence", "/sc"]
    rows.forget(study_id)
    found = CaseBackground(engine).sources("c1")
    assert found is not None
    assert (found.evidence_path, set(found.kept), found.files_deleted_at) == ("", {"sr"}, NOW)


def test_read_by_mistake_can_be_taken_back(engine: sa.Engine) -> None:
    add_study(engine, 1)
    rows = CommandRows(engine, lambda path: b"")

    def case() -> Any:
        with engine.connect() as connection:
            return connection.execute(sa.select(cases).where(cases.c.case_id == "c1")).one()

    rows.mark_read("c1", NOW)
    read = case()
    rows.mark_unread("c1")
    assert (read.read_at, case().read_at) == (NOW, None)
    assert case().band < read.band
