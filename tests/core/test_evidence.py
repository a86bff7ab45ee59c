"""Evidence on real rows: heard in any order, kept over restarts, and what it does to the hand-over of studies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.database.evidence import DatabaseEvidence
from adapters.database.tables import evidence as evidence_rows
from adapters.database.tables import runs
from gateway.completion import Evidence, EvidenceKind, Lack, State
from gateway.departures import Departures, statements
from gateway.errors import Transient, Unusable
from gateway.intake import SenderLeft
from gateway.study import Sender
from tests.core.support import Core, core
from tests.core.test_faults import Pile

pytestmark = pytest.mark.slow
MPPS, IAN, COMMITMENT = EvidenceKind.MPPS, EvidenceKind.IAN, EvidenceKind.COMMITMENT
STUDY = "1.2.3"


@dataclass
class Bench:
    """`now`: the clock of the work, which the test moves."""

    c: Core
    evidence: DatabaseEvidence
    pile: Pile
    now: datetime
    pokes: list[object]

    def receive(self, *sops: str, study: str = STUDY) -> None:
        for sop in sops:
            self.c.receive(study, f"{study}.1.{sop}")
        assert self.c.index.flush()

    def handed_over(self, after: float = 0) -> bool:
        """Whether something is handed over that many seconds from now, and is read then."""
        before = len(self.pile.tickets)
        self.now = datetime.now(UTC) + timedelta(seconds=after)
        self.c.work.assemble_due()
        queued = self.pile.tickets[before:]
        for ticket in queued:
            self.c.work.perform(ticket.run_id, ticket.attempt)
        return bool(queued)

    def line(self, study: str = STUDY) -> object:
        return next(i for i in self.c.queries.worklist(100).items if i.study_instance_uid == study)

    def detail(self, study: str = STUDY) -> object:
        return self.c.queries.case(self.line(study).case_id)


@contextmanager
def bench(tmp: Path, **assembly: object) -> Iterator[Bench]:
    policy = {"quiet_seconds": 60, "settle_seconds": 2, "max_wait_seconds": 900, **assembly}
    with core(tmp, start=False, assembly=policy) as c:
        pokes: list[object] = []
        b = Bench(c, DatabaseEvidence(c.database, "SITE", lambda: pokes.append(1)), Pile(), datetime.now(UTC), pokes)
        c.work.use(b.pile)
        c.work._clock = lambda: b.now
        c.work._indexed = c.index.flush
        c.index.start()
        try:
            yield b
        finally:
            c.index.stop()


def said(kind: EvidenceKind, *sops: str, study: str = STUDY, identity: str = "9.1", state: State = State.ENDED,
         **more: object) -> Evidence:
    listed = {f"{study}.1": frozenset(f"{study}.1.{sop}" for sop in sops)} if sops else {}
    return Evidence(kind, study, identity, "CT1", datetime.now(UTC), state, listed, **more)


def test_a_step_before_during_and_after_the_objects(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        assert b.evidence.create([said(MPPS, state=State.OPEN)])
        assert not b.evidence.create([said(MPPS, state=State.OPEN)])
        b.receive("1")
        assert not b.handed_over(500)
        assert b.evidence.amend(MPPS, "9.1", lambda step: said(MPPS, "1", "2"))
        assert not b.handed_over(500)
        b.receive("2")
        assert b.handed_over()
        assert b.line().completeness == "complete"
        assert b.line().missing == ()
        assert [one["kind"] for one in b.detail().evidence] == ["proven", "mpps"]
        assert len(b.pokes) >= 2


def test_what_was_heard_survives_a_restart(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.evidence.create([said(MPPS, state=State.OPEN)])
        b.receive("1")
    with bench(tmp_path) as b:
        assert not b.handed_over(500)
        assert b.evidence.amend(MPPS, "9.1", lambda step: said(MPPS, "1"))
    with bench(tmp_path) as b:
        assert b.handed_over()


def test_a_change_that_is_refused_changes_nothing_and_an_unknown_step_is_told(tmp_path: Path) -> None:
    def refuse(step: Evidence) -> Evidence:
        raise Unusable("no")

    with bench(tmp_path) as b:
        assert not b.evidence.amend(MPPS, "9.9", refuse)
        b.evidence.create([said(MPPS, study=study, state=State.OPEN, studies=("1.2.3", "1.2.4"))
                           for study in ("1.2.3", "1.2.4")])
        with pytest.raises(Unusable):
            b.evidence.amend(MPPS, "9.1", refuse)
        b.receive("1")
        assert not b.handed_over(500)


def test_a_step_of_two_studies_waits_for_the_objects_of_both(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        listed = {"1.2.3.1": frozenset({"1.2.3.1.1"}), "1.2.4.1": frozenset({"1.2.4.1.1"})}
        b.evidence.create([Evidence(MPPS, study, "9.1", "CT1", datetime.now(UTC), State.ENDED, listed,
                                    studies=("1.2.3", "1.2.4")) for study in ("1.2.3", "1.2.4")])
        b.receive("1")
        assert not b.handed_over(500)
        b.receive("1", study="1.2.4")
        assert b.handed_over()
        assert {b.line(study).completeness for study in ("1.2.3", "1.2.4")} == {"complete"}


def test_what_is_missing_after_the_longest_wait_is_told_and_its_coming_supersedes(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.evidence.hear([said(IAN, "1", "2")])
        b.receive("1")
        assert not b.handed_over(899)
        assert b.handed_over(901)
        assert (b.line().completeness, b.line().missing[0]["missing"]) == ("partial", 1)
        with b.c.database.connect() as connection:
            (run,) = connection.execute(sa.select(runs)).all()
        assert run.missing == [{"lack": "series", "missing": 1, "of": 2, "series": "1.2.3.1"}]
        assert b.c.rows.job(run.run_id).missing[0].lack is Lack.SERIES
        b.receive("2")
        assert b.handed_over(3)
        assert (b.line().completeness, b.line().missing, len(b.detail().runs)) == ("assumed", (), 2)


def test_a_finished_study_that_is_now_known_to_lack_something_waits_for_it(tmp_path: Path) -> None:
    with bench(tmp_path, settle_seconds=0) as b:
        b.receive("1")
        b.evidence.hear([said(EvidenceKind.RELEASE, identity="CT1")])
        assert b.handed_over(1)
        assert b.line().completeness == "assumed"
        b.evidence.hear([said(IAN, "1")])
        assert not b.c.rows.receiving()
        b.evidence.hear([said(IAN, "1", "2", identity="9.2")])
        assert not b.handed_over(500)
        assert b.handed_over(1000)
        assert (b.line().completeness, len(b.detail().runs)) == ("partial", 2)
        assert not b.handed_over(2000)


def test_a_second_step_that_begins_while_a_study_is_planned_stops_its_hand_over(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.receive("1")
        b.evidence.hear([said(MPPS, "1")])
        plannable = b.c.rows.plannable

        def meanwhile(study_id: int) -> object:
            b.c.work._repository.plannable = plannable
            b.evidence.create([said(MPPS, identity="9.2", state=State.OPEN)])
            return plannable(study_id)

        b.c.work._repository.plannable = meanwhile
        assert not b.handed_over()
        assert not b.handed_over(100)


def test_objects_on_their_way_to_the_index_are_awaited(tmp_path: Path) -> None:
    with bench(tmp_path, quiet_seconds=0) as b:
        b.receive("1")
        b.c.receive(STUDY, f"{STUDY}.1.2")
        assert b.handed_over(1)
        assert b.detail().instances == 2
        b.c.work._indexed = lambda: False
        b.c.receive(STUDY, f"{STUDY}.1.3")
        assert not b.handed_over(2)


def test_commitment_is_asked_for_known_objects_and_the_rest_is_of_the_only_study(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        assert not b.evidence.requested("7.1", "CT1", ["5.5.5"], datetime.now(UTC))
        b.receive("1")
        b.receive("1", study="1.2.4")
        both = ["1.2.3.1.1", "1.2.4.1.1", "5.5.5"]
        assert b.evidence.requested("7.2", "CT1", both, datetime.now(UTC))
        assert b.handed_over(3)
        assert {one["instances"] for one in b.detail().evidence if one["kind"] == "commitment"} == {1}
        assert b.evidence.requested("7.3", "CT1", ["1.2.3.1.1", "1.2.3.1.2"], datetime.now(UTC))
        assert not b.handed_over(100)
        b.receive("2")
        assert b.handed_over(3)


def test_a_count_is_believed_when_it_is_told_twice_alike(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.receive("1", "2")
        b.evidence.counted(STUDY, "PACS", 3, datetime.now(UTC))
        assert not b.handed_over(500)
        b.evidence.counted(STUDY, "PACS", 2, datetime.now(UTC))
        assert not b.handed_over(3)
        b.evidence.counted(STUDY, "PACS", 2, datetime.now(UTC))
        assert b.handed_over(3)
        assert b.line().completeness == "complete"
        assert b.detail().evidence[1]["readings"] == 2


def test_a_study_that_waits_says_what_for(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.evidence.hear([said(MPPS, state=State.OPEN), said(IAN, "1", "2", identity="9.2")])
        b.receive("1")
        assert not b.handed_over(3)
        waits = b.detail()
        assert [(one["kind"], one["state"], one["instances"]) for one in waits.evidence] == [
            ("mpps", "open", 0), ("ian", "ended", 2)]
        assert [(one["lack"], one["missing"]) for one in waits.case.missing] == [("series", 1), ("step", 1)]


def test_a_result_keeps_its_own_evidence_until_the_next_is_there(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.evidence.hear([said(MPPS, state=State.OPEN)])
        b.receive("1")
        assert b.handed_over(1000)
        b.evidence.hear([said(MPPS, "1", "2")])
        b.receive("2")
        b.now = datetime.now(UTC) + timedelta(seconds=1)
        b.c.work.assemble_due()  # handed over, and not read yet
        shown = b.detail()
        assert (shown.case.completeness, shown.evidence[0]["kind"]) == ("partial", "waited")
        assert [one["lack"] for one in shown.case.missing] == ["step"]
        ticket = b.pile.tickets[-1]
        b.c.work.perform(ticket.run_id, ticket.attempt)
        shown = b.detail()
        assert (shown.case.completeness, shown.evidence[0]["kind"], shown.case.missing) == ("complete", "proven", ())


def test_evidence_of_studies_that_never_come_is_forgotten_with_its_time_of_keeping(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.evidence.hear([said(IAN, "1", study="5.5"), said(MPPS, state=State.OPEN)])
        b.receive("1")
        assert b.c.rows.forget_evidence(datetime.now(UTC) - timedelta(days=1)) == 0
        assert b.c.rows.forget_evidence(datetime.now(UTC) + timedelta(days=1)) == 1
        with b.c.database.connect() as connection:
            assert [row.kind for row in connection.execute(sa.select(evidence_rows))] == ["mpps"]


def test_a_sender_that_left_is_told_once_everything_is_indexed_and_after_the_database_is_back(tmp_path: Path) -> None:
    class Away:
        """Refuses once."""

        def __init__(self, log: DatabaseEvidence) -> None:
            self.log, self.refused = log, False

        def hear(self, heard: object) -> None:
            if not self.refused:
                self.refused = True
                raise Transient("the database did not answer")
            self.log.hear(heard)

    with bench(tmp_path) as b:
        away = Away(b.evidence)
        departures = Departures(away, b.c.index.flush)
        departures.start()
        b.c.receive(STUDY, f"{STUDY}.1.1")
        departures.left(SenderLeft(Sender("dicom", "CT1"), frozenset({STUDY}), True))
        poked = [b.pokes]
        while not poked[0]:
            assert departures._thread.is_alive()
            departures._thread.join(0.05)
        departures.stop()
        assert away.refused
        assert b.handed_over(3)
        assert [one["kind"] for one in b.detail().evidence] == ["settled", "release"]


def test_a_departure_says_nothing_of_studies_that_are_still_being_brought() -> None:
    now = datetime.now(UTC)
    gone = SenderLeft(Sender("dicom", "CT1"), frozenset({"1", "2"}), True, frozenset({"2"}))
    assert [(one.study_instance_uid, one.kind, one.state) for one in statements(gone, now)] == [
        ("1", EvidenceKind.RELEASE, State.ENDED)]
    broken = SenderLeft(Sender("dicomweb", "web"), frozenset({"1", "2"}), False, frozenset({"2"}))
    assert {(one.kind, one.state) for one in statements(broken, now)} == {(EvidenceKind.STOW, State.BROKEN)}
    assert len(statements(broken, now)) == 2
