"""From a stethoscope's samples to what the networks read."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.asthma.measures import measure
from pipelines.asthma.mel import BANDS, band_edges, filters, mel_spectrograms, to_hertz, to_mel
from pipelines.asthma.preprocess import (
    RATE,
    WINDOW,
    clips,
    mono,
    normalised,
    resample,
    trimmed_span,
    window_starts,
)
from pipelines.asthma.synthetic import breath


@pytest.mark.parametrize(("seconds", "cut"), [(30, 2.0), (14, 2.0), (12, 1.0), (10, 0.0), (4, 0.0)])
def test_two_seconds_are_cut_off_where_ten_stay(seconds: float, cut: float) -> None:
    begin, end = trimmed_span(round(seconds * RATE))
    assert begin == cut * RATE
    assert end == round((seconds - cut) * RATE)


@pytest.mark.parametrize(("seconds", "starts"), [(10, (0, 2.5, 5)), (11, (0.5, 3, 5.5)), (5, (0,)), (7, (1,)),
                                                 (3, (0,))])
def test_clips_lie_around_the_middle(seconds: float, starts: tuple[float, ...]) -> None:
    assert window_starts(round(seconds * RATE)) == tuple(start * RATE for start in starts)


@pytest.mark.parametrize(("seconds", "count"), [(3, 1), (10, 3), (15, 3), (60, 21)])
def test_clips_are_normalised_and_know_their_second(seconds: float, count: int) -> None:
    sound = np.random.default_rng(0).normal(0.3, 0.02, round(seconds * RATE)).astype(np.float32)
    cut, starts = clips(sound)
    assert cut.shape == (count, round(WINDOW * RATE))
    assert np.allclose(cut.mean(axis=1), 0, atol=1e-4)
    assert np.allclose(cut.std(axis=1), 0.1, rtol=1e-3)
    assert starts[-1] + WINDOW <= max(seconds, WINDOW)


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 44100, 48000])
def test_a_tone_keeps_its_pitch_and_length(rate: int) -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(6 * rate) / rate).astype(np.float32)
    there = resample(tone, float(rate))
    assert abs(there.size - 6 * RATE) <= 1
    assert np.abs(np.fft.rfft(there)).argmax() / 6 == pytest.approx(500, abs=0.5)


def test_what_lies_above_does_not_come_back_as_something_else() -> None:
    """A tone of 5 kHz at 16 kHz is gone at 4 kHz, not folded down to 1 kHz."""
    tone = np.sin(2 * np.pi * 5000 * np.arange(160_000) / 16000).astype(np.float32)
    assert resample(tone, 16000.0)[400:-400].std() < 0.01


def test_channels_are_averaged_and_gaps_are_silence() -> None:
    assert mono(np.array([[1, np.nan], [0, 0.5]], np.float32)).tolist() == [0.5, 0.25]


def test_mel_bands_end_at_nyquist_or_eight_kilohertz() -> None:
    assert to_hertz(to_mel(1234.0)) == pytest.approx(1234.0)
    assert band_edges(4000.0)[-1] == pytest.approx(2000)
    assert band_edges(44100.0)[-1] == pytest.approx(8000)
    for rate, size in ((4000.0, 1024), (16000.0, 4096)):
        weights = filters(size, rate)
        assert weights.shape == (BANDS, size // 2 + 1)
        assert np.allclose(weights.sum(axis=1), 1, rtol=1e-4)


@pytest.mark.parametrize("hertz", [200.0, 440.0, 1200.0])
def test_a_tone_that_begins_stands_in_its_band(hertz: float) -> None:
    time = np.arange(20000) / RATE
    random = np.random.default_rng(1)
    sound = random.normal(0, 0.05, 20000) + 0.3 * np.sin(2 * np.pi * hertz * time) * (time > 3)
    mel = mel_spectrograms(normalised(sound.astype(np.float32)))
    assert mel.shape == (3, BANDS, 250)
    middle = band_edges()[1:-1]
    for channel in mel[1:]:
        gain = channel[:, 200:].mean(axis=1) - channel[:, :100].mean(axis=1)
        assert middle[gain.argmax()] == pytest.approx(hertz, rel=0.03)


def test_a_click_is_short_in_the_first_channel_and_long_in_the_last() -> None:
    sound = np.random.default_rng(2).normal(0, 0.01, 20000).astype(np.float32)
    sound[10000] = 5
    mel = mel_spectrograms(sound)
    lengths = [(channel.mean(axis=0) > 1).sum() for channel in mel]
    assert lengths[0] < lengths[1] < lengths[2]
    assert mel[0].mean(axis=0).argmax() == pytest.approx(125, abs=1)


def test_loudness_and_filter_change_little() -> None:
    sound = breath("wheezes", 1)[:20000]
    loud, faint = (mel_spectrograms(normalised(gain * sound)) for gain in (np.float32(1), np.float32(0.01)))
    assert np.abs(loud - faint).max() < 1e-2


def test_wheezes_and_crackles_are_measured() -> None:
    plain, wheezing, crackling = (measure(normalised(breath(kind, 4))) for kind in ("normal", "wheezes", "crackles"))
    assert wheezing.tone_97 > plain.tone_97 + 2
    assert wheezing.tonal > plain.tonal
    assert wheezing.wheeze_band > plain.wheeze_band
    assert crackling.clicks > plain.clicks
    assert plain.features().shape == (3,)
    assert np.isfinite(measure(np.zeros(40000, np.float32)).features()).all()


def test_the_same_gives_the_same() -> None:
    sound = breath("crackles", 7)
    assert (mel_spectrograms(clips(sound)[0][0]) == mel_spectrograms(clips(sound)[0][0])).all()
    assert measure(sound) == measure(sound)
