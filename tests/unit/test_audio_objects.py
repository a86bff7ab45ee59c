"""Sounds as DICOM waveform objects: built, and read whatever their samples are."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from adapters.dicom.content.audio_read import load_audio, read_audio
from adapters.dicom.content.audio_write import write_breathing, write_sound
from adapters.dicom.content.common import to_part10
from adapters.dicom.transport import tools
from gateway.audio import AudioSource
from gateway.errors import Unusable
from gateway.study import Instance, Patient

RATE = 4000.0
TONE = (np.sin(np.arange(8000) * 2 * np.pi * 440 / RATE) * 0.5).astype(np.float32)


def source(signal: NDArray[Any] = TONE[None], rate: float = RATE) -> AudioSource:
    patient = Patient("P1", "", "Doe^Jane", "19740201", "F")
    return AudioSource(("test", "1"), patient, np.asarray(signal, np.float32), rate,
                       datetime(2026, 3, 1, 9, 30, tzinfo=UTC), age_years=52, location="posterior left lower")


def stored(part10: bytes, folder: Path, name: str = "1") -> Instance:
    path = folder / f"{name}.dcm"
    path.write_bytes(part10)
    ds = dcmread(io.BytesIO(part10), stop_before_pixels=True)
    return Instance(ds.SOPInstanceUID, ds.SOPClassUID, ds.StudyInstanceUID, ds.SeriesInstanceUID, "", str(path), 0, "",
                    {}, datetime(2026, 3, 1, tzinfo=UTC))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    part10 = write_sound(source(np.stack([TONE, TONE / 3])))
    assert part10 == write_sound(source(np.stack([TONE, TONE / 3])))
    audio = read_audio(stored(part10, tmp_path))
    assert np.abs(audio.signal - np.stack([TONE, TONE / 3])).max() < 1e-4
    assert (audio.rate, audio.channels) == (RATE, ((1, 1), (1, 2)))
    assert (audio.age_years, audio.sex, audio.location) == (52, "F", "posterior left lower")


def test_above_what_the_object_holds_it_is_resampled_and_says_so(tmp_path: Path) -> None:
    slow = np.sin(np.arange(48000) * 2 * np.pi * 440 / 48000) / 2
    part10 = write_sound(source(slow[None], 48000.0))
    group = dcmread(io.BytesIO(part10)).WaveformSequence[0]
    assert (float(group.SamplingFrequency), group.WaveformOriginality) == (44100.0, "DERIVED")
    audio = read_audio(stored(part10, tmp_path))
    wanted = np.sin(np.arange(44100) * 2 * np.pi * 440 / 44100) / 2
    assert np.abs(audio.signal[0] - wanted)[500:-500].max() < 1e-2


@pytest.mark.parametrize("signal", [np.zeros((3, 100)), np.zeros((1, 0)), np.zeros(100)])
def test_what_no_object_holds_is_refused(signal: NDArray[Any]) -> None:
    with pytest.raises(Unusable):
        write_sound(source(signal))


def mu_law(sound: NDArray[Any]) -> NDArray[np.uint8]:
    """ITU-T G.711, by its definition: 8 segments of 16 steps."""
    linear = np.rint(np.abs(sound) * 8158).astype(int) + 33
    segment = np.clip(np.floor(np.log2(linear)).astype(int) - 5, 0, 7)
    code = (segment << 4) | ((linear >> (segment + 1)) & 15) | np.where(sound < 0, 0x80, 0)
    return (~code & 0xFF).astype(np.uint8)


def a_law(sound: NDArray[Any]) -> NDArray[np.uint8]:
    linear = np.rint(np.abs(sound) * 4095).astype(int)
    segment = np.where(linear < 32, 0, np.clip(np.floor(np.log2(np.maximum(linear, 1))).astype(int) - 4, 1, 7))
    step = np.where(segment == 0, linear >> 1, (linear >> segment) & 15)
    return (((segment << 4) | step | np.where(sound < 0, 0, 0x80)) ^ 0x55).astype(np.uint8)


KINDS: dict[str, tuple[int, Any, float]] = {
    "MB": (8, mu_law, 0.03), "AB": (8, a_law, 0.03), "UB": (8, lambda x: (x * 127 + 128).astype(np.uint8), 0.02),
    "SB": (8, lambda x: (x * 127).astype(np.int8), 0.02), "SS": (16, lambda x: (x * 32767).astype("<i2"), 1e-3),
    "US": (16, lambda x: (x * 32767 + 32768).astype("<u2"), 1e-3)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sample_is_read(tmp_path: Path, kind: str) -> None:
    """Two channels side by side, the second at half the loudness."""
    bits, coded, tolerance = KINDS[kind]
    ds = rewritten(kind, bits, np.ascontiguousarray(coded(np.stack([TONE, TONE / 2])).T).tobytes())
    audio = read_audio(stored(to_part10(ds), tmp_path))
    assert np.abs(audio.signal - np.stack([TONE, TONE / 2])).max() < tolerance


def rewritten(kind: str, bits: int, data: bytes) -> Dataset:
    ds = Dataset()
    whole = dcmread(io.BytesIO(write_sound(source(np.stack([TONE, TONE])))))
    ds.update({element.tag: element for element in whole})
    group = ds.WaveformSequence[0]
    group.WaveformSampleInterpretation, group.WaveformBitsAllocated, group.WaveformData = kind, bits, data
    group["WaveformData"].VR = "OW" if bits == 16 else "OB"
    for channel in group.ChannelDefinitionSequence:
        channel.WaveformBitsStored = bits
    return ds


def test_the_longest_of_several_is_read_and_said(tmp_path: Path) -> None:
    short = stored(write_sound(source(TONE[None, :4000])), tmp_path, "short")
    other = replace(source(), key=("test", "2"))
    long = stored(write_sound(other), tmp_path, "long")
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(Path(long.path).read_bytes()[:-3000])
    audio = load_audio((short, long, replace(short, path=str(broken))))
    assert audio.sop_instance_uid == long.sop_instance_uid
    assert [problem.code for problem in audio.problems] == ["several-recordings", "unreadable-instance"]


def test_what_is_cut_short_is_refused(tmp_path: Path) -> None:
    whole = write_sound(source())
    with pytest.raises(Unusable):
        read_audio(stored(whole[:len(whole) // 2], tmp_path))


def test_breathing_is_a_curve_of_fifty_a_second(tmp_path: Path) -> None:
    """As loud as the sound is: here it doubles half-way."""
    loud = TONE * np.where(np.arange(TONE.size) < 4000, 0.5, 1.0)
    part10 = write_breathing(source(loud[None]))
    audio = read_audio(stored(part10, tmp_path))
    assert audio.rate == 50.0
    assert audio.signal.shape == (1, 100)
    assert audio.signal[0, 75] / audio.signal[0, 25] == pytest.approx(2, rel=0.05)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize(("made", "known"), [(write_sound, "Basic Voice Audio Waveform"),
                                             (write_breathing, "Hemodynamic Waveform")])
def test_dciodvfy_finds_no_error_in_the_modules(tmp_path: Path, made: Any, known: str) -> None:
    """It knows neither object and says so: what it says of one of the same modules counts."""
    path = Path(stored(made(source()), tmp_path).path)
    assert tools.dciodvfy(path) == tools.Judgement("dciodvfy", ("Error - Information Object Not found",))
    ds = dcmread(path)
    (told,) = tools.judge(path, ds.SOPClassUID)
    assert told == tools.Judgement(f"dciodvfy, as {known}", ())
    del ds.ContentDate
    ds.save_as(path)
    (told,) = tools.judge(path, ds.SOPClassUID)
    assert any("ContentDate" in line for line in told.problems)
