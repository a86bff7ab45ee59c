"""Measured intervals and axes: on beats whose waves are known, on real patients, and on what is no ECG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.pipeline import Floats
from pipelines.ecg.delineation import Delineation, delineate
from pipelines.ecg.preprocess import fill_gaps, in_order
from pipelines.ecg.ptbxl import read, rows
from pipelines.ecg.synthetic import synthesise

PTB_XL = Path(__file__).parents[3] / "shared" / "data" / "ptb-xl"
TIME = np.arange(5000) / 500


def bump(at: float, width: float) -> NDArray[np.float64]:
    return np.exp(-0.5 * ((TIME - at) / width) ** 2)


def beats(rate: float = 66, p_at: float | None = -0.16, qrs: float = 0.011, axis: float = 40,
          t_at: float = 0.28) -> Floats:
    """Beats made of Gaussians: P `p_at` seconds from R, QRS of width sigma `qrs`, its axis in degrees, T at `t_at`."""
    angle = np.radians(axis)
    wave = np.zeros(len(TIME))
    others = np.zeros(len(TIME))
    for onset in np.arange(0.5, 9.8, 60 / rate):
        wave += bump(onset, qrs)
        others += 0.25 * bump(onset + t_at, 0.045) + (0 if p_at is None else 0.12 * bump(onset + p_at, 0.022))
    one = np.cos(angle) * wave + 0.8 * others
    foot = np.sin(angle) * wave + 0.6 * others  # along the vertical, as aVF sees it
    two = one / 2 + foot * np.sqrt(3) / 2
    chest = [0.6 * wave + 0.7 * others for _ in range(6)]
    limbs = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.stack([*limbs, *chest]).astype(np.float32)


def measured(signal: Floats, rate: float = 500.0) -> Delineation:
    found = delineate(signal, rate)
    assert found is not None
    return found


@pytest.mark.parametrize("rate", [40, 48, 72, 110, 150])
def test_heart_rate_of_even_beats(rate: int) -> None:
    assert measured(beats(rate, p_at=None, t_at=0.2)).heart_rate == pytest.approx(rate, rel=0.02)


def test_a_later_p_wave_is_a_longer_pr() -> None:
    near, far = (measured(beats(p_at=at)) for at in (-0.14, -0.24))
    assert near.pr is not None
    assert far.pr is not None
    assert far.pr - near.pr == pytest.approx(100, abs=16)
    assert near.pr == pytest.approx(140 + 2.5 * 22 - 2.5 * 11, abs=30)


def test_a_wider_complex_is_a_longer_qrs() -> None:
    narrow, wide = measured(beats(qrs=0.012)), measured(beats(qrs=0.024))
    assert wide.qrs is not None
    assert narrow.qrs is not None
    assert wide.qrs / narrow.qrs == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize("axis", [-120, -60, -20, 0, 45, 90, 130])
def test_the_axis_is_the_one_of_the_vector(axis: float) -> None:
    found = measured(beats(axis=axis)).qrs_axis
    assert found is not None
    assert abs((found - axis + 180) % 360 - 180) < 6


def test_a_later_t_wave_is_a_longer_qt_and_the_formulas_meet_at_sixty() -> None:
    early, late = (measured(beats(60, t_at=at)) for at in (0.24, 0.32))
    assert early.qt is not None
    assert late.qt is not None
    assert late.qt - early.qt == pytest.approx(80, abs=12)
    assert late.qtc_bazett == pytest.approx(late.qt, rel=0.02)
    assert late.qtc_fridericia == pytest.approx(late.qt, rel=0.02)


def test_without_a_p_wave_there_is_no_pr() -> None:
    noise = np.random.default_rng(1).normal(0, 0.004, (12, 5000)).astype(np.float32)
    assert measured(beats(p_at=None) + noise).pr is None
    assert measured(synthesise("afib", 11)).pr is None
    assert measured(synthesise("normal", 10)).pr is not None


@pytest.mark.parametrize("rate", [100.0, 250.0, 257.0, 400.0, 1000.0])
def test_the_sampling_rate_changes_nothing(rate: float) -> None:
    whole = measured(beats())
    at = np.arange(0, 10, 1 / rate)
    other = measured(np.stack([np.interp(at, TIME, row) for row in beats()]).astype(np.float32), rate)
    assert other.pr == pytest.approx(whole.pr, abs=14)
    assert other.qrs == pytest.approx(whole.qrs, abs=12)


@pytest.mark.parametrize("signal", [
    np.zeros((12, 5000)), np.full((12, 5000), 7.0), np.zeros((12, 100)), np.zeros((12, 1)), beats()[:, :900],
    np.random.default_rng(0).normal(0, 1, (12, 5000)), beats() * 1e6, np.sign(beats() - 0.3) * 5,
    np.vstack([beats()[:6], np.zeros((6, 5000))])], ids=range(9))
def test_what_is_no_ecg_is_measured_within_reason_or_not_at_all(signal: Floats) -> None:
    found = delineate(signal.astype(np.float32), 500.0)
    if found is not None:
        assert found.qrs is None or 0 < found.qrs <= 240
        assert found.pr is None or 0 < found.pr < 500
        assert found.qt is None or 0 < found.qt < 800
        assert 0 <= found.quality <= 1


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not PTB_XL.is_dir(), reason="../shared/data/ptb-xl is not there")
def test_real_patients() -> None:
    """Normal ECGs measure as textbooks say; a PR over 200 ms goes with the cardiologists' first-degree block."""
    index = {record.record: record for record in rows(PTB_XL)}
    chosen = list(index.values())
    normal = [r for r in chosen if "NORM" in r.codes][::14]
    block = [r for r in chosen if "1AVB" in r.codes][::3]
    told = {name: [_of(r.path) for r in group] for name, group in (("normal", normal), ("block", block))}
    pr = {name: np.array([d.pr for d in group if d.pr is not None]) for name, group in told.items()}
    assert 140 < np.median(pr["normal"]) < 175
    assert 80 < np.median([d.qrs for d in told["normal"] if d.qrs]) < 100
    assert 370 < np.median([d.qtc_fridericia for d in told["normal"] if d.qtc_fridericia]) < 415
    assert np.median(pr["block"]) > 205
    higher = (pr["block"][:, None] > pr["normal"][None]).mean()
    assert higher > 0.85


def _of(path: Path) -> Delineation:
    signal, rate, leads = read(path)
    return measured(fill_gaps(in_order(signal, leads)[0]), rate)
