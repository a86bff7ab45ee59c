"""WAV and FLAC files as sounds, and the DICOM objects that they become."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from adapters.files.conversion import Conversion
from adapters.files.sound_source import is_sound, read_sound
from gateway.errors import Unusable
from tests.sounds import wav

TONE = np.sin(np.arange(8000) / 9) / 2


@pytest.mark.parametrize(("form", "subtype", "tolerance"), [
    ("WAV", "PCM_16", 1e-4), ("WAV", "PCM_U8", 0.01), ("WAV", "PCM_24", 1e-5), ("WAV", "FLOAT", 1e-6),
    ("WAV", "ULAW", 0.03), ("WAV", "ALAW", 0.03), ("FLAC", "PCM_16", 1e-4)])
def test_files_are_read(form: str, subtype: str, tolerance: float) -> None:
    content = wav(np.stack([TONE, -TONE]), 44100, subtype, form)
    assert is_sound(content[:64])
    sound = read_sound(content, "folder/B002.wav", 1_700_000_000)
    assert np.abs(sound.signal - np.stack([TONE, -TONE])).max() < tolerance
    assert (sound.rate, sound.patient.patient_id) == (44100.0, "B002")


def test_the_comment_tells_age_sex_and_location() -> None:
    sound = read_sound(wav(TONE, comment="age 52; sex F; location: posterior left lower"), "a.wav", 0)
    assert (sound.age_years, sound.patient.sex, sound.location) == (52, "F", "posterior left lower")


def test_copies_are_one_recording() -> None:
    """Whatever file they came in."""
    first, copy = read_sound(wav(TONE), "a.wav", 0), read_sound(wav(TONE, form="FLAC"), "b.flac", 5)
    assert first.key == copy.key
    assert first.key != read_sound(wav(TONE / 2), "a.wav", 0).key


WHOLE = wav(TONE)


@pytest.mark.parametrize("content", [
    WHOLE[:30], WHOLE[:5000], b"fLaC" + bytes(60), b"RIFF\x10\0\0\0WAVEfmt ", wav(np.stack([TONE] * 3)), wav(TONE, 500),
    wav(np.zeros(0))], ids=["header", "truncated", "flac", "empty", "three channels", "slow", "no samples"])
def test_others_are_refused_in_words(content: bytes) -> None:
    with pytest.raises(Unusable) as refusal:
        read_sound(content, "a.wav", 0)
    assert "sound" in str(refusal.value)


def test_a_length_is_believed_only_once_it_is_small() -> None:
    """A FLAC file of silence holds half an hour in a few bytes; nothing of it is unpacked."""
    with pytest.raises(Unusable, match="half an hour"):
        read_sound(wav(np.zeros(4000 * 1801), form="FLAC"), "a.flac", 0)


def test_an_upload_becomes_a_general_audio_waveform() -> None:
    conversion = Conversion()
    assert conversion.kind(WHOLE[:64]) == "sound"
    assert "WAV" in conversion.accepted
    (part10,) = conversion.objects("sound", WHOLE, "B002.wav", 1_700_000_000)
    ds: Any = dcmread(io.BytesIO(part10))
    assert (ds.SOPClassUID, ds.Modality, ds.PatientID) == ("1.2.840.10008.5.1.4.1.1.9.4.2", "AU", "B002")
