"""Where in a recording a finding is told from: what the network loses when a lead or half a second is taken away.

Asked for when somebody looks, never on the way to a report: it costs 33 times the reading itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.evidence_map import EvidenceTrace, as_bytes
from gateway.pipeline import Ecg, Floats, Steps, infer
from pipelines.ecg.leads import LEADS
from pipelines.ecg.preprocess import RATE, WINDOW, band_pass, fill_gaps, in_order, resample, windows
from pipelines.ecg_12lead.labels import OUTPUTS

Numbers = NDArray[np.float64]
STEP = 0.5
"""Seconds that are taken away at once."""
LEAST = 0.1
"""Logits: a smaller loss is none."""
MOST_WINDOWS = 12
_SPAN = round(STEP * RATE)


def evidence_of(ecg: Ecg, labels: Sequence[str]) -> Steps[EvidenceTrace | None]:
    """The map of these labels over leads and time; None for a recording of more than two minutes, or lacking leads.

    A cell is the loss by its lead times the loss by its time, each as a share of the largest.
    """
    ordered, missing = in_order(ecg.signal, ecg.leads)
    wanted = [label for label in labels if label in OUTPUTS]
    prepared = None if missing or not wanted else band_pass(resample(fill_gaps(ordered), ecg.rate))
    if prepared is None or prepared.shape[1] > MOST_WINDOWS * WINDOW:
        return None
    steps = int(np.ceil(prepared.shape[1] / _SPAN))
    values = np.zeros((len(wanted), len(LEADS), steps))
    for window, start in zip(windows(prepared), _starts(prepared.shape[1]), strict=True):
        (told,) = yield from infer("ecg_12lead", {"ecg": with_gaps(window)}, ("probabilities",))
        part = strength(told)[[OUTPUTS.index(label) for label in wanted]]
        _put(values, part, start)
    return EvidenceTrace(tuple(wanted), LEADS, as_bytes(values), STEP)


def with_gaps(window: Floats) -> Floats:
    """(12, 1000) → (33, 12, 1000): as it is, without each lead, without each half second."""
    copies = np.repeat(window[None], 1 + len(LEADS) + WINDOW // _SPAN, axis=0)
    for lead in range(len(LEADS)):
        copies[1 + lead, lead] = 0
    for step in range(WINDOW // _SPAN):
        copies[1 + len(LEADS) + step, :, step * _SPAN:(step + 1) * _SPAN] = 0
    return copies


def strength(probabilities: Floats) -> Numbers:
    """(33, outputs) of `with_gaps` → (outputs, leads, steps) in [0, 1]."""
    likely = np.clip(probabilities.astype(np.float64), 1e-6, 1 - 1e-6)
    logits = np.log(likely / (1 - likely))
    loss = np.clip(logits[0] - logits[1:], 0, None).T
    by_lead, by_step = _shares(loss[:, :len(LEADS)]), _shares(loss[:, len(LEADS):])
    return np.asarray(by_lead[:, :, None] * by_step[:, None, :])


def _shares(loss: Numbers) -> Numbers:
    largest = loss.max(axis=1, keepdims=True)
    return np.where(largest >= LEAST, loss / np.maximum(largest, LEAST), 0.0)


def _starts(samples: int) -> list[int]:
    """Where each of `windows` begins; before the recording where that is shorter than a window."""
    if samples < WINDOW:
        return [-((WINDOW - samples) // 2)]
    starts = list(range(0, samples - WINDOW + 1, WINDOW))
    return [*starts, samples - WINDOW] if samples - WINDOW - starts[-1] >= RATE else starts


def _put(values: Numbers, part: Numbers, start: int) -> None:
    """The strongest of overlapping windows counts."""
    for step in range(part.shape[2]):
        at = round((start + step * _SPAN) / _SPAN)
        if 0 <= at < values.shape[2]:
            values[:, :, at] = np.maximum(values[:, :, at], part[:, :, step])
