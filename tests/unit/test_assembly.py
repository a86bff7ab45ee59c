"""When is a study complete? The decision alone: examples from the rules, then properties of any evidence at all."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.assembly import Handover, Heard, Wait, decide
from gateway.case import Completeness
from gateway.completion import Evidence, EvidenceKind, Lack, Missing, State, told
from gateway.phrases import PHRASES
from gateway.settings import AssemblySettings, SenderAssembly

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
POLICY = AssemblySettings(quiet_seconds=60, settle_seconds=2, max_wait_seconds=900)
STUDY = "1.2"
MPPS, IAN, COMMITMENT, COUNT, RELEASE, STOW = (
    EvidenceKind.MPPS, EvidenceKind.IAN, EvidenceKind.COMMITMENT, EvidenceKind.COUNT, EvidenceKind.RELEASE,
    EvidenceKind.STOW)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def said(kind: EvidenceKind, when: float, *listed: str, state: State = State.ENDED, identity: str = "1",
         **more: object) -> Evidence:
    form = {"series": frozenset(listed)} if listed else {}
    return Evidence(kind, STUDY, identity, str(more.pop("sender", "CT1")), at(when), state, form, **more)


def heard(here: dict[str, float], *evidence: Evidence, burst: float = 0, sender: str = "CT1") -> Heard:
    """`here`: SOP Instance UID → seconds after T0."""
    return Heard(at(burst), at(max(here.values())), evidence, {uid: at(when) for uid, when in here.items()}, len(here),
                 sender=sender)


def ends(of: Heard, policy: AssemblySettings = POLICY) -> tuple[float, Handover]:
    """(seconds after T0, decision) of the hand-over, asked as the clock asks, once all of it has been heard."""
    now = max(of.last_received_at, *(e.heard_at for e in of.evidence), at(0))
    while isinstance(decision := decide(of, now, policy), Wait):
        assert decision.until > now
        now = decision.until
    return (now - T0).total_seconds(), decision


# ---------------------------------------------------------------- procedure steps


@pytest.mark.parametrize("closed_at", [-100, 0, 3.5, 10, 200])
@pytest.mark.parametrize("state", [State.ENDED, State.DISCONTINUED])
def test_steps_closed_and_everything_here_ends_the_wait_at_once(closed_at: float, state: State) -> None:
    found = heard({"a": 0, "b": 10}, said(MPPS, closed_at, "a", "b", state=state))
    decision = decide(found, at(max(10, closed_at)), POLICY)
    assert isinstance(decision, Handover)
    assert decision.completeness is Completeness.COMPLETE
    assert decision.evidence[0]["kind"] == "proven"


def test_a_second_step_that_is_open_prevents_it_until_the_longest_wait() -> None:
    found = heard({"a": 0, "b": 10}, said(MPPS, 11, "a", "b"), said(MPPS, 1, state=State.OPEN, identity="2"),
                  said(RELEASE, 12))
    when, decision = ends(found)
    assert (when, decision.completeness, decision.missing) == (
        900, Completeness.PARTIAL, (Missing(Lack.STEP, 1),))


def test_listed_instances_that_never_come_make_it_partial_and_are_told_by_series() -> None:
    found = heard({"a": 0}, said(MPPS, 11, "a", "b", "c"), said(RELEASE, 1))
    when, decision = ends(found)
    assert (when, decision.completeness) == (900, Completeness.PARTIAL)
    assert decision.missing == (Missing(Lack.SERIES, 2, 3, "series"),)
    assert decision.missing[0].told("en") == "2 of 3 objects of series series were not received"
    assert "2 из 3" in decision.missing[0].told("ru")
    assert ends(replace(found, here={**found.here, "b": at(20), "c": at(30)}, last_received_at=at(30)))[0] == 30


def test_a_proof_of_an_earlier_burst_says_nothing_of_objects_that_come_late() -> None:
    late = heard({"a": 0, "b": 10, "late": 5000}, said(MPPS, 11, "a", "b"), burst=5000)
    assert ends(late) == (5060, ends(late)[1])
    assert ends(late)[1].completeness is Completeness.ASSUMED
    again = heard({"a": 0, "b": 5000}, said(MPPS, 11, "a", "b"), burst=5000)
    assert ends(again)[0] == 5000


def test_a_step_that_lists_nothing_ends_the_wait_with_its_senders_leaving() -> None:
    closed = said(MPPS, 12)
    assert ends(heard({"a": 0, "b": 10}, closed)) == (14, ends(heard({"a": 0, "b": 10}, closed))[1])
    when, decision = ends(heard({"a": 0, "b": 10}, closed, said(RELEASE, 11)))
    assert (when, decision.completeness) == (12, Completeness.ASSUMED)
    assert ends(heard({"a": 0, "b": 10}, said(MPPS, 3), said(RELEASE, 11)))[0] == 13


def test_a_step_of_two_studies_is_proven_by_the_objects_of_both() -> None:
    both = said(MPPS, 12, "a", "x", studies=(STUDY, "1.3"))
    one = heard({"a": 0}, both)
    assert ends(one)[0] == 900
    assert ends(replace(one, here={**one.here, "x": at(20)}))[1].completeness is Completeness.COMPLETE


# ---------------------------------------------------------------- other evidence


@pytest.mark.parametrize(("evidence", "when"), [
    (said(RELEASE, 11), 13), (said(STOW, 10), 12), (said(COMMITMENT, 15, "a", "b"), 17), (said(IAN, 15, "b"), 17),
    (said(IAN, -50, "b"), 12), (said(IAN, -50, "a"), 70), (said(RELEASE, 9), 70), (said(COUNT, 12, count=2), 70),
    (said(COUNT, 12, count=2, readings=2), 14), (said(COUNT, 12, count=1, readings=5), 70),
    (said(RELEASE, 11, state=State.BROKEN), 70), (said(COMMITMENT, 15, "a", "gone"), 900),
    (said(COUNT, 12, count=3), 900),
])
def test_other_evidence_shortens_the_wait_to_the_settle_time_or_prolongs_it(evidence: Evidence, when: float) -> None:
    seconds, decision = ends(heard({"a": 0, "b": 10}, evidence))
    assert seconds == when
    counted = evidence.kind is COUNT and evidence.readings > 1 and evidence.count == 2
    partial = Completeness.PARTIAL if when == 900 else Completeness.ASSUMED
    assert decision.completeness is (Completeness.COMPLETE if counted else partial)


def test_an_association_that_broke_keeps_the_quiet_time_of_its_burst() -> None:
    broken = said(RELEASE, 5, state=State.BROKEN, identity="broken")
    assert ends(heard({"a": 0, "b": 10}, broken, said(RELEASE, 11)))[0] == 70
    assert ends(heard({"a": 0, "b": 10}, said(RELEASE, 11), broken, burst=6))[0] == 13


ASKS = POLICY.model_copy(update={"count_from": "1"})


@pytest.mark.parametrize(("evidence", "when", "completeness"), [
    ((), 70, Completeness.ASSUMED),
    ((said(RELEASE, 11),), 20, Completeness.ASSUMED),
    ((said(RELEASE, 11), said(COUNT, 9, count=2)), 20, Completeness.ASSUMED),
    ((said(RELEASE, 11), said(COUNT, 11, state=State.BROKEN)), 13, Completeness.ASSUMED),
    ((said(RELEASE, 11), said(COUNT, 11, count=2)), 20, Completeness.ASSUMED),
    ((said(RELEASE, 11), said(COUNT, 12, count=2, readings=2)), 13, Completeness.COMPLETE),
    ((said(RELEASE, 11), said(COUNT, 11, count=1)), 13, Completeness.ASSUMED),
    ((said(RELEASE, 11), said(COUNT, 11, count=3)), 900, Completeness.PARTIAL),
    ((said(MPPS, 11, "a", "b"),), 11, Completeness.COMPLETE)])
def test_a_study_waits_for_the_archive_that_is_asked_and_not_for_long(evidence: tuple[Evidence, ...], when: float,
                                                                      completeness: Completeness) -> None:
    found, decision = ends(heard({"a": 0, "b": 10}, *evidence), ASKS)
    assert (found, decision.completeness) == (when, completeness)


def test_that_an_archive_has_not_answered_is_told() -> None:
    _, decision = ends(heard({"a": 0, "b": 10}, said(RELEASE, 11)), ASKS)
    assert [(one["kind"], one.get("state")) for one in decision.evidence[1:]] == [
        ("release", "ended"), ("count", "broken")]
    assert "1 did not tell how many objects it holds" in told(decision.evidence[2], "en")


def test_no_answer_is_not_what_is_expected() -> None:
    expects = ASKS.model_copy(update={"expect": [COUNT]})
    assert ends(heard({"a": 0, "b": 10}, said(COUNT, 11, state=State.BROKEN)), expects)[0] == 900
    assert ends(heard({"a": 0, "b": 10}, said(COUNT, 11, count=2, readings=2)), expects)[0] == 13


def test_no_answer_of_an_archive_does_not_break_an_association() -> None:
    assert ends(heard({"a": 0, "b": 10}, said(RELEASE, 11), said(COUNT, 11, state=State.BROKEN)))[0] == 13


def test_evidence_from_before_a_start_counts_from_the_start() -> None:
    found = heard({"a": 0, "b": 10}, said(RELEASE, 11)).since(at(100))
    assert ends(found)[0] == 102
    assert ends(replace(found, evidence=()))[0] == 160
    proven = replace(found, evidence=(said(MPPS, 11, "a", "b"),))
    assert isinstance(decide(proven, at(100), POLICY), Handover)


@pytest.mark.parametrize(("open_since", "when"), [(None, 900), (100, 900), (880, 940), (5000, 5060)])
def test_the_longest_wait_goes_on_over_a_start_but_for_a_minute_in_which_senders_come_back(
        open_since: float | None, when: float) -> None:
    found = heard({"a": 0}, said(MPPS, 1, state=State.OPEN))
    waited, decision = ends(found.since(None if open_since is None else at(open_since)))
    assert (waited, decision.completeness) == (when, Completeness.PARTIAL)


def test_a_wait_shorter_than_that_minute_begins_anew_with_a_start() -> None:
    short = POLICY.model_copy(update={"max_wait_seconds": 20, "quiet_seconds": 5})
    found = heard({"a": 0}, said(MPPS, 1, state=State.OPEN)).since(at(15))
    assert ends(found, short)[0] == 35


# ---------------------------------------------------------------- policy


def test_each_sender_has_its_own_policy() -> None:
    policy = POLICY.model_copy(update={"senders": {
        "CT1": SenderAssembly(quiet_seconds=20, settle_seconds=5), "MR1": SenderAssembly(trust=[RELEASE]),
        "CT2": SenderAssembly(expect=[MPPS], max_wait_seconds=100)}})
    here = {"a": 0.0, "b": 10.0}
    assert ends(heard(here), policy)[0] == 30
    assert ends(heard(here, said(RELEASE, 11)), policy)[0] == 16
    assert ends(heard(here, sender="other"), policy)[0] == 70
    open_step = said(MPPS, 3, state=State.OPEN, sender="MR1")
    assert ends(heard(here, open_step, sender="MR1"), policy)[0] == 70
    assert ends(heard(here, open_step, sender="other"), policy)[0] == 70
    assert ends(heard(here, said(MPPS, 3, "gone", sender="CT9"), sender="MR1"), policy)[0] == 70
    waited, decision = ends(heard(here, said(RELEASE, 11), sender="CT2"), policy)
    assert (waited, decision.completeness) == (100, Completeness.ASSUMED)
    assert ends(heard(here, said(MPPS, 40, "a"), sender="CT2"), policy)[0] == 40


def test_evidence_that_is_expected_has_to_be_trusted() -> None:
    with pytest.raises(ValidationError, match="CT1: mpps is expected and not trusted"):
        AssemblySettings(senders={"CT1": SenderAssembly(trust=[RELEASE], expect=[MPPS])})


def test_objects_that_still_arrive_after_the_longest_wait_go_on_as_partial() -> None:
    _, decision = ends(heard({"a": 0, "b": 899}))
    assert decision.missing == (Missing(Lack.ARRIVING),)


def test_every_word_of_it_is_there_in_every_language() -> None:
    everything = [said(kind, 11, "a", state=state) for kind in EvidenceKind for state in State
                  if kind in (RELEASE, STOW) or state is not State.BROKEN
                  if kind is MPPS or state not in (State.OPEN, State.DISCONTINUED)
                  if kind not in (RELEASE, STOW) or state in (State.ENDED, State.BROKEN)]
    for one in everything:
        for form in ends(heard({"a": 0, "b": 10}, one))[1].evidence:
            assert all(told(form, language) for language in PHRASES)
    for lack in Lack:
        assert Missing(lack, 1, 2, "1.2").told("ru") != Missing(lack, 1, 2, "1.2").told("en")


# ---------------------------------------------------------------- properties

uids = st.sampled_from("abcdefgh")
moments = st.floats(-100, 1000).map(lambda seconds: round(seconds, 1))
received = st.dictionaries(uids, st.floats(0, 300).map(lambda seconds: round(seconds, 1)), min_size=1)


@st.composite
def any_evidence(draw: st.DrawFn, among: Sequence[str] = "abcdefgh") -> Evidence:
    kind = draw(st.sampled_from(EvidenceKind))
    states = {MPPS: [State.OPEN, State.ENDED, State.DISCONTINUED], RELEASE: [State.ENDED, State.BROKEN],
              STOW: [State.ENDED, State.BROKEN], COUNT: [State.ENDED, State.BROKEN]}.get(kind, [State.ENDED])
    listed = draw(st.sets(st.sampled_from(among))) if kind in (MPPS, IAN, COMMITMENT) else set()
    state = draw(st.sampled_from(states))
    counts = kind is COUNT and state is State.ENDED
    count = {"count": draw(st.integers(0, 9)), "readings": draw(st.integers(1, 3))} if counts else {}
    return said(kind, draw(moments), *sorted(listed), state=state, identity=str(draw(st.integers(0, 1000))), **count)


evidences = st.lists(any_evidence(), max_size=5, unique_by=lambda e: (e.kind, e.identity))


@settings(deadline=None, max_examples=40)
@given(received, evidences, moments)
def test_it_is_never_handed_over_while_a_step_is_open_or_something_listed_is_missing(
        here: dict[str, float], evidence: list[Evidence], when: float) -> None:
    found = heard(here, *evidence)
    decision = decide(found, at(when), POLICY)
    short = any(e.state is State.OPEN or not e.instances <= found.here.keys() or (e.count or 0) > len(here)
                for e in evidence)
    if isinstance(decision, Handover):
        assert when >= 900 or not short
        assert (decision.completeness is Completeness.PARTIAL) == (
            short or decision.missing == (Missing(Lack.ARRIVING),))
        assert bool(decision.missing) == (decision.completeness is Completeness.PARTIAL)
        last = max(here.values())
        proof = any(e.kind is MPPS for e in evidence)
        assert proof or when >= min(last + POLICY.settle_seconds, 900)
        assert evidence or when >= min(last + POLICY.quiet_seconds, 900)


@settings(deadline=None, max_examples=40)
@given(received, evidences)
def test_it_is_always_handed_over_by_the_longest_wait(here: dict[str, float], evidence: list[Evidence]) -> None:
    assert isinstance(decide(heard(here, *evidence), at(900), POLICY), Handover)
    assert ends(heard(here, *evidence))[0] <= max(900, *((e.heard_at - T0).total_seconds() for e in evidence), 0)


@settings(deadline=None, max_examples=40)
@given(received, evidences, st.data())
def test_more_positive_evidence_never_delays_it(here: dict[str, float], evidence: list[Evidence],
                                                data: st.DataObject) -> None:
    one = data.draw(any_evidence(among=sorted(here)).filter(
        lambda e: e.state not in (State.OPEN, State.BROKEN) and (e.count or 0) <= len(here)))
    before, after = ends(heard(here, *evidence))[0], ends(heard(here, *evidence, one))[0]
    assert after <= max(before, (one.heard_at - T0).total_seconds())


@settings(deadline=None, max_examples=40)
@given(received, evidences, moments, st.randoms(use_true_random=False))
def test_the_order_in_which_it_was_said_does_not_matter(here: dict[str, float], evidence: list[Evidence], when: float,
                                                        chance: random.Random) -> None:
    shuffled = list(evidence)
    chance.shuffle(shuffled)
    backwards = dict(reversed(here.items()))
    first, second = (decide(heard(h, *e), at(when), POLICY) for h, e in ((here, evidence), (backwards, shuffled)))
    assert first == second
