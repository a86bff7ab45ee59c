"""The recordings of the demonstration, and what this reader should say of them."""

from __future__ import annotations

from pipelines.ecg.leads import LEADS
from pipelines.ecg.synthetic import RATE, Sample, synthesise


def samples() -> tuple[Sample, ...]:
    told = (("normal", 10, "Normal ECG", "normal", ""), ("afib", 11, "Atrial fibrillation", "pathology", "AFIB"),
            ("lbbb", 4, "Complete left bundle branch block", "pathology", "CLBBB"))
    return tuple(Sample(name, title, verdict, label, synthesise(name, seed), RATE, LEADS)
                 for name, seed, title, verdict, label in told)
