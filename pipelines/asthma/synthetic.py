"""Breath sounds for the demonstration and for tests: made of nothing (see `synthesis`).

They show that the path works; they say nothing of how well real ones are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.pipeline import Floats
from pipelines.asthma.preprocess import RATE
from pipelines.asthma.synthesis import Breathing, add_crackles, add_wheezes, chest

SECONDS = 15.0
_BREATHING = Breathing(3.4, 0.1, 1.0, 0.8, 0.25)


@dataclass(frozen=True, slots=True)
class Sample:
    """One synthetic recording and what a reader should say of it. `sound`: float32 (samples,) in [-1, 1]."""

    name: str
    title: str
    verdict: str
    label: str
    """Label that must be present; empty for the normal one."""
    sound: Floats
    rate: float
    location: str


def breath(kind: str, seed: int, seconds: float = SECONDS) -> Floats:
    """`normal`, `wheezes` or `crackles`; the same kind and seed give the same sound, half of full scale at most."""
    random = np.random.default_rng(seed)
    sound = chest(random, seconds, _BREATHING)
    if kind == "wheezes":
        sound = add_wheezes(sound, random, _BREATHING, 14)
    elif kind == "crackles":
        for _ in range(3):
            sound = add_crackles(sound, random, _BREATHING)
    elif kind != "normal":
        raise ValueError(f"there is no synthetic breath of the kind {kind}")
    return np.asarray(0.5 * sound / np.abs(sound).max(), dtype=np.float32)


def samples() -> tuple[Sample, ...]:
    """The two recordings of the demonstration."""
    return (Sample("breath", "Normal breath", "normal", "", breath("normal", 3), RATE, "posterior right lower"),
            Sample("wheezes", "Wheezing breath", "pathology", "wheeze", breath("wheezes", 5), RATE,
                   "posterior left lower"))
