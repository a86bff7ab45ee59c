"""What is learned from: clips of real recordings, the same with added wheezes, and synthetic ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.audio import Audio
from gateway.errors import Unusable
from gateway.pipeline import Floats
from gateway.ports.recordings import Recordings
from pipelines.asthma.kauh import rows, sounds
from pipelines.asthma.labels import OUTPUTS
from pipelines.asthma.measures import measure
from pipelines.asthma.mel import mel_spectrograms
from pipelines.asthma.memory import mark
from pipelines.asthma.preprocess import clips, mono, normalised, resample
from pipelines.asthma.quality import quiet_share
from pipelines.asthma.synthesis import add_wheezes, example
from pipelines.learning.folds import Indices, Numbers
from pipelines.validation.progress import Progress, track

Halves = NDArray[np.float16]
_UNKNOWN = np.nan
_WHEEZED = np.array([_UNKNOWN, 1, 1, _UNKNOWN], dtype=np.float32)
"""What a recording with an added wheeze is: not asthma for sure, but not normal."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Recordings that can be heard: truth (recordings, outputs), features (recordings, features), marks of the
    samples, subjects, persons.

    Clips: mels (clips, 3, bands, frames) and the recording of each. `wheezed`: clips of normal breath with added
    wheezes.
    """

    truth: Floats
    features: Numbers
    marks: tuple[str, ...]
    subjects: tuple[str, ...]
    persons: tuple[str, ...]
    mels: Halves
    clip_of: Indices
    wheezed: Halves
    wheezed_clip_of: Indices

    @property
    def weights(self) -> Numbers:
        """(recordings,): one over the number of recordings of the subject."""
        _, number, counts = np.unique(np.asarray(self.subjects), return_inverse=True, return_counts=True)
        return np.asarray(1 / counts[number], np.float64)

    @property
    def clip_truth(self) -> Floats:
        return self.truth[self.clip_of]

    @property
    def wheezed_truth(self) -> Floats:
        return np.tile(_WHEEZED, (len(self.wheezed), 1))

    def clips_of(self, recordings: Indices) -> Indices:
        return np.flatnonzero(np.isin(self.clip_of, recordings))

    def wheezed_of(self, recordings: Indices) -> Indices:
        return np.flatnonzero(np.isin(self.wheezed_clip_of, recordings))

    def by_recording(self, scores: Numbers) -> Numbers:
        """(clips, columns) → (recordings, columns), the mean of each recording's clips."""
        total = np.zeros((len(self.truth), scores.shape[1]))
        np.add.at(total, self.clip_of, scores)
        return np.asarray(total / np.bincount(self.clip_of, minlength=len(total))[:, None])

    def by_subject(self, scores: Numbers, column: int) -> tuple[Numbers, Numbers]:
        """Truth and mean score of each subject about whom the column is known."""
        _, number = np.unique(np.asarray(self.subjects), return_inverse=True)
        counts = np.bincount(number)
        truth = np.bincount(number, weights=self.truth[:, column].astype(np.float64)) / counts
        mean = np.bincount(number, weights=scores[:, column]) / counts
        known = ~np.isnan(truth)
        return truth[known], mean[known]


def gather(data: Path, recordings: Recordings, progress: Progress) -> Learned:
    """Every recording of the layout under `data` that is not silent. Raises Unusable."""
    heard = [(row, prepared(audio), mark(audio.signal)) for row, audio in sounds(rows(data), recordings, progress)
             if quiet_share(np.nan_to_num(audio.signal[0]).astype(np.float64), audio.rate) <= 0.5]
    if not heard:
        raise Unusable("no recording can be heard", element="wav")
    random = np.random.default_rng(0)
    mels, clip_of, wheezed, wheezed_of = [], [], [], []
    for number, (row, sound, _) in enumerate(track(progress, heard, len(heard), "spectrograms", every=60)):
        for clip in clips(sound)[0]:
            mels.append(mel_spectrograms(clip).astype(np.float16))
            clip_of.append(number)
            if row.truth["abnormal"] < 0.5:
                louder = normalised(add_wheezes(clip, random))
                wheezed.append(mel_spectrograms(louder).astype(np.float16))
                wheezed_of.append(number)
    features = np.array([measure(sound).features() for _, sound, _ in heard], dtype=np.float64)
    return Learned(np.stack([row.vector for row, *_ in heard]), features, tuple(name for *_, name in heard),
                   tuple(row.subject for row, *_ in heard), tuple(row.person for row, *_ in heard), np.stack(mels),
                   np.array(clip_of), np.array(wheezed, dtype=np.float16), np.array(wheezed_of, dtype=np.intp))


def prepared(audio: Audio) -> Floats:
    """(samples,) at the rate that is read, normalised."""
    return normalised(resample(mono(audio.signal), audio.rate))


def synthetic(count: int, seed: int, progress: Progress) -> tuple[Halves, Floats]:
    """Spectrograms of synthetic sounds and truth (count, outputs), known of wheezes and crackles alone."""
    random = np.random.default_rng((seed, 7))
    mels = np.zeros((count, *mel_spectrograms(np.zeros(20000, np.float32)).shape), dtype=np.float16)
    truth = np.full((count, len(OUTPUTS)), _UNKNOWN, dtype=np.float32)
    for number in track(progress, range(count), count, "synthetic sounds"):
        sound, told = example(random)
        mels[number] = mel_spectrograms(normalised(sound))
        truth[number, 2:] = told
    return mels, truth
