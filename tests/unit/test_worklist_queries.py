"""The filtered worklist in SQL against the plain meaning of the filter, and cases that rise by waiting alone."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.database.cases import raise_waiting
from adapters.database.connection import migrate, open_database, writing
from adapters.database.filtering import Remembered, listed
from adapters.database.opaque import open_addresses
from adapters.database.patients import DatabasePatients
from adapters.database.queries import DatabaseQueries
from adapters.database.tables import cases
from gateway.browsing import EVERYTHING, WorklistFilter
from gateway.case import CaseState
from gateway.errors import Unusable
from gateway.ports import CaseView
from gateway.result import Verdict
from gateway.study import Priority
from gateway.triage import Band
from tests.browsing import passes
from tests.many_cases import seed

NOW = datetime.now(UTC)
COUNT = 400
FILTERS = [
    EVERYTHING, WorklistFilter(modality=frozenset({"CT", "MR"})),
    WorklistFilter(verdict=frozenset({Verdict.PATHOLOGY})), WorklistFilter(finding=frozenset({"AFIB"})),
    WorklistFilter(state=frozenset({CaseState.FAILED, CaseState.CANCELLED})),
    WorklistFilter(finding=frozenset({"AFIB", "PVC"}), modality=frozenset({"ECG"})), WorklistFilter(read=False),
    WorklistFilter(priority=frozenset({Priority.STAT}), read=True), WorklistFilter(text="OKAFOR"),
    WorklistFilter(text="иванов acc0000"), WorklistFilter(text="100%"), WorklistFilter(text="_"),
    WorklistFilter(received_from=NOW - timedelta(days=30), received_to=NOW - timedelta(days=10)),
    WorklistFilter(patient=("HOSP", "P000007")), WorklistFilter(study_instance_uid="1.2.826.0.1.3680043.9.1.17"),
    WorklistFilter(pipeline=frozenset({"chest_ct"}))]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    folder: Path = tmp_path_factory.mktemp("worklist")
    engine = open_database(f"sqlite:///{folder / 'gateway.sqlite'}")
    migrate(engine)
    seed(engine, COUNT, now=NOW)
    yield engine
    engine.dispose()


def walk(queries: DatabaseQueries, where: WorklistFilter) -> list[CaseView]:
    """Every page of the list."""
    found: list[CaseView] = []
    cursor = None
    while True:
        page = queries.worklist(37, cursor, where)
        found += page.items
        if (cursor := page.next) is None:
            assert page.total == len(found)
            return found


@pytest.mark.parametrize("few", [0, 10_000])
@pytest.mark.parametrize("number", range(len(FILTERS)))
def test_a_filter_in_sql_means_what_it_says(database: sa.Engine, number: int, few: int,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of finding a page: walking along the list, and looking up before."""
    monkeypatch.setattr("adapters.database.filtering._FEW", few)
    queries = DatabaseQueries(database, lambda _: b"")
    everything = walk(queries, EVERYTHING)
    assert len(everything) == COUNT
    told = [case.case_id for case in walk(queries, FILTERS[number])]
    assert told == [case.case_id for case in everything if passes(case, FILTERS[number])]


@pytest.mark.parametrize(("where", "index"), [
    (EVERYTHING, "worklist"), (WorklistFilter(verdict=frozenset({Verdict.NORMAL})), "by_verdict"),
    (WorklistFilter(state=frozenset({CaseState.CANCELLED})), "by_state"), (WorklistFilter(read=True), "read"),
    (WorklistFilter(priority=frozenset({Priority.ROUTINE})), "by_priority"),
    (WorklistFilter(modality=frozenset({"ECG"})), "by_modality"),
    (WorklistFilter(modality=frozenset({"CT"}), verdict=frozenset({Verdict.NORMAL})), "by_modality_verdict")])
def test_a_page_is_the_beginning_of_an_index(database: sa.Engine, where: WorklistFilter, index: str) -> None:
    """Nothing is sorted, and what is sicker than all that is listed is not walked past."""
    order = (cases.c.band, cases.c.weight, cases.c.due_at, cases.c.case_id)
    query = listed(sa.select(cases.c.summary), where).order_by(*order).limit(100)
    asked = query.compile(database, compile_kwargs={"literal_binds": True})
    with database.connect() as connection:
        plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}")]
    assert len(plan) == 1
    assert f"ix_cases_{index} " in plan[0]


