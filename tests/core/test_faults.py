"""What goes wrong, one decision at a time: real rows, no threads but the index's; the test is the engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.database.tables import studies
from gateway.assembly import Handover
from gateway.case import Completeness
from gateway.commands import GatewayCommands
from gateway.delivery import DeliveryState
from gateway.errors import NotReady
from gateway.housekeeping import Housekeeping
from gateway.intake import Gate
from gateway.orders import InboundMessage, MergePatients, PlaceOrder
from gateway.repository import DeliveryTicket, Ticket
from gateway.study import Order, Patient, Priority, Sender
from gateway.triage import Band
from tests.core.support import Core, MemoryDestination, core, instance
from tests.core.test_housekeeping import Disk

pytestmark = pytest.mark.slow


class Pile:
    """The engine's queue, worked off when the test says so."""

    def __init__(self) -> None:
        self.tickets: list[Ticket | DeliveryTicket] = []

    def enqueue_run(self, ticket: Ticket, delay: timedelta = timedelta()) -> None:
        self.tickets.append(ticket)

    def enqueue_delivery(self, ticket: DeliveryTicket, delay: timedelta = timedelta()) -> None:
        self.tickets.append(ticket)


class Bench:
    """A core whose work is done by hand."""

    def __init__(self, c: Core) -> None:
        self.c, self.pile = c, Pile()
        c.work.use(self.pile)

    def receive(self, study: str, sop: str, **tags: object) -> None:
        self.c.receive(study, sop, **tags)
        assert self.c.index.flush()

    def plan(self) -> list[Ticket]:
        self.c.work.assemble_due()
        return [t for t in self.pile.tickets if isinstance(t, Ticket)]

    def work_off(self) -> None:
        while self.pile.tickets:
            ticket = self.pile.tickets.pop(0)
            what = (self.c.work.perform(ticket.run_id, ticket.attempt) if isinstance(ticket, Ticket)
                    else self.c.work.attempt(ticket.delivery_id, ticket.generation))
            self.pile.tickets += [again for again, delay in what if not delay]

    def order(self, control_id: str, *events: object) -> None:
        """Applied as the applier does it."""
        sender = Sender("hl7", "RIS|H")
        self.c.messages.record([InboundMessage(sender, control_id, datetime.now(UTC), b"", b"", events)])
        while self.c.messages._apply_some():
            pass

    def line(self, study: str = "1.2.3") -> object:
        return next(i for i in self.c.queries.worklist(100).items if i.study_instance_uid == study)

    def history(self, study: str = "1.2.3") -> list[tuple[str, str]]:
        found = self.c.queries.case(self.line(study).case_id).runs
        return [(r["run_id"], r["state"]) for r in reversed(found)]


@contextmanager
def bench(tmp: Path, *destinations: MemoryDestination, **changes: object) -> Iterator[Bench]:
    with core(tmp, destinations=destinations, start=False, assembly={"quiet_seconds": 0}, **changes) as c:
        c.index.start()
        try:
            yield Bench(c)
        finally:
            c.index.stop()


def order(name: str = "Doe^Jane", priority: Priority = Priority.ROUTINE, patient: str = "P1") -> PlaceOrder:
    return PlaceOrder(Order("o1", "SITE", Patient(patient, name=name), accession_number="A1", priority=priority))


