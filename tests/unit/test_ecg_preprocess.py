"""Lead order, derivation, resampling, band-pass and windows of the ECG reader."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.ecg.leads import LEADS
from pipelines.ecg.preprocess import band_pass, fill_gaps, in_order, prepare, resample, windows
from pipelines.ecg_12lead.synthetic import samples


def test_rows_come_in_order_whatever_the_source_order() -> None:
    signal = samples()[0].signal
    order = np.random.default_rng(0).permutation(12)
    ordered, missing = in_order(signal[order], tuple(LEADS[i] for i in order))
    assert missing == ()
    np.testing.assert_array_equal(ordered, signal)


@pytest.mark.parametrize("given", [("I", "II"), ("I", "III"), ("II", "III")])
def test_limb_leads_follow_from_two(given: tuple[str, str]) -> None:
    signal = samples()[0].signal
    kept = [LEADS.index(name) for name in (*given, *LEADS[6:])]
    ordered, missing = in_order(signal[kept], tuple(LEADS[i] for i in kept))
    assert missing == ()
    np.testing.assert_allclose(ordered, signal, atol=1e-5)


def test_what_cannot_be_derived_is_named() -> None:
    signal = samples()[0].signal
    ordered, missing = in_order(signal[[0, 6, 7]], ("I", "V1", "V2"))
    assert missing == ("II", "III", "aVR", "aVL", "aVF", "V3", "V4", "V5", "V6")
    assert np.isnan(ordered[1]).all()


@pytest.mark.parametrize("rate", [100.0, 250.0, 500.0, 976.5625, 1000.0])
def test_a_sine_keeps_time_and_size_at_every_rate(rate: float) -> None:
    def sine(at: float, seconds: float = 10.0) -> np.ndarray:
        return np.tile(np.sin(2 * np.pi * 5 * np.arange(round(at * seconds)) / at), (12, 1)).astype(np.float32)

    given = resample(sine(rate), rate)[:, 100:900]
    np.testing.assert_allclose(given, sine(100.0)[:, 100:900], atol=0.03)


def test_wander_and_mains_go_the_beat_stays() -> None:
    time = np.arange(1000) / 100
    beat = np.sin(2 * np.pi * 8 * time)
    dirty = beat + 3 * np.sin(2 * np.pi * 0.1 * time) + 2
    clean = band_pass(np.tile(dirty, (12, 1)).astype(np.float32))
    assert np.abs(clean[:, 200:800] - beat[200:800]).max() < 0.1
    hum = np.tile(np.sin(2 * np.pi * 50 * np.arange(5000) / 500), (12, 1)).astype(np.float32)
    assert np.abs(band_pass(resample(hum, 500.0))[:, 100:900]).max() < 0.06


def test_windows_cover_every_sample() -> None:
    for length, count in ((800, 1), (1000, 1), (1050, 1), (1100, 2), (2000, 2), (2500, 3)):
        given = windows(np.tile(np.arange(length), (12, 1)).astype(np.float32))
        assert given.shape == (count, 12, 1000)
        if length >= 1100:
            assert given[-1, 0, -1] == length - 1


def test_a_short_recording_stands_in_the_middle_of_zeros() -> None:
    (window,) = windows(np.ones((12, 800), dtype=np.float32))
    assert window[:, 100:900].all()
    assert not window[:, :100].any()
    assert not window[:, 900:].any()


def test_gaps_are_bridged_and_empty_leads_become_zero() -> None:
    signal = np.array([[0, np.nan, 2, np.nan], [np.nan] * 4], dtype=np.float32)
    np.testing.assert_array_equal(fill_gaps(signal), [[0, 1, 2, 2], [0, 0, 0, 0]])


def test_prepared_is_what_the_network_takes() -> None:
    sample = samples()[0]
    prepared = prepare(sample.signal, sample.rate)
    assert prepared.shape == (1, 12, 1000)
    assert prepared.dtype == np.float32