@pytest.mark.parametrize("where", [EVERYTHING, FILTERS[1], FILTERS[5], FILTERS[8]])
def test_facets_count_what_each_choice_would_find(database: sa.Engine, where: WorklistFilter) -> None:
    queries = DatabaseQueries(database, lambda _: b"")
    facets = queries.facets(where)
    everything = walk(queries, EVERYTHING)
    rest = [case for case in everything if passes(case, replace(where, modality=frozenset()))]
    assert facets["modality"] == Counter(case.modality for case in rest)
    rest = [case for case in everything if passes(case, replace(where, finding=frozenset()))]
    assert facets["finding"] == Counter(f["code"] for case in rest for f in case.findings if f["present"])


@pytest.mark.parametrize("key", [
    "x", 7, [], [0, 0, 0, 0], [0, 0.5, "2026-01-01T00:00:00", "a"], [0, 0.5, "0001-01-01T00:00:00+14:00", "a"],
    [10**30, 0.5, "2026-01-01T00:00:00+00:00", "a"], [0, 1e300, "2026-01-01T00:00:00+00:00", "a"],
    [0, float("inf"), "2026-01-01T00:00:00+00:00", "a"], [0, 0.5, "2026-01-01T00:00:00+00:00", "\ud800"],
    [0, 0.5, "2026-01-01T00:00:00+00:00", "\0"], [0, 0.5, "2026-01-01T00:00:00+00:00", 7],
    [True, 0.5, "2026-01-01T00:00:00+00:00", "a"]], ids=repr)
def test_a_cursor_that_this_list_did_not_give_is_refused(database: sa.Engine, key: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(key).encode()).decode()
    for hostile in (cursor, cursor[:-3], "ы", "[" * 5000, "AAAA"):
        with pytest.raises(Unusable, match="cursor"):
            DatabaseQueries(database, lambda _: b"").worklist(10, hostile)


def test_waiting_alone_raises_a_case(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'gateway.sqlite'}")
    migrate(engine)
    long_ago = NOW - timedelta(days=200)
    seed(engine, 50, now=long_ago)
    with writing(engine) as connection:
        before = dict(connection.execute(sa.select(cases.c.case_id, cases.c.band)).tuples().all())
        while raise_waiting(connection, NOW, 7):
            pass
        after = dict(connection.execute(sa.select(cases.c.case_id, cases.c.band)).tuples().all())
        left = connection.execute(sa.select(sa.func.count()).where(cases.c.rises_at <= NOW)).scalar_one()
    assert left == 0
    assert all(after[case] <= before[case] for case in before)
    assert Band.NEEDS_A_PERSON not in after.values(), "everything that needs a person is long overdue"


def test_counting_is_done_again_when_it_was_quick_and_remembered_when_it_was_slow() -> None:
    now = [0.0]
    counted = []

    def count(seconds: float) -> int:
        now[0] += seconds
        counted.append(seconds)
        return len(counted)

    remembered = Remembered(lambda: now[0])
    assert [remembered.get("quick", lambda: count(0.001)) for _ in range(2)] == [1, 2]
    assert [remembered.get("slow", lambda: count(0.1)) for _ in range(2)] == [3, 3]
    now[0] += 9.9
    assert remembered.get("slow", lambda: count(0.1)) == 3
    now[0] += 0.2
    assert remembered.get("slow", lambda: count(0.1)) == 4


def test_a_longer_page_of_patients_takes_no_more_statements(database: sa.Engine) -> None:
    patients = DatabasePatients(database, "SITE", open_addresses(database))
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    sa.event.listen(database, "before_cursor_execute", note)
    try:
        patients.page(3)
        short = len(asked)
        patients.page(90)
    finally:
        sa.event.remove(database, "before_cursor_execute", note)
    assert len(asked) == 2 * short
    told = patients.page(3)[0]
    assert [(p.patient.patient_id, p.studies) for p in told] == [("P000000", 1), ("P000001", 2), ("P000002", 2)]
    assert patients.get(told[1].patient_key) == told[1]
