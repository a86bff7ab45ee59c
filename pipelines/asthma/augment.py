"""What training does to spectrograms so that few subjects go further: stretching, mixing, added wheezes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.pipeline import Floats

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Tricks:
    """Which of the synthetic tricks are used; each can be left out to see what it does."""

    synthesis: bool = True
    """Learning from synthetic breath first."""
    wheezes: bool = True
    """Wheezes added to recordings of normal breath."""
    mixing: bool = True
    stretching: bool = True


def augmented(mels: NDArray[np.floating], truth: Floats, random: Random, tricks: Tricks) -> tuple[Floats, Floats]:
    """Changed copies of (batch, 3, bands, frames) and of (batch, outputs), NaN where nobody knows."""
    changed, told = mels.astype(np.float32), truth.copy()
    if tricks.stretching:
        changed = np.stack([stretched(mel, random) for mel in changed])
    changed = np.stack([np.roll(mel, int(random.integers(0, mel.shape[2])), axis=2) for mel in changed])
    if tricks.mixing:
        changed, told = mixed(changed, told, random)
    return changed + random.normal(0, 0.05, (len(changed), 3, 1, 1)).astype(np.float32), told


def stretched(mel: Floats, random: Random) -> Floats:
    """Slower or faster by up to a fifth, and up to six bands higher or lower."""
    bands, frames = mel.shape[1:]
    at = np.arange(frames) * float(np.exp(random.uniform(-0.18, 0.18)))
    at = np.abs((at + frames) % (2 * frames) - frames)  # the end mirrored
    taken = mel[:, :, np.minimum(np.rint(at).astype(int), frames - 1)]
    shift = int(random.integers(-6, 7))
    return taken[:, np.clip(np.arange(bands) - shift, 0, bands - 1)]


def mixed(mels: Floats, truth: Floats, random: Random, share: float = 0.3) -> tuple[Floats, Floats]:
    """Some with another laid over them, 0 to 6 dB fainter: the louder counts at each point, what either has is there.

    Asthma together with another disease is nobody's diagnosis: NaN.
    """
    other, chosen = random.permutation(len(mels)), random.uniform(size=len(mels)) < share
    changed, told = mels.copy(), truth.copy()
    for number in np.flatnonzero(chosen):
        fainter = mels[other[number]] - random.uniform(0, 0.6)
        changed[number] = np.maximum(mels[number], fainter)
        told[number] = np.maximum(truth[number], truth[other[number]])
        if truth[number, 0] != truth[other[number], 0] and min(truth[number, 1], truth[other[number], 1]) > 0:
            told[number, 0] = np.nan
    return changed, told
