"""The recording of the demonstration, and what this reader should say of it."""

from __future__ import annotations

from pipelines.ecg.leads import LEADS
from pipelines.ecg.synthetic import RATE, Sample, synthesise


def samples() -> tuple[Sample, ...]:
    return (Sample("inferior", "Inferior infarction", "pathology", "inferior", synthesise("inferior", 1), RATE, LEADS),)
