"""From object to delivery over the real database and engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dbos import DBOS

from gateway.delivery import DeliveryState, Kind
from gateway.errors import Unusable
from gateway.identity import case_identity, document_uid
from gateway.orders import InboundMessage, PlaceOrder
from gateway.study import Order, Patient, Priority, Sender
from tests.core.support import MemoryDestination, core

pytestmark = pytest.mark.slow


def delivered(item: object) -> bool:
    return bool(item.deliveries) and all(d.state is DeliveryState.DELIVERED for d in item.deliveries)


def order(accession: str, priority: Priority = Priority.STAT) -> Order:
    return Order("o1", "SITE", Patient("P1", name="Doe^Jane"), accession_number=accession, priority=priority)


def message(control_id: str, *orders: Order) -> InboundMessage:
    return InboundMessage(Sender("hl7", "RIS|H"), control_id, datetime.now(UTC), b"raw", control_id.encode(),
                          tuple(PlaceOrder(o) for o in orders))


def test_a_study_is_read_reported_and_delivered_once(tmp_path: Path) -> None:
    with core(tmp_path, destinations=[MemoryDestination("pacs")]) as c:
        c.receive("1.2.3", "1.2.3.1.1", BodyPartExamined="SICK")
        item = c.await_case(delivered)
        assert (item.state, item.verdict, item.risk) == ("reported", "pathology", 0.9)
        assert sorted(d.kind for d in c.destinations["pacs"].received) == [Kind.SC, Kind.SR]
        assert item.completeness == "assumed"
        detail = c.queries.case(item.case_id)
        assert detail.result["verdict"] == "pathology"
        assert c.queries.document(item.case_id, Kind.SR).content.startswith(b"P1|1.2.3|pathology")


def test_who_holds_the_id_of_a_study_being_received_finds_its_case_later(tmp_path: Path) -> None:
    with core(tmp_path, destinations=[MemoryDestination("pacs")]) as c:
        c.receive("1.2.3", "1.2.3.1.1", BodyPartExamined="SICK")
        receiving = case_identity("SITE", "1.2.3", "")
        item = c.await_case(delivered)
        assert (c.queries.case(receiving), c.queries.successor(receiving)) == (None, item.case_id)
        assert c.queries.successor(item.case_id) == c.queries.successor("") == ""


def test_a_result_is_kept_and_told_in_the_language_of_the_site(tmp_path: Path) -> None:
    with core(tmp_path, destinations=[MemoryDestination("pacs")], site={"language": "ru"}) as c:
        c.pipeline.words = {"ru": {"X": "Признак"}}
        c.receive("1.2.3", "1.2.3.1.1", BodyPartExamined="SICK")
        detail = c.queries.case(c.await_case(delivered).case_id)
        assert detail.result["findings"][0]["display"] == "Признак"
        assert detail.result["findings"][0]["code"]["meaning"] == "x"
        assert detail.case.summary.startswith("Признак (вероятность 0.90)")


def test_our_own_output_sent_back_is_never_counted(tmp_path: Path) -> None:
    with core(tmp_path, destinations=[MemoryDestination("pacs")]) as c:
        c.receive("1.2.3", "1.2.3.1.1")
        item = c.await_case(delivered)
        for document in list(c.destinations["pacs"].received):
            c.receive("1.2.3", document.identity, Modality="SR")
        assert c.index.flush()
        detail = c.queries.case(item.case_id)
        assert detail.instances == 1
        assert len(detail.runs) == 1
        assert not c.rows.receiving()


def test_late_objects_supersede_and_name_the_predecessor(tmp_path: Path) -> None:
    with core(tmp_path, destinations=[MemoryDestination("pacs")]) as c:
        c.receive("1.2.3", "1.2.3.1.1")
        first = c.await_case(delivered)
        assert first.verdict == "normal"
        c.receive("1.2.3", "1.2.3.1.2", BodyPartExamined="SICK")
        second = c.await_case(lambda i: i.verdict == "pathology" and delivered(i))
        assert second.case_id == first.case_id
        detail = c.queries.case(first.case_id)
        assert [r["number"] for r in detail.runs] == [2, 1]
        earlier = next(d for d in c.destinations["pacs"].received if d.kind is Kind.SR)
        assert earlier.identity.encode() in c.queries.document(first.case_id, Kind.SR).content


def test_an_older_result_never_arrives_after_a_newer_one_that_replaces_it(tmp_path: Path) -> None:
    ehr = MemoryDestination("ehr", frozenset({Kind.DIAGNOSTIC_REPORT}), refuses=True)
    with core(tmp_path, destinations=[ehr], delivery={"first_retry_seconds": 0.2}) as c:
        c.receive("1.2.3", "1.2.3.1.1")
        first = c.await_case(lambda i: {d.state for d in i.deliveries} == {DeliveryState.DEAD})
        ehr.refuses, ehr.down = False, True
        c.receive("1.2.3", "1.2.3.1.2")
        c.await_case(lambda i: i.run_id != first.run_id)
        c.receive("1.2.3", "1.2.3.1.3")
        c.await_case(lambda i: len(c.queries.case(i.case_id).runs) == 3 and i.state == "reported")
        with pytest.raises(Unusable, match="newer"):
            c.rows.revive_one(first.deliveries[0].delivery_id, datetime.now(UTC))
        ehr.down = False
        c.await_case(lambda i: delivered(i) and len(c.queries.case(i.case_id).runs) == 3)
        runs = [r["run_id"] for r in reversed(c.queries.case(first.case_id).runs)]
        assert [d.identity for d in ehr.received] == [document_uid(r, "diagnostic_report") for r in runs[1:]]


def test_an_unrouted_study_is_unsupported_and_says_why(tmp_path: Path) -> None:
    with core(tmp_path) as c:
        c.receive("1.9", "1.9.1", Modality="MR")
        item = c.await_case(lambda i: i.state == "unsupported")
        assert item.verdict is None
        assert "Modality" in item.problems[0]["text"]


@pytest.mark.parametrize("order_first", [True, False])
def test_order_and_study_meet_whichever_comes_first(tmp_path: Path, order_first: bool) -> None:
    with core(tmp_path, destinations=[MemoryDestination("pacs")]) as c:
        if order_first:
            c.messages.record([message("m1", order("A1"))])
            assert c.messages.settle()
        c.receive("1.2.3", "1.2.3.1.1", AccessionNumber="A1")
        if not order_first:
            c.await_case(delivered)
            c.messages.record([message("m1", order("A1"))])
        item = c.await_case(lambda i: i.priority is Priority.STAT and delivered(i))
        assert c.queries.case(item.case_id).order["accession_number"] == "A1"


def test_an_order_for_another_patient_is_a_conflict_not_a_guess(tmp_path: Path) -> None:
    with core(tmp_path) as c:
        c.messages.record([message("m1", order("A1"))])
        assert c.messages.settle()
        c.receive("1.2.3", "1.2.3.1.1", AccessionNumber="A1", PatientID="SOMEBODY ELSE")
        item = c.await_case(lambda i: i.state == "reported")
        assert item.priority is Priority.ROUTINE
        assert any(p["code"] == "order-conflict" for p in item.problems)


def test_a_repeated_control_id_is_answered_again_not_applied_again(tmp_path: Path) -> None:
    with core(tmp_path) as c:
        assert c.messages.record([message("m1", order("A1"))]) == [b"m1"]
        changed = InboundMessage(Sender("hl7", "RIS|H"), "m1", datetime.now(UTC), b"raw2", b"other",
                                 (PlaceOrder(order("A1", Priority.ROUTINE)),))
        assert c.messages.record([changed]) == [b"m1"]
        assert c.messages.settle()
        assert c.queries.orders("o1")["priority"] == "stat"


def test_one_refusing_destination_delays_no_other_and_can_be_retried(tmp_path: Path) -> None:
    pacs, archive, ehr = MemoryDestination("pacs"), MemoryDestination("archive"), MemoryDestination("ehr")
    archive.refuses, ehr.down = True, True
    with core(tmp_path, destinations=[archive, ehr, pacs]) as c:
        c.receive("1.2.3", "1.2.3.1.1")

        def settled(item: object) -> bool:
            states = {name: {d.state for d in item.deliveries if d.destination == name} for name in ("pacs", "archive")}
            return states == {"pacs": {DeliveryState.DELIVERED}, "archive": {DeliveryState.DEAD}}

        item = c.await_case(settled)
        assert {d.state for d in item.deliveries if d.destination == "ehr"} == {DeliveryState.PENDING}
        archive.refuses, ehr.down = False, False
        tickets = c.rows.revive_dead("archive", datetime.now(UTC))
        assert len(tickets) == 2
        for ticket in tickets:
            c.engine.enqueue_delivery(ticket)
        c.await_case(delivered)


def test_a_model_that_is_not_ready_only_delays(tmp_path: Path) -> None:
    with core(tmp_path) as c:
        c.inference.down = True
        c.receive("1.2.3", "1.2.3.1.1")
        c.await_case(lambda i: i.state == "waiting" and i.error != "")
        c.inference.down = False
        c.await_case(lambda i: i.state == "reported")


def test_a_restart_takes_up_what_was_never_queued(tmp_path: Path) -> None:
    """The crash between our commit and the engine's: the run's row is there, its workflow is not."""
    with core(tmp_path) as c:
        c.work.use(_Deaf())
        c.receive("1.2.3", "1.2.3.1.1")
        c.await_case(lambda i: i.state == "waiting")
    with core(tmp_path) as c:
        assert c.rows.open_runs()
        for lost in c.engine.lost_runs(c.rows.open_runs()):
            c.engine.enqueue_run(lost)
        c.await_case(lambda i: i.state == "reported")


class _Deaf:
    def enqueue_run(self, *_: object) -> None: ...
    def enqueue_delivery(self, *_: object) -> None: ...


def test_a_cancelled_case_is_not_reported_and_can_be_replayed(tmp_path: Path) -> None:
    with core(tmp_path) as c:
        c.work.use(_Deaf())
        c.receive("1.2.3", "1.2.3.1.1")
        item = c.await_case(lambda i: i.state == "waiting")
        c.rows.cancel(item.case_id)
        assert c.queries.case(item.case_id).case.state == "cancelled"
        with pytest.raises(Unusable):
            c.rows.cancel(item.case_id)
        c.engine.enqueue_run(c.rows.reopen(item.case_id))
        c.await_case(lambda i: i.state == "reported")


def test_worklist_pages_in_order_without_gaps(tmp_path: Path) -> None:
    with core(tmp_path) as c:
        for n in range(7):
            c.receive(f"1.2.{n}", f"1.2.{n}.1", BodyPartExamined="SICK" if n % 2 else "WELL")
        c.await_case(lambda _: sum(i.state == "reported" for i in c.queries.worklist(100).items) == 7)
        seen, cursor = [], None
        while True:
            page = c.queries.worklist(2, cursor)
            seen += [i.case_id for i in page.items]
            cursor = page.next
            if cursor is None:
                break
        everything = c.queries.worklist(100).items
        assert seen == [i.case_id for i in everything]
        assert [i.verdict for i in everything] == ["pathology"] * 3 + ["normal"] * 4
        with pytest.raises(Unusable):
            c.queries.worklist(2, "nonsense")


def test_the_engine_forgets_what_ended_and_gives_up_on_what_another_version_queued(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pacs = MemoryDestination("pacs", down=True)
    with core(tmp_path, destinations=[pacs], delivery={"first_retry_seconds": 600}) as c:
        c.receive("1.2.3", "1.2.3.1.1")
        c.await_case(lambda i: i.state == "reported" and all(d.attempts == 1 for d in i.deliveries))
        before = len(DBOS.list_workflows())
        assert c.engine.clear(datetime.now(UTC) - timedelta(minutes=5)) == 0
        limit = datetime.now(UTC).timestamp() + 30
        while {w.status for w in DBOS.list_workflows()} != {"DELAYED"}:
            assert datetime.now(UTC).timestamp() < limit
            c.engine.clear(datetime.now(UTC) + timedelta(minutes=5))
        assert before > len(DBOS.list_workflows())
        due = c.rows.due_deliveries(datetime.now(UTC) + timedelta(hours=1))
        assert c.engine.lost_deliveries(due) == []
        monkeypatch.setattr("adapters.database.engine.VERSION", "another")
        assert c.engine.lost_deliveries(due) == list(due)


def test_retry_of_a_destination_hurries_what_waits_for_its_next_attempt(tmp_path: Path) -> None:
    pacs = MemoryDestination("pacs", down=True)
    with core(tmp_path, destinations=[pacs], delivery={"first_retry_seconds": 3600}) as c:
        c.receive("1.2.3", "1.2.3.1.1")
        c.await_case(lambda i: bool(i.deliveries) and all(d.last_error for d in i.deliveries))
        pacs.down = False
        tickets = c.rows.revive_dead("pacs", datetime.now(UTC))
        assert len(tickets) == 2
        for ticket in tickets:
            c.engine.enqueue_delivery(ticket)
        c.await_case(delivered)
