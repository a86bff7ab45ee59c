"""What the operations page and saved views ask of a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.database.change import ChangeToken
from adapters.database.connection import migrate, open_database, writing
from adapters.database.operations import DatabaseOperations
from adapters.database.saved_views import DatabaseSavedViews
from adapters.database.tables import cases, deliveries, documents, runs, senders, studies
from gateway.errors import Unusable
from gateway.operations import received_lately
from gateway.views import MOST_VIEWS

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'gateway.sqlite'}")
    migrate(engine)
    yield engine
    engine.dispose()


def add_case(connection: sa.Connection, number: int, state: str, minutes: int) -> None:
    at = NOW - timedelta(minutes=minutes)
    connection.execute(studies.insert().values(
        id=number, study_instance_uid=f"1.{number}", first_received_at=at, burst_started_at=at, last_received_at=at,
        receiving=False))
    connection.execute(cases.insert().values(
        case_id=f"c{number}", study_id=number, state=state, findings=[], problems=[], received_at=at, lead=True, band=2,
        weight=0.0, due_at=at))


def add_delivery(connection: sa.Connection, destination: str, state: str, minutes: int, error: str = "") -> None:
    number = 1 + (connection.execute(sa.select(sa.func.max(deliveries.c.id))).scalar() or 0)
    at = NOW - timedelta(minutes=minutes)
    connection.execute(documents.insert().values(id=number, run_id="r", kind="sr", identity=str(number), created_at=at))
    connection.execute(deliveries.insert().values(
        id=number, document_id=number, run_id="r", destination=destination, state=state, last_error=error,
        created_at=at, retry_from=at, delivered_at=at if state == "delivered" else None, receipt={}))


def test_queues_and_destinations(database: sa.Engine) -> None:
    with writing(database) as connection:
        for number, (state, minutes) in enumerate([("waiting", 5), ("waiting", 9), ("receiving", 1), ("reported", 90),
                                                   ("failed", 99)], 1):
            add_case(connection, number, state, minutes)
        connection.execute(runs.insert().values(run_id="r", case_id="c1", number=1, created_at=NOW, last_instance_id=1,
                                                destinations=[]))
        for told in (("PACS", "delivered", 60), ("PACS", "delivered", 30), ("RIS", "pending", 50, "first"),
                     ("RIS", "pending", 20, "second"), ("RIS", "delivered", 70), ("EHR", "dead", 10, "0xA700"),
                     ("EHR", "unproven", 12), ("OLD", "dead", 3, "gone")):
            add_delivery(connection, *told)
    asked = DatabaseOperations(database, lambda: NOW)
    assert [(q.state, q.studies, q.oldest) for q in asked.queues()] == [
        ("receiving", 1, NOW - timedelta(minutes=1)), ("waiting", 2, NOW - timedelta(minutes=9)),
        ("analysing", 0, None)]
    loads = {load.name: load for load in asked.destinations(["PACS", "RIS", "EHR", "NEW"])}
    assert list(loads) == ["PACS", "RIS", "EHR", "NEW", "OLD"]
    assert (loads["PACS"].waiting, loads["PACS"].last_success, loads["PACS"].last_error) == (
        0, NOW - timedelta(minutes=30), "")
    assert (loads["RIS"].waiting, loads["RIS"].oldest, loads["RIS"].last_error) == (
        2, NOW - timedelta(minutes=50), "second")
    assert (loads["EHR"].dead, loads["EHR"].unproven, loads["EHR"].last_error) == (1, 1, "0xA700")
    assert loads["NEW"].last_success is None


def test_rates_are_of_the_last_hour(database: sa.Engine) -> None:
    clock = [NOW]
    asked = DatabaseOperations(database, lambda: clock[0])
    for minute in range(0, 181, 30):
        clock[0] = NOW + timedelta(minutes=minute)
        with writing(database) as connection:
            connection.execute(senders.delete())
            connection.execute(senders.insert().values(name="dicom:CT", last_heard_at=NOW, count=minute))
        asked.sample()
    assert received_lately(asked.earlier()) == ({"dicom:CT": 60}, timedelta(hours=1))


def test_every_commit_changes_the_token_and_reading_does_not(database: sa.Engine) -> None:
    token = ChangeToken(database)
    seen = token()
    with database.connect() as connection:
        connection.execute(sa.select(cases)).all()
    assert token() == seen
    for number in range(1, 4):
        with writing(database) as connection:
            add_case(connection, number, "waiting", 1)
        assert token() != seen
        seen = token()


def test_saved_views_belong_to_their_owner(database: sa.Engine) -> None:
    views = DatabaseSavedViews(database)
    views.save("10.0.0.1", "CT", {"modality": ["CT"]})
    views.save("10.0.0.1", "CT", {"modality": ["CT", "MR"]})
    views.save("10.0.0.1", "All", {})
    (first, second) = views.list("10.0.0.1")
    assert (first.name, second.name, second.query) == ("All", "CT", {"modality": ["CT", "MR"]})
    views.delete("10.0.0.2", second.view_id)
    assert len(views.list("10.0.0.1")) == 2
    views.delete("10.0.0.1", second.view_id)
    assert [view.name for view in views.list("10.0.0.1")] == ["All"]
    for number in range(MOST_VIEWS - 1):
        views.save("10.0.0.1", f"v{number}", {})
    with pytest.raises(Unusable, match="delete one"):
        views.save("10.0.0.1", "one more", {})
    views.save("10.0.0.1", "All", {"read": ["false"]})
