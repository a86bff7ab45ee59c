"""Where in a recording a finding is told from: the network's second output, put together from its windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from gateway.evidence_map import EvidenceTrace, as_bytes
from gateway.pipeline import Array
from pipelines.ecg.preprocess import RATE, WINDOW

MOST_STEPS = 3000
"""Ten minutes: of longer recordings no map is kept."""


class Placed(Protocol):
    """`starts`: the sample at 100 Hz where each window begins; `samples`: how long the recording is at 100 Hz."""

    @property
    def starts(self) -> tuple[int, ...]: ...

    @property
    def samples(self) -> int: ...


def trace_of(evidence: Array, inputs: Placed, outputs: Sequence[str], labels: Sequence[str],
             leads: tuple[str, ...]) -> EvidenceTrace | None:
    """`evidence` (windows, outputs, leads, steps) in [0, 1] → the map of `labels`; None without a label, or where it
    would be too long. Where windows overlap the stronger counts; each label is told in shares of its largest."""
    per_step = WINDOW // evidence.shape[3]
    steps = int(np.ceil(inputs.samples / per_step))
    if not labels or steps > MOST_STEPS:
        return None
    chosen = np.nan_to_num(evidence[:, [outputs.index(label) for label in labels]].astype(np.float64))
    values = np.zeros((len(labels), len(leads), steps))
    for window, start in zip(chosen, inputs.starts, strict=True):
        at = round(start / per_step) + np.arange(evidence.shape[3])
        inside = (at >= 0) & (at < steps)
        values[:, :, at[inside]] = np.maximum(values[:, :, at[inside]], window[:, :, inside])
    largest = values.max(axis=(1, 2), keepdims=True)
    return EvidenceTrace(tuple(labels), leads, as_bytes(values / np.maximum(largest, 1e-6)), per_step / RATE)
