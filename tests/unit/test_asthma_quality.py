"""Gates of the breath sound reader: what is not fit to be read is named, and breath passes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import resample_poly

from gateway.pipeline import Floats
from pipelines.asthma.preprocess import RATE, normalised, resample
from pipelines.asthma.quality import clipped_share, problems_of_prepared, problems_of_source
from pipelines.asthma.synthesis import voice
from pipelines.asthma.synthetic import breath

SECONDS = 15.0
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
TIME = np.arange(round(SECONDS * RATE)) / RATE


def faint(seed: int) -> Floats:
    """Breath, hardly heard."""
    return np.asarray(0.02 * breath("normal", seed), dtype=np.float32)


def silence(seed: int) -> Floats:
    return np.asarray(np.random.default_rng(seed).normal(0, 1e-4, TIME.size), dtype=np.float32)


def half_silent(seed: int) -> Floats:
    return np.asarray(breath("normal", seed) * (TIME > 0.6 * SECONDS), dtype=np.float32)


def hum(seed: int) -> Floats:
    random = np.random.default_rng(seed)
    mains = float(random.choice([50.0, 60.0])) * (1 + random.normal(0, 5e-4))
    tone = sum(np.sin(2 * np.pi * k * mains * TIME + random.uniform(0, 6)) / k for k in (1, 2, 3, 5))
    return np.asarray(0.3 * tone / np.abs(tone).max() + faint(seed), dtype=np.float32)


def humming(seed: int) -> Floats:
    """A steady tone of 170 Hz."""
    return np.asarray(0.3 * np.sin(2 * np.pi * 170 * TIME) + faint(seed), dtype=np.float32)


def speech(seed: int) -> Floats:
    """Syllables with pauses, breath under them."""
    random, sound, at = np.random.default_rng(seed), faint(seed), 0
    while at < TIME.size - 3000:
        piece = voice(random, 0.2 * random.uniform(0.4, 1), random.uniform(0.12, 0.35))
        end = min(at + piece.size, TIME.size)
        sound[at:end] += piece[:end - at].astype(np.float32)
        at = end + int(random.uniform(0.03, 0.3) * RATE)
    return sound


def noise(seed: int) -> Floats:
    """A room: no chest wall in between."""
    return np.asarray(np.random.default_rng(seed).normal(0, 0.1, TIME.size), dtype=np.float32)


def clipped(seed: int) -> Floats:
    return np.asarray(np.clip(8 * breath("normal", seed), -1, 1), dtype=np.float32)


def clipped_and_turned_down(seed: int) -> Floats:
    return np.asarray(0.3 * clipped(seed), dtype=np.float32)


def found(sound: Floats, rate: float = RATE, shortest: float = 10.0) -> list[str]:
    problems = problems_of_source(sound, rate, shortest) or problems_of_prepared(normalised(resample(sound, rate)))
    return [problem.code for problem in problems]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("made", "reason"), [
    (silence, "silence"), (half_silent, "silence"), (hum, "hum"), (humming, "hum"), (speech, "speech"),
    (noise, "speech"), (clipped, "clipped"), (clipped_and_turned_down, "clipped")])
def test_what_is_no_breath_is_named(made: Callable[[int], Floats], reason: str, seed: int) -> None:
    assert found(made(seed)) == [reason]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["normal", "wheezes", "crackles"])
def test_breath_passes(kind: str, seed: int) -> None:
    assert found(breath(kind, seed)) == []


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_the_same_at_other_rates(rate: int) -> None:
    for made, reason in ((breath("normal", 0), []), (hum(0), ["hum"]), (speech(0), ["speech"])):
        there = resample_poly(made.astype(np.float64), rate, 4000).astype(np.float32)
        assert found(there, float(rate)) == reason


def test_length_is_the_sites_choice() -> None:
    two = breath("normal", 0)[:8000]
    assert found(two) == ["too-short"]
    ten = breath("normal", 0)[:40000]
    assert found(ten) == []
    assert found(ten, shortest=14.0) == ["too-short"]


@pytest.mark.parametrize("rate", [100.0, 3000.0, 96000.0])
def test_other_rates_are_named(rate: float) -> None:
    assert found(np.zeros(round(15 * rate), np.float32), rate) == ["sampling-rate"]


def test_missing_samples_are_named() -> None:
    sound = breath("normal", 0)
    sound[:5000] = np.nan
    assert found(sound) == ["missing-samples"]


def test_clipping_is_counted_where_samples_stay_at_the_top() -> None:
    """A pure tone touches its top and leaves, however loud; by the published rule 5 % of anything is clipped."""
    tone = np.sin(2 * np.pi * 60 * TIME)
    assert clipped_share(tone) < 0.005
    assert clipped_share(np.sin(2 * np.pi * 30 * np.arange(441000) / 44100)) < 0.02
    assert clipped_share(np.clip(1.05 * tone, -1, 1)) == pytest.approx(0.2, abs=0.03)
