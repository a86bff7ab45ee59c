"""Electrodes that are off, exchanged, or wrongly scaled: each by a recording made so on purpose, all gates in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.pipeline import Floats
from pipelines.ecg.checking import check
from pipelines.ecg.leads import LEADS
from pipelines.ecg.synthetic import KINDS, synthesise

Signal = NDArray[Any]
RANDOM = np.random.default_rng(3)


def codes(signal: Signal, rate: float = 500.0) -> list[str]:
    return [problem.code for problem in check(signal.astype(np.float32), rate, ()).problems]


def from_electrodes(right: Signal, left: Signal, foot: Signal, chest: Signal) -> Signal:
    """Leads as a cart makes them of what its electrodes carry."""
    one, two, three = left - right, foot - right, foot - left
    return np.stack([one, two, three, -(one + two) / 2, one - two / 2, two - one / 2, *chest])


def electrodes(kind: str = "normal") -> tuple[Floats, Floats, Floats, Floats]:
    leads = synthesise(kind, 5)
    return np.zeros_like(leads[0]), leads[0], leads[1], leads[6:]


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_recording_passes_every_gate(kind: str) -> None:
    assert codes(synthesise(kind, 5)) == []
    assert codes(synthesise(kind, 5)[:, ::5], 100.0) == []


def test_the_arms_exchanged() -> None:
    right, left, foot, chest = electrodes()
    assert codes(from_electrodes(right, left, foot, chest)) == []
    assert codes(from_electrodes(left, right, foot, chest)) == ["limb-leads-swapped"]


def test_the_right_arm_and_the_left_leg_exchanged() -> None:
    right, left, foot, chest = electrodes()
    assert codes(from_electrodes(foot, left, right, chest)) == ["limb-leads-swapped"]


def off(signal: Floats, leads: tuple[str, ...], trouble: Callable[[tuple[int, ...]], Floats]) -> Floats:
    for lead in leads:
        signal[LEADS.index(lead)] = trouble(signal[0].shape)
    return signal


@pytest.mark.parametrize("trouble", [lambda shape: RANDOM.normal(0, 0.05, shape),
                                     lambda shape: np.cumsum(RANDOM.normal(0, 0.01, shape))])
def test_a_chest_electrode_that_is_off(trouble: Callable[[tuple[int, ...]], Floats]) -> None:
    checked = check(off(synthesise("normal", 5), ("V3",), trouble), 500.0, ())
    assert [problem.code for problem in checked.problems] == ["lead-off"]
    assert "V3" in checked.problems[0].text


def test_an_arm_electrode_that_is_off() -> None:
    _, left, foot, chest = electrodes()
    drifting = np.cumsum(RANDOM.normal(0, 0.05, left.shape)) + RANDOM.normal(0, 0.4, left.shape)
    assert codes(from_electrodes(drifting, left, foot, chest)) in (["lead-off"], ["too-noisy"])


def told(signal: Signal) -> list[tuple[str, str]]:
    return [(problem.code, problem.text) for problem in check(signal.astype(np.float32), 500.0, ()).problems]


def test_the_left_arm_electrode_that_is_off_leaves_lead_one_without_beats() -> None:
    right, left, foot, chest = electrodes()
    random = np.random.default_rng(1)
    drifting = np.cumsum(random.normal(0, 0.02, left.shape)) + random.normal(0, 0.03, left.shape)
    ((code, text),) = told(from_electrodes(right, drifting, foot, chest))
    assert code == "lead-off"
    assert "leads I:" in text


def test_the_right_arm_exchanged_with_the_right_leg_leaves_lead_two_without_beats() -> None:
    _, left, foot, chest = electrodes()
    ((code, text),) = told(from_electrodes(foot + np.random.default_rng(1).normal(0, 0.005, foot.shape), left, foot,
                                           chest))
    assert code == "lead-off"
    assert "leads II:" in text
    assert "right leg" in text


def test_a_chest_lead_of_nothing_but_hum_is_off() -> None:
    for phase in np.arange(0, 6, 0.5):
        signal = synthesise("normal", 5)
        signal[8] = 0.05 * np.sin(2 * np.pi * 50 * np.arange(signal.shape[1]) / 500 + phase)
        assert codes(signal) == ["lead-off"], phase


def test_a_heartbeat_that_is_lost_for_half_of_the_recording() -> None:
    signal = synthesise("normal", 5)
    signal[:, 2500:] = np.random.default_rng(1).normal(0, 0.02, signal[:, 2500:].shape)
    ((code, text),) = told(signal)
    assert code == "no-heartbeat"
    assert " s of the recording" in text


def test_noise_that_spoils_the_sum_of_the_limb_leads_is_named_noise() -> None:
    assert codes(synthesise("normal", 5) + np.random.default_rng(1).normal(0, 0.4, (12, 5000))) == ["too-noisy"]


@pytest.mark.parametrize("factor", [1000.0, 10.0, 0.1, 0.001])
def test_another_unit_than_millivolts(factor: float) -> None:
    recording = synthesise("normal", 5) + RANDOM.normal(0, 0.01, (12, 5000))
    assert codes(recording * factor) == ["wrong-gain"]
    assert [problem.code for problem in check((recording[:1] * factor).astype(np.float32), 500.0, (), ("I",)).problems
            ] == ["wrong-gain"]


def test_noise_and_silence_are_no_wrong_gain() -> None:
    assert codes(RANDOM.normal(0, 1e-4, (12, 5000))) == ["flat-leads"]
    assert "wrong-gain" not in codes(synthesise("normal", 5) + RANDOM.normal(0, 0.5, (12, 5000)))


def test_nothing_but_noise_has_no_heartbeat() -> None:
    assert set(codes(RANDOM.normal(0, 0.02, (12, 5000)))) & {"no-heartbeat", "lead-off", "leads-contradict"}


def test_one_lead_alone_is_checked_alone() -> None:
    lead = synthesise("normal", 5)[:1]
    assert check(lead, 500.0, (), ("I",)).problems == ()
    assert [p.code for p in check(lead * 1000, 500.0, (), ("I",)).problems] == ["wrong-gain"]
    noise = RANDOM.normal(0, 0.05, lead.shape).astype(np.float32)
    assert [p.code for p in check(noise, 500.0, (), ("I",)).problems] == ["no-heartbeat"]


def test_what_is_refused_is_measured_all_the_same() -> None:
    checked = check(synthesise("normal", 5)[:, :3000], 500.0, ())
    assert [problem.code for problem in checked.problems] == ["too-short"]
    assert checked.waves is not None
    assert 60 < checked.waves.heart_rate < 90