def test_one_study_that_cannot_be_planned_holds_up_no_other(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        select, plan = b.c.pipeline.select, b.c.work._parts.planner.plan

        def odd_select(study: object) -> object:
            if study.study_instance_uid == "1.1":
                raise IndexError("P1")
            return select(study)

        def odd_plan(found: object, completeness: object) -> object:
            if found.study.study_instance_uid == "1.2":
                raise NotReady("model x is not in the repository")
            if found.study.study_instance_uid == "1.3":
                raise ZeroDivisionError
            return plan(found, completeness)

        b.c.pipeline.select, b.c.work._parts.planner.plan = odd_select, odd_plan
        for n in range(1, 5):
            b.receive(f"1.{n}", f"1.{n}.1")
        assert 0 < b.c.work.assemble_due() <= 5
        b.work_off()
        assert [b.line(f"1.{n}").state for n in range(1, 5)] == ["failed", "receiving", "failed", "reported"]
        assert "IndexError" in b.line("1.1").error
        assert "ZeroDivisionError" in b.line("1.3").error
        b.c.work._parts.planner.plan = plan
        b.c.work.assemble_due()
        b.work_off()
        assert b.line("1.2").state == "reported"
        b.receive("1.3", "1.3.2")
        b.plan()
        b.work_off()
        assert b.line("1.3").state == "reported"


def test_an_object_that_no_database_takes_keeps_no_other_out(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.c.index.add(instance("1.2", "1.2.1", PatientName="Doe\0^Jane\ud800", SliceThickness=float("nan"),
                               Nested=[{"Text": "a\0b"}]), conflict=False)
        b.c.index.add(instance("1.2", "1.2.2", Impossible={1, 2}), conflict=False)
        b.receive("1.3", "1.3.1")
        b.c.index.add(instance("1.4", "1.4.1"), conflict=True)
        assert b.c.index.flush()
        b.plan()
        b.work_off()
        assert [b.line(uid).state for uid in ("1.2", "1.3", "1.4")] == ["reported"] * 3
        assert b.line("1.2").patient_name == "Doe^Jane?"


def test_an_order_that_returns_to_what_it_was_is_read_as_it_is_now(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.order("m0", order("A"))
        b.receive("1.2.3", "1.2.3.1", AccessionNumber="A1")
        b.plan()
        b.work_off()
        for number, name in enumerate(("B", "A", "A", "B", "A")):
            b.order(f"m{number + 1}", order(name))
            b.plan()
            b.work_off()
            shown = b.c.rows.job(b.line().run_id)
            assert shown.study.order.patient.name == name
        assert [state for _, state in b.history()] == ["reported"] * 5
        assert len({run for run, _ in b.history()}) == 5
        b.receive("1.2.3", "1.2.3.2", AccessionNumber="A1")
        b.plan()
        b.order("m9", order("B"))
        b.plan()
        b.order("m10", order("A"))
        b.plan()
        b.work_off()
        assert [state for _, state in b.history()][5:] == ["superseded", "superseded", "reported"]


def test_an_order_change_survives_a_crash_before_it_was_planned(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.receive("1.2.3", "1.2.3.1", AccessionNumber="A1")
        b.plan()
        b.work_off()
        b.order("m1", order())
    with bench(tmp_path) as b:
        b.plan()
        b.work_off()
        assert len(b.history()) == 2
        assert b.c.rows.job(b.line().run_id).study.order.patient.name == "Doe^Jane"
        assert not b.c.rows.outdated()


def test_what_comes_while_a_study_is_planned_is_not_lost(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.receive("1.2.3", "1.2.3.1", AccessionNumber="A1")
        plan = b.c.work._parts.planner.plan

        def order_meanwhile(found: object, completeness: object) -> object:
            b.c.work._parts.planner.plan = plan
            b.order("m1", order())
            return plan(found, completeness)

        b.c.work._parts.planner.plan = order_meanwhile
        assert b.plan() == []
        b.plan()
        b.work_off()
        assert b.c.rows.job(b.line().run_id).study.order is not None


def test_late_objects_show_and_never_sort_as_normal(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.receive("1.2.3", "1.2.3.1")
        b.plan()
        b.work_off()
        case = b.line().case_id
        b.c.rows.mark_read(case, datetime.now(UTC))

        def band() -> int:
            with b.c.database.connect() as connection:
                return connection.execute(sa.text("select band from cases")).scalar_one()

        assert band() == Band.READ
        b.receive("1.2.3", "1.2.3.2")
        assert (b.line().state, band(), b.line().problems[-1]["code"]) == ("reported", Band.NOT_ANALYSED, "late")
        (ticket,) = b.plan()
        b.pile.tickets.clear()
        b.c.rows.fail(ticket.run_id, "the reader stopped", datetime.now(UTC))
        assert (b.line().verdict, band(), b.line().problems[-1]["text"]) == (
            "normal", Band.NEEDS_A_PERSON, "the reader stopped")
        commands = GatewayCommands(b.c.rows, b.c.work, b.pile, None)
        assert commands.replay(case) == ticket.run_id
        b.work_off()
        assert (b.line().run_id, band(), b.line().problems) == (ticket.run_id, Band.NORMAL, ())


def test_late_objects_that_the_reader_does_not_read_change_nothing(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.receive("1.2.3", "1.2.3.1")
        b.plan()
        b.work_off()
        b.receive("1.2.3", "1.2.3.2", Modality="PR")
        assert b.line().problems
        b.plan()
        assert (b.pile.tickets, b.line().problems) == ([], ())


def test_two_workflows_of_one_run_read_it_once(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.receive("1.2.3", "1.2.3.1")
        (first,) = b.plan()
        second = b.c.rows.postpone(first.run_id, "taken up again")
        assert b.c.work.perform(first.run_id, first.attempt)[0][0] == second
        assert b.line().state == "waiting"
        b.c.work.perform(second.run_id, second.attempt)
        assert b.line().state == "reported"
        assert b.c.work.perform(first.run_id, first.attempt) == []


def test_a_waiting_run_takes_its_new_place_when_its_priority_changes(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.receive("1.2.3", "1.2.3.1", AccessionNumber="A1")
        b.order("m1", order())
        b.plan()
        b.order("m2", order(priority=Priority.STAT))
        assert b.plan()[-1].priority is Priority.STAT
        GatewayCommands(b.c.rows, b.c.work, b.pile, None).set_priority(b.line().case_id, Priority.URGENT)
        assert b.pile.tickets[-1].priority is Priority.URGENT
        assert len(b.history()) == 1
        b.work_off()
        assert [state for _, state in b.history()] == ["reported"]


def test_a_superseded_attempt_at_a_delivery_does_nothing(tmp_path: Path) -> None:
    pacs = MemoryDestination("pacs", down=True)
    with bench(tmp_path, pacs) as b:
        b.receive("1.2.3", "1.2.3.1")
        b.plan()
        b.work_off()
        first = b.line().deliveries[0]
        (hurried,) = b.c.rows.hurry(first.delivery_id, datetime.now(UTC))
        pacs.down = False
        assert b.c.work.attempt(first.delivery_id, hurried.generation - 1)[0][0] == hurried
        assert pacs.received == []
        b.c.work.attempt(hurried.delivery_id, hurried.generation)
        b.c.rows.settle(hurried.delivery_id, _dead(), "an attempt that ended later", datetime.now(UTC))
        assert b.line().deliveries[0].state is DeliveryState.DELIVERED


def _dead() -> object:
    from gateway.delivery import Receipt

    return Receipt(DeliveryState.DEAD)


def test_objects_after_retention_are_read_as_a_part_and_the_same_again_as_nothing_new(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        for n in (1, 2):
            b.receive("1.2.3", f"1.2.3.{n}")
        b.plan()
        b.work_off()
        keeping = Housekeeping(b.c.settings, b.c.rows, Disk(), b.c.documents, Gate(), "test",
                               lambda: datetime.now(UTC) + timedelta(days=40))
        assert keeping.retain() == 1
        assert keeping.retain() == 0
        for n in (1, 2):
            b.receive("1.2.3", f"1.2.3.{n}")
        b.plan()
        assert (b.pile.tickets, b.line().state, len(b.history())) == ([], "reported", 1)
        assert keeping.retain() == 1
        b.receive("1.2.3", "1.2.3.3")
        b.plan()
        b.work_off()
        assert (b.line().completeness, len(b.history())) == ("partial", 2)


def test_retention_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    class Failing(Disk):
        def delete(self, path: str) -> None:
            if not self.deleted:
                self.deleted.append("")
                raise OSError("input/output error")
            super().delete(path)

    with bench(tmp_path) as b:
        b.receive("1.2.3", "1.2.3.1")
        b.plan()
        b.work_off()
        disk = Failing()
        keeping = Housekeeping(b.c.settings, b.c.rows, disk, b.c.documents, Gate(), "test",
                               lambda: datetime.now(UTC) + timedelta(days=40))
        with pytest.raises(OSError, match="input"):
            keeping.retain()
        assert keeping.retain() == 1
        assert disk.deleted[1:] == ["/nowhere/1.2.3/1.2.3.1.dcm"]


def test_a_merge_settles_what_an_order_and_a_study_disagreed_on(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.order("m1", order(patient="P9"))
        b.receive("1.2.3", "1.2.3.1", AccessionNumber="A1")
        b.plan()
        b.work_off()
        assert [p["code"] for p in b.line().problems] == ["order-conflict"]
        b.order("m2", MergePatients("SITE", Patient("P9"), Patient("P1")))
        b.plan()
        b.work_off()
        assert (b.line().problems, len(b.history())) == ((), 2)


def test_a_study_that_never_falls_silent_is_read_as_partial_all_the_same(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        b.receive("1.2.3", "1.2.3.1")
        found = b.c.rows.plannable(1)
        b.receive("1.2.3", "1.2.3.2")
        planner, now = b.c.work._parts.planner, datetime.now(UTC)
        assert b.c.rows.record_plan(planner.plan(found, Handover(Completeness.ASSUMED)), now) == []
        (ticket,) = b.c.rows.record_plan(planner.plan(found, Handover(Completeness.PARTIAL)), now)
        assert len(b.c.rows.job(ticket.run_id).study.instances) == 1
        assert b.c.rows.receiving()


def test_a_lost_delivery_is_found_behind_hundreds_that_only_wait(tmp_path: Path) -> None:
    class Knows:
        """Carries on every delivery but the last."""

        def __init__(self) -> None:
            self.pile = Pile()

        def lost_runs(self, tickets: object) -> list[object]:
            return []

        def lost_deliveries(self, tickets: object) -> list[object]:
            return [t for t in tickets if t.delivery_id == 1201]

        def enqueue_delivery(self, ticket: object, delay: timedelta = timedelta()) -> None:
            self.pile.tickets.append(ticket)

    with bench(tmp_path) as b:
        from adapters.database.tables import deliveries, documents

        b.receive("1.2.3", "1.2.3.1")
        (ticket,) = b.plan()
        at = datetime.now(UTC) - timedelta(minutes=5)
        with b.c.database.begin() as connection:
            connection.execute(sa.insert(documents), [
                {"run_id": ticket.run_id, "identity": str(n), "created_at": at} for n in range(1, 1202)])
            connection.execute(sa.insert(deliveries), [
                {"document_id": n, "state": "pending", "created_at": at, "retry_from": at, "next_attempt_at": at,
                 "receipt": {}} for n in range(1, 1202)])
        house, engine = Housekeeping(b.c.settings, b.c.rows, Disk(), b.c.documents, Gate(), "test"), Knows()
        assert [house.sweep_lost(engine, datetime.now(UTC) - timedelta(seconds=30)) for _ in range(4)] == [0, 0, 1, 0]
        assert [t.delivery_id for t in engine.pile.tickets] == [1201]


def test_the_database_layer_quotes_no_parameters_in_its_errors(tmp_path: Path) -> None:
    with bench(tmp_path) as b, pytest.raises(sa.exc.StatementError) as caught, b.c.database.begin() as connection:
        connection.execute(sa.insert(studies).values(patient_name="Doe^Jane", study_instance_uid="1"))
    assert "hidden" in str(caught.value)


def test_counts(tmp_path: Path) -> None:
    with bench(tmp_path) as b:
        assert b.c.queries.counts() == {"studies": 0, "instances": 0}
        for n in (1, 2):
            b.receive("1.2.3", f"1.2.3.{n}")
        b.plan()
        b.work_off()
        assert b.c.queries.counts() == {"cases.reported": 1, "studies": 1, "instances": 2}
