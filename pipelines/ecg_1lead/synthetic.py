"""The recording of the demonstration, and what this reader should say of it."""

from __future__ import annotations

from pipelines.ecg.synthetic import RATE, Sample, synthesise
from pipelines.ecg_1lead.labels import LEADS


def samples() -> tuple[Sample, ...]:
    """Half a minute of lead I, as a watch takes it."""
    signal = synthesise("afib", 12, 30)[:1]
    return (Sample("watch", "Watch, lead I: atrial fibrillation", "pathology", "AFIB", signal, RATE, LEADS),)
