"""Feedback on a real database: kept from everybody, about the version that was looked at, exported in order."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.database.connection import migrate, open_database
from adapters.database.feedback import FeedbackRows
from adapters.database.tables import cases, runs, studies
from gateway.errors import Unusable
from gateway.feedback import Feedback, Opinion
from gateway.result import Verdict

NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
RESULT = {"verdict": "pathology", "risk": 0.5, "findings": [{"label": "AFIB"}, {"label": "PVC"}]}


@pytest.fixture
def store(tmp_path: Path) -> FeedbackRows:
    """One case of two runs, `old` and `new`, on an empty database."""
    engine = open_database(f"sqlite:///{tmp_path / 'gateway.sqlite'}")
    migrate(engine)
    with engine.begin() as connection:
        study_id = connection.execute(sa.insert(studies).values(
            facility="SITE", study_instance_uid="1.2", first_received_at=NOW, burst_started_at=NOW,
            last_received_at=NOW, receiving=False, evidence=[], missing=[]).returning(studies.c.id)).scalar_one()
        connection.execute(sa.insert(cases).values(
            case_id="c1", study_id=study_id, run_id="new", state="reported", findings=[], problems=[], received_at=NOW,
            lead=True, band=0, weight=0.0, due_at=NOW))
        for number, run_id in enumerate(("old", "new"), 1):
            connection.execute(sa.insert(runs).values(
                run_id=run_id, case_id="c1", number=number, state="reported", created_at=NOW, last_instance_id=1,
                destinations=[], result=RESULT))
    return FeedbackRows(engine)


def test_what_two_people_say_of_one_case_is_kept_from_both(store: FeedbackRows) -> None:
    first = store.add(Feedback("c1", "Dr. A", findings={"AFIB": Opinion.AGREE, "PVC": Opinion.DISAGREE}), NOW)
    second = store.add(Feedback("c1", " Dr. B ", "old", verdict=Verdict.NORMAL, comment=" artefact "), NOW)
    assert store.of_case("c1") == (second, first)
    assert (first.said.run_id, second.said.run_id) == ("new", "old")
    assert first.said.findings == {"AFIB": Opinion.AGREE, "PVC": Opinion.DISAGREE}
    assert (second.said.given_by, second.said.comment, second.said.verdict) == ("Dr. B", "artefact", Verdict.NORMAL)
    assert second.given_at == NOW


def test_an_export_goes_on_where_the_last_page_ended(store: FeedbackRows) -> None:
    given = [store.add(Feedback("c1", "Dr. A", comment=str(n)), NOW) for n in range(5)]
    assert store.all(limit=2) == tuple(given[:2])
    assert store.all(after_id=given[1].feedback_id) == tuple(given[2:])


@pytest.mark.parametrize(("said", "element"), [
    (Feedback("c2", "Dr. A", comment="x"), "case_id"),
    (Feedback("c1", "Dr. A", "other", comment="x"), "run_id"),
    (Feedback("c1", "Dr. A", findings={"MI": Opinion.AGREE}), "findings"),
])
def test_feedback_on_what_is_not_there_is_refused(store: FeedbackRows, said: Feedback, element: str) -> None:
    with pytest.raises(Unusable) as refused:
        store.add(said, NOW)
    assert refused.value.element == element
    assert store.all() == ()


@pytest.mark.parametrize("fields", [
    {"given_by": "Dr. A"}, {"given_by": "Dr. A", "comment": "  "}, {"given_by": " ", "comment": "x"},
    {"given_by": "Dr. A", "comment": "x" * 4001}, {"given_by": "x" * 101, "comment": "x"}])
def test_nothing_said_and_too_much_said_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Unusable):
        Feedback("c1", **fields)
