"""What is not fit to be read is named; what is fit passes. And the heart rate."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.pipeline import Floats
from pipelines.ecg.preprocess import band_pass, resample
from pipelines.ecg.quality import problems_of_limb_leads, problems_of_prepared, problems_of_source
from pipelines.ecg.synthetic import KINDS, synthesise


def codes(signal: Floats, rate: float = 500.0, missing: tuple[str, ...] = ()) -> list[str]:
    return [problem.code for problem in problems_of_source(signal, rate, missing)]


@pytest.fixture
def signal() -> Floats:
    return synthesise("normal", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_recording_passes(kind: str) -> None:
    good = synthesise(kind, 5)
    assert codes(good) == []
    assert problems_of_prepared(band_pass(resample(good, 500.0))) == ()


def test_missing_leads_are_named(signal: Floats) -> None:
    (problem,) = problems_of_source(signal, 500.0, ("V2", "V3"))
    assert problem.code == "missing-leads"
    assert "V2, V3" in problem.text


def test_too_short_and_too_slow(signal: Floats) -> None:
    assert codes(signal[:, :3999]) == ["too-short"]
    assert codes(signal[:, :4000]) == []
    assert codes(signal, rate=50.0) == ["sampling-rate-too-low"]
    assert codes(signal, rate=0.0) == ["sampling-rate-too-low"]
    assert codes(signal, rate=float("nan")) == ["sampling-rate-too-low"]


@pytest.mark.parametrize("level", [0.0, 1.25])
def test_a_flat_lead(signal: Floats, level: float) -> None:
    signal[8] = level
    (problem,) = problems_of_source(signal, 500.0, ())
    assert problem.code == "flat-leads"
    assert "V3" in problem.text


def test_a_lead_lost_halfway_is_flat(signal: Floats) -> None:
    signal[6, 2500:] = 0
    assert codes(signal) == ["flat-leads"]


def test_holes(signal: Floats) -> None:
    signal[3, :200] = np.nan
    assert codes(signal) == []
    signal[3, :300] = np.nan
    assert codes(signal) == ["missing-samples"]


def test_three_by_four_with_padding_is_not_read(signal: Floats) -> None:
    for column in range(4):
        rows = slice(3 * column, 3 * column + 3)
        kept = signal[rows, 1250 * column:1250 * (column + 1)].copy()
        signal[rows] = np.nan
        signal[rows, 1250 * column:1250 * (column + 1)] = kept
    assert "missing-samples" in codes(signal)


def test_clipping(signal: Floats) -> None:
    clipped = signal.copy()
    clipped[7] = np.clip(clipped[7], -0.2, 0.2)
    (problem,) = problems_of_source(clipped, 500.0, ())
    assert (problem.code, problem.text) == ("saturated", "Saturated leads: V2.")


def test_an_amplifier_at_its_end_in_the_highest_peaks_alone(signal: Floats) -> None:
    highest = float(signal[10].max())
    signal[10] = np.minimum(signal[10], 0.6 * highest)
    assert codes(signal) == ["saturated"]


@pytest.mark.parametrize(("rate", "mains"), [(500.0, 50.0), (500.0, 60.2), (250.0, 49.8), (600.0, 60.0)])
def test_mains_hum(signal: Floats, rate: float, mains: float) -> None:
    changed = signal[:, ::2] if rate == 250 else signal
    tone = np.sin(2 * np.pi * mains * np.arange(changed.shape[1]) / rate)[None] * (np.arange(12) == 9)[:, None]
    assert codes((changed + 0.05 * tone).astype(np.float32), rate) == []
    (problem,) = problems_of_source((changed + 0.2 * tone).astype(np.float32), rate, ())
    assert (problem.code, problem.text) == ("mains-hum", f"Mains hum of {round(mains)} Hz in leads V4.")


def test_the_still_baseline_of_a_simulator_is_no_clipping() -> None:
    time = np.arange(5000) / 500
    beats = np.exp(-0.5 * (((time % 0.8) - 0.4) / 0.012) ** 2)
    still = np.outer([0.5, 1, 0.5, -0.75, 0, 0.75, -1, -0.5, 0.5, 1, 1, 1], np.where(beats > 1e-3, beats, 0))
    still[4] = still[0] / 4
    assert codes(still.astype(np.float32)) == []


def contradicting(signal: Floats) -> list[str]:
    return [problem.text for problem in problems_of_limb_leads(signal.astype(np.float32))]


def test_limb_leads_that_contradict_each_other(signal: Floats) -> None:
    assert contradicting(signal) == []
    (told,) = contradicting(signal[[6, 0, 9, 3, 4, 5, 1, 7, 8, 2, 10, 11]])
    assert "I, II and III" in told


def test_a_derived_lead_that_is_another_is_named(signal: Floats) -> None:
    (told,) = contradicting(signal[[0, 1, 2, 4, 3, 5, 6, 7, 8, 9, 10, 11]])
    assert "aVR, aVL" in told


def test_a_wandering_electrode_contradicts_nobody(signal: Floats) -> None:
    """The medians of leads that wander do not add up, though the leads do."""
    time = np.arange(signal.shape[1]) / 500
    foot = 8 + 2.5 * np.maximum(np.sin(0.9 * time), 0) ** 4
    moved = signal[:6] + np.outer([0, 1, 1, -0.5, -0.5, 1], foot)
    assert contradicting(moved) == []


@pytest.mark.parametrize("step", [0.025, 0.04])
def test_a_converter_of_eight_bits_neither_contradicts_nor_saturates(signal: Floats, step: float) -> None:
    rounded = (np.round(0.3 * signal / step) * step).astype(np.float32)
    assert contradicting(rounded) == []
    assert codes((np.round(signal / step) * step).astype(np.float32)) == []


def test_a_trace_cut_off_before_a_little_noise(signal: Floats) -> None:
    highest = float(signal[10].max())
    signal[10] = np.minimum(signal[10], 0.6 * highest) + np.random.default_rng(0).normal(0, 5e-4, signal.shape[1])
    assert codes(signal) == ["saturated"]


@pytest.mark.parametrize("noise", [0.0, 0.002])
def test_leads_lost_for_the_last_three_seconds_are_flat(signal: Floats, noise: float) -> None:
    signal[6:, 3500:] = np.random.default_rng(0).normal(0, noise, (6, 1500))
    assert codes(signal) == ["flat-leads"]


def test_noise() -> None:
    random = np.random.default_rng(0)
    noisy = (synthesise("normal", 1) + random.normal(0, 0.5, (12, 5000))).astype(np.float32)
    (problem,) = problems_of_prepared(band_pass(resample(noisy, 500.0)))
    assert problem.code == "too-noisy"
    slightly = (synthesise("normal", 1) + random.normal(0, 0.1, (12, 5000))).astype(np.float32)
    assert problems_of_prepared(band_pass(resample(slightly, 500.0))) == ()
