"""When an archive is asked, what is fetched, and which earlier study is the prior: pure decisions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adapters.dicom.content import query
from adapters.dicom.transport.contexts import storage_classes
from adapters.dicom.transport.retrieve import class_groups, storage_contexts
from gateway.assembly import Heard, unanswered
from gateway.completion import Evidence, EvidenceKind, State
from gateway.fetching import (
    BETWEEN_FETCHES,
    MOST_FETCHES,
    ArchivedInstance,
    ArchivedStudy,
    Fetched,
    Level,
    PriorOf,
    Tried,
    missing_here,
    newest_prior,
    not_made_here,
    requests,
    shortfall,
    should_count,
    should_fetch,
)
from gateway.settings import AssemblySettings

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
SETTINGS = AssemblySettings(count_from="pacs", settle_seconds=2)
LATER = NOW + timedelta(seconds=3)


def counted(count: int, readings: int = 1, at: datetime = NOW) -> Evidence:
    return Evidence(EvidenceKind.COUNT, "1.2", "pacs", "pacs", at, count=count, readings=readings)


def heard(*evidence: Evidence, held: int = 3, here: tuple[str, ...] = ()) -> Heard:
    return Heard(NOW, NOW, evidence, dict.fromkeys(here, NOW), held, "CT1")


@pytest.mark.parametrize(("state", "tried", "after", "asked"), [
    (heard(), Tried(), 0.1, False),
    (heard(), Tried(), 1, True),
    (heard(), Tried(counted_at=NOW), 1, False),
    (heard(), Tried(counted_at=NOW), 6, True),
    (heard(), Tried(counted_at=NOW - timedelta(minutes=1)), 1, True),
    (heard(counted(3)), Tried(counted_at=NOW), 2, True),
    (heard(counted(3, 2)), Tried(counted_at=NOW), 60, False),
    (heard(counted(5, 9)), Tried(counted_at=NOW), 2, False),
    (heard(counted(5, 9)), Tried(counted_at=NOW), 6, True),
    (heard(unanswered("pacs", NOW)), Tried(counted_at=NOW), 2, False),
    (heard(unanswered("pacs", NOW)), Tried(counted_at=NOW), 6, True),
    (heard(counted(3, 2, NOW - timedelta(seconds=1))), Tried(), 1, True)])
def test_an_archive_is_asked_until_its_number_is_told_twice_and_met(state: Heard, tried: Tried, after: float,
                                                                    asked: bool) -> None:
    assert should_count(state, tried, NOW + timedelta(seconds=after), SETTINGS) is asked


def test_nobody_is_asked_where_no_archive_is_named_or_its_word_does_not_count() -> None:
    assert not should_count(heard(), Tried(), LATER, AssemblySettings())
    assert not should_count(heard(), Tried(), LATER, AssemblySettings(count_from="pacs", trust=[EvidenceKind.MPPS]))


def listing(state: State = State.ENDED) -> Evidence:
    return Evidence(EvidenceKind.MPPS, "1.2", "1.2.9", "CT1", NOW, state, {"1.2.3": frozenset({"a", "b"})})


def test_what_is_known_to_be_missing_is_fetched_once_nothing_comes_any_more() -> None:
    assert should_fetch(heard(listing(), here=("a",)), Tried(), LATER, SETTINGS)
    assert should_fetch(heard(counted(5)), Tried(), LATER, SETTINGS)
    assert not should_fetch(heard(listing(), here=("a",)), Tried(), NOW + timedelta(seconds=1), SETTINGS)
    assert not should_fetch(heard(listing(), here=("a", "b")), Tried(), LATER, SETTINGS)
    assert not should_fetch(heard(), Tried(), LATER, SETTINGS)
    assert not should_fetch(heard(listing(State.OPEN), here=("a",)), Tried(), LATER, SETTINGS)
    assert not should_fetch(heard(counted(5)), Tried(), LATER, AssemblySettings())


def test_fetching_is_tried_again_and_not_for_ever() -> None:
    state, once = heard(counted(5)), Tried(fetched_at=LATER, fetches=1)
    assert not should_fetch(state, once, LATER + BETWEEN_FETCHES / 2, SETTINGS)
    assert should_fetch(state, once, LATER + BETWEEN_FETCHES, SETTINGS)
    assert not should_fetch(state, replace(once, fetches=MOST_FETCHES), LATER + BETWEEN_FETCHES, SETTINGS)


HELD = [ArchivedInstance(series, f"{series}.{number}", "1.9") for series in ("1", "2") for number in range(150)]


def test_the_fewest_requests_bring_what_is_wanted() -> None:
    assert requests(HELD, HELD) == [Level()]
    assert requests(HELD[150:], HELD) == [Level("2")]
    some = requests(HELD[:120], HELD)
    assert [(level.series_instance_uid, len(level.sop_instance_uids)) for level in some] == [("1", 100), ("1", 20)]
    assert requests(HELD[149:], HELD) == [Level("1", ("1.149",)), Level("2")]
    assert missing_here(HELD, [one.sop_instance_uid for one in HELD[1:]]) == HELD[:1]


@pytest.mark.parametrize(("count", "listed", "theirs"), [
    (5, ["a", "b", "c", "d", "e"], 5),
    (5, ["a", "b", "c", "own1", "own2"], 3),
    (7, ["a", "b", "c", "d", "e", "own1", "own2"], 5),
    (5, ["a", "b", "c", "d", "e", "own1", "own2"], 5),
    (7, ["a", "own1"], 6),
    (3, [], 3)])
def test_what_was_made_here_is_no_object_that_is_missing(count: int, listed: list[str], theirs: int) -> None:
    held = [ArchivedInstance("1", uid) for uid in listed]
    assert not_made_here(count, [*held, *held[:1]], {"own1", "own2", "own3"}) == theirs


def test_identifiers_name_level_and_keys() -> None:
    image = query.retrieval("1.2", Level("1.3", ("1.4", "1.5")))
    assert (image.QueryRetrieveLevel, image.StudyInstanceUID, image.SeriesInstanceUID, list(image.SOPInstanceUID)) == (
        "IMAGE", "1.2", "1.3", ["1.4", "1.5"])
    assert query.retrieval("1.2", Level("1.3")).QueryRetrieveLevel == "SERIES"
    assert query.retrieval("1.2", Level()).QueryRetrieveLevel == "STUDY"
    assert query.studies_of_patient("ИД1").SpecificCharacterSet == "ISO_IR 192"


def test_no_association_asks_for_more_contexts_than_there_can_be() -> None:
    for classes in (["1.2.3"], [f"1.2.{n}" for n in range(12)], [f"1.2.{n}" for n in range(300)]):
        offered = storage_contexts(classes)
        assert 0 < len(offered) <= 126
        assert {uid for uid, _ in offered} <= set(classes)


READ_HERE = ("9.1.1", "9.1.2", "9.1.3", "9.4.2", "2", "2.1", "4", "4.1", "1.2", "7", "77.1.4", "77.1.7", "88.11",
             "88.59")


def test_where_no_class_is_told_two_associations_offer_every_one_and_the_first_what_is_usual() -> None:
    usual, rest = class_groups([""])
    assert sorted([*usual, *rest]) == sorted(storage_classes())
    assert {f"1.2.840.10008.5.1.4.1.1.{end}" for end in READ_HERE} <= set(usual)
    for group in (usual, rest):
        assert {uid for uid, _ in storage_contexts(group)} == set(group)
        assert len(storage_contexts(group)) <= 126


def test_classes_that_are_told_come_first_and_private_ones_are_offered_too() -> None:
    assert class_groups(["1.9.2", "1.9.1", "1.9.1"]) == [["1.9.1", "1.9.2"]]
    assert class_groups(["", "1.9.1"])[0][0] == "1.9.1"
    assert "1.9.9" in class_groups([""], ["1.9.9"])[0]
    assert [len(group) for group in class_groups([f"1.9.{n}" for n in range(400)])] == [126, 126]


@pytest.mark.parametrize(("came", "fetched", "words"), [
    (3, Fetched(0), ""),
    (0, Fetched(3, told=True), "0 of 3 objects came: the archive says it sent them; see where its entry for our AE "
                               "title points."),
    (1, Fetched(2, 1, told=True), "1 of 3 objects came: the archive says it sent 2; see where its entry for our AE "
                                  "title points."),
    (0, Fetched(0, told=True), "0 of 3 objects came: the archive says it is done; see where its entry for our AE "
                               "title points."),
    (1, Fetched(1, 2, told=True), "1 of 3 objects came: 2 could not be sent or stored."),
    (1, Fetched(1, 0, "The archive broke off.", told=True), "1 of 3 objects came. The archive broke off."),
    (0, Fetched(3), "0 of 3 objects came.")])
def test_what_did_not_come_is_told_with_what_to_do(came: int, fetched: Fetched, words: str) -> None:
    assert shortfall(3, came, fetched) == words


STUDY = PriorOf("1.2", "P1", "HOSP", "19600101", "CT", "20260105", "080000")
OLD = ArchivedStudy("1.1", "P1", "HOSP", "19600101", ("CT", "SR"), "20250105", "1200")


@pytest.mark.parametrize("changes", [
    {"study_instance_uid": "1.2"}, {"patient_id": "P2"}, {"issuer": "OTHER"}, {"birth_date": "19600102"},
    {"modalities": ("MR",)}, {"modalities": ()}, {"date": ""}, {"date": "20260105", "time": "0801"},
    {"date": "20270101"}])
def test_another_patient_modality_or_a_later_study_is_no_prior(changes: dict[str, object]) -> None:
    assert newest_prior(STUDY, [replace(OLD, **changes)]) is None


def test_the_newest_of_the_same_patient_and_modality_is_the_prior() -> None:
    newer = replace(OLD, study_instance_uid="1.3", date="20260105", time="0759")
    unknown = replace(OLD, study_instance_uid="1.4", issuer="", birth_date="", date="20240101")
    assert newest_prior(STUDY, [unknown, OLD, newer]) == newer
    assert newest_prior(STUDY, [unknown, OLD]) == OLD
    assert newest_prior(STUDY, [unknown]) == unknown
    assert newest_prior(replace(STUDY, date=""), [OLD, newer]) == newer
    assert newest_prior(STUDY, []) is None


@pytest.mark.parametrize("patient_id", ["", "  ", "P*", "P?", "P1\\P2"])
def test_a_patient_who_cannot_be_named_is_not_asked_for(patient_id: str) -> None:
    assert not replace(STUDY, patient_id=patient_id).askable
    assert STUDY.askable
