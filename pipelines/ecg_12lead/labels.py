"""What is looked for in a 12-lead ECG."""

from __future__ import annotations

from pipelines.ecg.labels import SYNDROMES, Label

MODEL = "ecg_12lead"
"""Its folder in the model repository."""
LABELS: tuple[Label, ...] = SYNDROMES

NORM = "NORM"
"""The twelfth output of the network: a normal ECG as against any abnormality, also those not among the eleven."""

OUTPUTS: tuple[str, ...] = (*(label.name for label in LABELS), NORM)
"""Order of the columns that the network gives."""
