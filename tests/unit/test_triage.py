"""The worklist's order: what may never happen to a case, whatever else is configured."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.case import CaseState, Completeness
from gateway.result import Verdict
from gateway.settings import ByPriority, TriageSettings
from gateway.study import Priority
from gateway.triage import STEPS, Band, Place, Standing, budget, explain, is_narrow, place, steps_passed

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = TriageSettings()
RISKS = st.floats(0, 1)
POLICIES = st.builds(
    TriageSettings, budget_minutes=st.builds(ByPriority, stat=st.integers(1, 60), urgent=st.integers(1, 600),
                                             routine=st.integers(1, 5000)),
    boost=st.builds(lambda r, u, s: ByPriority(routine=r, urgent=r + u, stat=r + u + s), RISKS, RISKS, RISKS),
    overdue_step=RISKS, assumed_risk=RISKS, narrow_boost=RISKS, demonstration_penalty=RISKS)
CASES = st.builds(
    Standing, st.sampled_from(CaseState), st.sampled_from([None, *Verdict]), st.none() | RISKS,
    st.sampled_from(Priority), st.integers(0, 20_000).map(lambda minutes: NOW - timedelta(minutes=minutes)),
    read=st.booleans(), late=st.booleans(), failed=st.booleans(), completeness=st.sampled_from([None, *Completeness]),
    conflict=st.booleans(), demonstration=st.booleans(), narrow=st.booleans())


def at(state: CaseState = CaseState.REPORTED, verdict: Verdict | None = None, risk: float | None = None,
       minutes: float = 0, policy: TriageSettings = POLICY, **more: Any) -> Place:
    priority = more.pop("priority", Priority.ROUTINE)
    return place(Standing(state, verdict, risk, priority, NOW - timedelta(minutes=minutes), **more), NOW, policy)


def above(one: Place, other: Place) -> bool:
    """`one` stands no lower than `other`, as the list sorts (due times and ids settle only what is equal here)."""
    return (one.band, one.weight) <= (other.band, other.weight)


@given(CASES, POLICIES)
def test_nothing_unanalysed_sorts_with_normals(case: Standing, policy: TriageSettings) -> None:
    if place(case, NOW, policy).band == Band.NORMAL:
        assert case.state is CaseState.REPORTED
        assert case.verdict is Verdict.NORMAL
        assert not case.late
        assert not case.conflict
        assert case.completeness is not Completeness.PARTIAL


@given(CASES, RISKS, POLICIES)
def test_a_study_never_sinks_because_it_became_sicker(case: Standing, more: float, policy: TriageSettings) -> None:
    sicker = replace(case, risk=max(case.risk or 0.0, more))
    assert above(place(sicker, NOW, policy), place(case, NOW, policy))
    found = replace(case, state=CaseState.REPORTED, verdict=Verdict.PATHOLOGY)
    missed = replace(found, verdict=Verdict.NORMAL)
    assert place(found, NOW, policy).band <= place(missed, NOW, policy).band


@given(CASES, st.integers(0, 10_000), POLICIES)
def test_a_study_never_sinks_because_it_waited_longer(case: Standing, minutes: int, policy: TriageSettings) -> None:
    later = place(case, NOW + timedelta(minutes=minutes), policy)
    assert above(later, place(case, NOW, policy))
    older = place(replace(case, received_at=case.received_at - timedelta(minutes=minutes)), NOW, policy)
    assert above(older, place(case, NOW, policy))


@given(CASES)
def test_a_study_never_sinks_because_its_order_became_more_urgent(case: Standing) -> None:
    ranked = [place(replace(case, priority=p), NOW, POLICY) for p in (Priority.STAT, Priority.URGENT, Priority.ROUTINE)]
    assert above(ranked[0], ranked[1])
    assert above(ranked[1], ranked[2])


@given(CASES, POLICIES)
def test_the_place_holds_until_it_says(case: Standing, policy: TriageSettings) -> None:
    where = place(case, NOW, policy)
    if where.rises_at is None:
        assert place(case, NOW + timedelta(days=400), policy) == where
    else:
        assert where.rises_at > NOW
        assert place(case, where.rises_at - timedelta(microseconds=1), policy) == where
        assert steps_passed(case, where.rises_at, policy) > steps_passed(case, NOW, policy)


@given(CASES, POLICIES)
def test_the_explanation_names_the_band_and_is_not_about_another_case(case: Standing, policy: TriageSettings) -> None:
    reasons = explain(case, NOW, policy)
    assert reasons[0].code.startswith("band.")
    assert [r.code for r in reasons] == list(dict.fromkeys(r.code for r in reasons))
    codes = {r.code for r in reasons}
    assert {"risk", "assumed"}.isdisjoint(codes) == (place(case, NOW, policy).band >= Band.CANCELLED)
    assert ("overdue" in codes) <= (NOW - case.received_at >= budget(case.priority, policy))


@given(CASES, POLICIES)
def test_the_explanation_stays_the_same_until_the_place_changes(case: Standing, policy: TriageSettings) -> None:
    rises = place(case, NOW, policy).rises_at
    later = NOW + timedelta(days=9) if rises is None else rises - timedelta(microseconds=1)
    assert explain(case, later, policy) == explain(case, NOW, policy)


def test_the_order_of_the_bands() -> None:
    order = [at(verdict=Verdict.PATHOLOGY, risk=0.9), at(verdict=Verdict.PATHOLOGY, risk=0.2),
             at(verdict=Verdict.UNDETERMINED), at(CaseState.WAITING), at(verdict=Verdict.NORMAL, risk=0.1),
             at(CaseState.CANCELLED), at(verdict=Verdict.PATHOLOGY, risk=1.0, read=True)]
    assert order == sorted(order)
    assert at(CaseState.FAILED).band == at(CaseState.UNSUPPORTED).band == Band.NEEDS_A_PERSON


def test_a_normal_verdict_that_cannot_be_relied_on_needs_a_person() -> None:
    for doubt in ({"completeness": Completeness.PARTIAL}, {"conflict": True}, {"late": True, "failed": True}):
        assert at(verdict=Verdict.NORMAL, risk=0.0, **doubt).band == Band.NEEDS_A_PERSON


def test_what_is_overdue_rises() -> None:
    budget_minutes = POLICY.budget_minutes.routine
    waits = [at(CaseState.WAITING, minutes=minutes) for minutes in (0, budget_minutes, 2 * budget_minutes)]
    assert [w.band for w in waits] == [Band.NOT_ANALYSED, Band.NEEDS_A_PERSON, Band.PATHOLOGY]
    failed = at(CaseState.FAILED, minutes=15, priority=Priority.STAT)
    assert above(failed, at(verdict=Verdict.PATHOLOGY, risk=0.6))
    normal = at(verdict=Verdict.NORMAL, risk=0.1, minutes=50 * budget_minutes)
    assert normal.band == Band.NORMAL
    assert normal.rises_at is None


def test_stat_goes_before_a_sicker_routine_study() -> None:
    assert at(verdict=Verdict.PATHOLOGY, risk=0.4, priority=Priority.STAT) < at(verdict=Verdict.PATHOLOGY, risk=0.85)


def test_a_demonstration_speaks_less_loudly_than_a_validated_model() -> None:
    assert at(verdict=Verdict.PATHOLOGY, risk=0.7) < at(verdict=Verdict.PATHOLOGY, risk=0.7, demonstration=True)


def test_a_pathology_stays_one_while_it_is_read_again() -> None:
    for state in (CaseState.RECEIVING, CaseState.WAITING, CaseState.ANALYSING, CaseState.FAILED):
        assert at(state, Verdict.PATHOLOGY, 0.6).band == Band.PATHOLOGY


@pytest.mark.parametrize(("probability", "threshold", "narrow"), [
    (0.37, 0.41, True), (0.36, 0.41, False), (0.5, 0.41, False), (0.0, 0.0, False)])
def test_a_narrow_normal_goes_before_the_others(probability: float, threshold: float, narrow: bool) -> None:
    finding = {"probability": probability, "threshold": threshold, "present": probability >= threshold}
    assert is_narrow([finding]) is narrow
    assert at(verdict=Verdict.NORMAL, risk=0.1, narrow=True) < at(verdict=Verdict.NORMAL, risk=0.2)


def test_steps_are_multiples_of_the_budget() -> None:
    case = Standing(CaseState.WAITING, None, None, Priority.STAT, NOW)
    waits = [NOW + timedelta(minutes=POLICY.budget_minutes.stat * step) for step in STEPS]
    assert [steps_passed(case, when, POLICY) for when in waits] == [1, 2, 3, 4]
    assert [steps_passed(case, when - timedelta(seconds=1), POLICY) for when in waits] == [0, 1, 2, 3]
