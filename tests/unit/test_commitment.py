"""Storage commitment without a network: data sets, verdicts on requests and on answers, back-off."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from adapters.database.commitments import DatabaseCommitments
from adapters.database.connection import migrate, open_database
from adapters.dicom.content import commitment as content
from adapters.dicom.content.part10 import split
from adapters.files.intact import is_intact
from gateway.commitment import (
    GIVE_UP_AFTER,
    MOST_REFERENCES,
    Asked,
    Copy,
    Failed,
    Promise,
    Reason,
    Reference,
    Report,
    Request,
    Verdict,
    Wait,
    answer_about,
    judge,
    lacks,
    report_again,
    weigh,
)
from gateway.commitment_desk import StoredCopy
from gateway.errors import Unusable
from tests.dicom_objects import part10_bytes, slice_dataset

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
ONE, TWO = Reference(CT, "1.2.1"), Reference(CT, "1.2.2")
UIDS = st.integers(0, 10**39).map("2.25.{}".format)
REFERENCES = st.lists(st.builds(Reference, UIDS, UIDS), min_size=1, max_size=6, unique=True)


@settings(max_examples=25)
@given(UIDS, REFERENCES)
def test_a_request_is_read_as_it_was_written(transaction: str, references: list[Reference]) -> None:
    dataset = content.request_dataset(transaction, references)
    assert content.read_request(dataset, "CT1") == Request(transaction, "CT1", tuple(references))


@settings(max_examples=25)
@given(UIDS, REFERENCES, REFERENCES)
def test_a_report_is_read_as_it_was_written(transaction: str, good: list[Reference], bad: list[Reference]) -> None:
    report = Report(transaction, tuple(good), tuple(Failed(one, 0x0112) for one in bad))
    assert content.read_report(content.report_dataset(report)) == report
    assert report.event_type == content.FAILURES_EXIST
    assert Report(transaction, tuple(good)).event_type == content.ALL_COMMITTED


def test_the_same_object_twice_is_asked_for_once() -> None:
    assert content.read_request(content.request_dataset("1.2", [ONE, ONE, TWO]), "CT1").references == (ONE, TWO)


def test_more_than_anybody_has_is_refused() -> None:
    dataset = content.request_dataset("1.2", [ONE])
    dataset.ReferencedSOPSequence = [dataset.ReferencedSOPSequence[0]] * (MOST_REFERENCES + 1)
    with pytest.raises(content.BadCommitment) as refused:
        content.read_request(dataset, "CT1")
    assert refused.value.status == 0x0213


@pytest.mark.parametrize(("keyword", "value", "status"), [
    ("TransactionUID", "", 0x0120), ("TransactionUID", "1.2.x", 0x0115), ("TransactionUID", "1" * 65, 0x0115),
    ("TransactionUID", ["1.2", "1.3"], 0x0115), ("ReferencedSOPSequence", [], 0x0120)])
def test_what_makes_no_sense_is_refused_with_its_status(keyword: str, value: object, status: int) -> None:
    dataset = content.request_dataset("1.2", [ONE])
    setattr(dataset, keyword, value)
    with pytest.raises(content.BadCommitment) as refused:
        content.read_request(dataset, "CT1")
    assert refused.value.status == status
    assert refused.value.element == keyword


def test_a_failure_without_a_reason_is_a_failure() -> None:
    dataset = Dataset()
    dataset.TransactionUID = "1.2"
    item = content.request_dataset("1.2", [ONE]).ReferencedSOPSequence[0]
    dataset.FailedSOPSequence = [item]
    assert content.read_report(dataset).failed == (Failed(ONE, Reason.PROCESSING_FAILURE),)


@pytest.mark.parametrize(("copies", "reason"), [
    ([], Reason.NO_SUCH_OBJECT), ([Copy(CT, True)], None), ([Copy(CT, False)], Reason.PROCESSING_FAILURE),
    ([Copy(MR, True)], Reason.CLASS_INSTANCE_CONFLICT), ([Copy(CT, True), Copy(CT, False)], Reason.PROCESSING_FAILURE),
    ([Copy(MR, False), Copy(CT, True)], None)])
def test_only_what_is_intact_under_its_class_is_committed_to(copies: list[Copy], reason: Reason | None) -> None:
    report = judge(Request("1.2", "CT1", (ONE,)), {ONE.sop_instance_uid: copies})
    assert report == (Report("1.2", (ONE,)) if reason is None else Report("1.2", (), (Failed(ONE, reason),)))
    assert lacks(report) is (reason is Reason.NO_SUCH_OBJECT)


@pytest.mark.parametrize(("report", "told"), [
    (Report("1", (ONE,)), (Promise.COMMITTED, 0)), (Report("1", (TWO,)), None),
    (Report("1", (Reference(MR, ONE.sop_instance_uid),)), (Promise.FAILED, Reason.CLASS_INSTANCE_CONFLICT)),
    (Report("1", (ONE,), (Failed(ONE, 0x0112),)), (Promise.FAILED, 0x0112))])
def test_only_an_object_that_is_named_and_not_failed_is_proven(report: Report, told: object) -> None:
    assert answer_about(report, ONE) == told


def test_what_becomes_of_a_delivery() -> None:
    timeout = timedelta(hours=1)
    assert weigh(Asked("1", NOW), NOW, timeout) == Wait(timeout)
    assert weigh(Asked("1", NOW), NOW + timeout, timeout) is Verdict.UNPROVEN
    assert weigh(Asked("1", NOW, Promise.COMMITTED, NOW), NOW + 2 * timeout, timeout) is Verdict.PROVEN
    assert weigh(Asked("1", NOW, Promise.FAILED, NOW, 0x0112), NOW, timeout) is Verdict.SEND_AGAIN
    assert weigh(Asked("1", NOW, Promise.FAILED, NOW, 0x0122), NOW, timeout) is Verdict.REFUSED


def test_reports_are_tried_less_and_less_often_and_given_up_after_a_day() -> None:
    pauses = [report_again(attempt, NOW, NOW) for attempt in range(1, 40)]
    assert pauses[:3] == [timedelta(seconds=5), timedelta(seconds=10), timedelta(seconds=20)]
    assert set(pauses[12:]) == {timedelta(hours=1)}
    assert report_again(1, NOW, NOW + GIVE_UP_AFTER) is None


def test_a_file_is_intact_as_long_as_no_byte_of_it_changes(tmp_path: Path) -> None:
    content_, path = part10_bytes(slice_dataset()), tmp_path / "a.dcm"
    path.write_bytes(content_)
    digest = hashlib.sha256(split(content_)[1]).hexdigest()
    assert is_intact(StoredCopy(CT, str(path), digest))
    assert is_intact(StoredCopy(CT, str(path), hashlib.sha256(content_).hexdigest(), whole_file=True))
    for damaged in (content_[:-1], content_[:-1] + b"\xff", b"", b"no DICOM"):
        path.write_bytes(damaged)
        assert not is_intact(StoredCopy(CT, str(path), digest))
    path.unlink()
    assert not is_intact(StoredCopy(CT, str(path), digest))


@pytest.fixture
def rows(tmp_path: Path) -> DatabaseCommitments:
    database = open_database(f"sqlite:///{tmp_path / 'a.sqlite'}")
    migrate(database)
    return DatabaseCommitments(database, "SITE")


def test_a_request_is_kept_until_it_is_answered(rows: DatabaseCommitments) -> None:
    request = Request("1.2", "CT1", (ONE, TWO))
    rows.accept(request, NOW)
    rows.accept(request, NOW)
    rows.accept(Request("1.2", "CT2", (ONE,)), NOW)  # another peer's
    (found, _) = rows.open(NOW, 10)
    assert (found.request, found.report, found.attempts) == (request, None, 0)
    with pytest.raises(Unusable):
        rows.accept(Request("1.2", "CT1", (ONE,)), NOW)
    report = Report("1.2", (ONE,), (Failed(TWO, 0x0112),))
    rows.verified(found.commitment_id, report, NOW)
    rows.again(found.commitment_id, "nobody there", NOW + timedelta(minutes=1))
    assert [one.request.peer for one in rows.open(NOW, 10)] == ["CT2"]
    (again,) = [one for one in rows.open(NOW + timedelta(minutes=1), 10) if one.request.peer == "CT1"]
    assert (again.report, again.attempts) == (report, 1)
    rows.close(found.commitment_id, "reported", "", NOW)
    assert all(one.request.peer == "CT2" for one in rows.open(NOW + timedelta(days=9), 10))
    assert rows.forget(NOW + timedelta(days=1)) == 1


def test_the_first_answer_to_our_own_request_counts(rows: DatabaseCommitments) -> None:
    rows.ask("PACS", "2.25.1", ONE, NOW)
    assert rows.asked("PACS", ONE.sop_instance_uid) == Asked("2.25.1", NOW)
    assert rows.asked("OTHER", ONE.sop_instance_uid) is None
    assert not rows.answer(Report("9.9", (ONE,)), "PACS", NOW)
    assert rows.answer(Report("2.25.1", (TWO,)), "PACS", NOW)  # ours, and says nothing of the object
    assert rows.answered(NOW, 10) == []
    assert rows.answer(Report("2.25.1", (ONE,)), "PACS", NOW)
    assert rows.answer(Report("2.25.1", (), (Failed(ONE, 0x0110),)), "PACS", NOW)
    (told,) = rows.answered(NOW, 10)
    assert (told.promise, told.facts["transaction_uid"]) == (Promise.COMMITTED, "2.25.1")


def test_an_answer_after_the_delivery_was_settled_is_heard(rows: DatabaseCommitments) -> None:
    rows.ask("PACS", "2.25.1", ONE, NOW)
    rows.end("2.25.1", "no answer in time")
    assert rows.asked("PACS", ONE.sop_instance_uid) is None
    assert rows.answer(Report("2.25.1", (ONE,)), "PACS", NOW)
    assert [one.promise for one in rows.answered(NOW, 10)] == [Promise.COMMITTED]
