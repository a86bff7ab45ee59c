"""Sound files (WAV, FLAC) as `AudioSource`."""

from __future__ import annotations

import hashlib
import io
import re
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

import numpy as np

from gateway.audio import AudioSource, Samples
from gateway.errors import Unusable
from gateway.study import Patient

TYPES = frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/flac", "audio/x-flac"})
"""Media types of what is read."""
_LONGEST = 1800.0
"""Seconds."""
_RATES = (1000.0, 192_000.0)
_MOST_CHANNELS = 2
_AGE = re.compile(r"\bage\b\s*[:=]?\s*(\d{1,3})\b", re.IGNORECASE)
_SEX = re.compile(r"\b(?:sex|gender)\b\s*[:=]?\s*(male|female|m|f)\b", re.IGNORECASE)
_LOCATION = re.compile(r"\b(?:chest )?location\b\s*[:=]\s*([^;,\r\n]{1,64})", re.IGNORECASE)


def is_sound(head: bytes) -> bool:
    """Whether a file begins as RIFF WAVE or FLAC."""
    return head.startswith(b"fLaC") or (head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE")


def read_sound(content: bytes, name: str, modified: float) -> AudioSource:
    """One or two channels of a sound: PCM, floating point, mu-law and A-law WAV, FLAC.

    Age, sex and location come from the file's comment (`age 52; sex F; location: posterior left lower`), the patient id
    is the file's name, the time `modified` (POSIX seconds); the key is a digest of the samples.
    Raises Unusable: damaged, more than two channels, longer than half an hour, a rate of no sound.
    """
    signal, rate, comment = _decoded(content)
    age, sex, place = _AGE.search(comment), _SEX.search(comment), _LOCATION.search(comment)
    return AudioSource(
        ("sound", digest_of(signal, rate)), Patient(PurePath(name).stem[:64], sex=sex[1][0].upper() if sex else ""),
        signal, rate, datetime.fromtimestamp(int(modified), UTC), age_years=int(age[1]) if age else None,
        location=place[1].strip() if place else "")


def digest_of(signal: Samples, rate: float) -> str:
    """SHA-256 (hex) of a recording: copies of it are one recording, whatever file they came in."""
    head = f"{rate:.6f} {signal.shape}\n".encode()
    return hashlib.sha256(head + np.ascontiguousarray(signal, dtype="<f4").tobytes()).hexdigest()


def _decoded(content: bytes) -> tuple[Samples, float, str]:
    """(channels, samples) in [-1, 1], Hz, what the file says besides. Nothing is decoded before its length is known."""
    # libsndfile takes time to load: only who has such a file waits for it.
    import soundfile

    if content[:4] == b"RIFF" and len(content) < int.from_bytes(content[4:8], "little") < 0xFFFFFFFF:
        raise Unusable("the sound file is truncated")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            _check(file)
            samples = file.read(dtype="float32", always_2d=True)
            said = file.copy_metadata()
            rate = float(file.samplerate)
    except (soundfile.LibsndfileError, ValueError, TypeError, RuntimeError, OSError) as error:
        raise Unusable("the sound file is damaged, truncated or of a kind that is not read") from error
    if not samples.size or not np.isfinite(samples).all():
        raise Unusable("the sound file holds no samples, or one that is not finite")
    return np.ascontiguousarray(samples.T), rate, "; ".join(str(text) for text in said.values())


def _check(file: Any) -> None:
    if file.format not in ("WAV", "WAVEX", "RF64", "FLAC"):
        raise Unusable("the sound file is neither WAV nor FLAC")
    if file.channels > _MOST_CHANNELS:
        raise Unusable(f"a sound has one or two channels; this file has {file.channels}: send each by itself")
    if not _RATES[0] <= file.samplerate <= _RATES[1]:
        raise Unusable(f"{file.samplerate} samples a second are no rate of a sound")
    if file.frames > _LONGEST * file.samplerate:
        raise Unusable("the sound is longer than half an hour: send the part that is to be read")
