"""A final report of the RIS marks the study's cases as read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.orders import FinalReport, InboundMessage, MergePatients
from gateway.study import Patient, Sender
from tests.core.support import core

pytestmark = pytest.mark.slow


def message(control_id: str, *events: FinalReport | MergePatients) -> InboundMessage:
    return InboundMessage(Sender("hl7", "RIS|H"), control_id, datetime.now(UTC), b"raw", b"AA", events)


@pytest.mark.parametrize(("told", "read"), [
    (FinalReport("SITE", Patient("P1"), "A1"), True),
    (FinalReport("SITE", Patient("P1", "HOSP"), study_instance_uid="1.2.3"), True),
    (FinalReport("SITE", Patient("P2"), "A1"), False),
    (FinalReport("SITE", Patient("P1"), "A2", study_instance_uid="1.2.4"), False),
    (FinalReport("SITE", Patient("P1")), False)])
def test_by_accession_number_or_study_and_patient(tmp_path: Path, told: FinalReport, read: bool) -> None:
    with core(tmp_path) as c:
        c.receive("1.2.3", "1.2.3.1.1", BodyPartExamined="SICK", AccessionNumber="A1")
        before = c.await_case(lambda item: item.state == "reported")
        c.messages.record([message("C1", told)])
        assert c.messages.settle()
        (after,) = c.queries.worklist(10).items
        assert before.read_at is None
        assert (after.read_at is not None) is read


def test_of_a_merged_patient(tmp_path: Path) -> None:
    with core(tmp_path) as c:
        c.receive("1.2.3", "1.2.3.1.1", AccessionNumber="A1")
        c.await_case(lambda item: item.state == "reported")
        c.messages.record([message("C1", MergePatients("SITE", Patient("P9"), Patient("P1")))])
        c.messages.record([message("C2", FinalReport("SITE", Patient("P9"), "A1"))])
        assert c.messages.settle()
        (after,) = c.queries.worklist(10).items
        assert after.read_at is not None
