"""What a sound recorded at the body is, as far as readers care: samples, rate, and where it was recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from gateway.result import Problem
from gateway.study import Patient

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Audio:
    """One recorded sound. `signal`: float32 (channels, samples) in [-1, 1], the full scale of its converter, NaN where
    padded; `rate` in Hz.

    `sop_instance_uid` and `channels` ((group, channel), 1-based, per row) name the source. `location`: where on the
    body, as it was told ("" where it was not). `age_years`, `sex` (M, F, O or ""): of the patient then.
    """

    signal: Samples
    rate: float
    sop_instance_uid: str
    channels: tuple[tuple[int, int], ...]
    location: str = ""
    age_years: int | None = None
    sex: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def seconds(self) -> float:
        return float(self.signal.shape[1] / self.rate)


@dataclass(frozen=True, slots=True)
class AudioSource:
    """A sound that came without DICOM (WAV, FLAC, FHIR Media): becomes a General Audio Waveform object of its own.

    `key`: what makes it the same recording when sent again; UIDs derive from it. `signal`: float32 (channels, samples)
    in [-1, 1]. `location`: where on the body, in words.
    """

    key: tuple[str, ...]
    patient: Patient
    signal: Samples
    rate: float
    recorded_at: datetime
    accession_number: str = ""
    study_instance_uid: str = ""
    age_years: int | None = None
    location: str = ""
    description: str = ""


AudioWriter = Callable[[AudioSource], bytes]
"""AudioSource → DICOM Part 10 bytes, the same bytes for the same source."""
