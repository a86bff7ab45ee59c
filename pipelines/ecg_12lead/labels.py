"""What is looked for in a 12-lead ECG."""

from __future__ import annotations

from pipelines.ecg.labels import NORM, SYNDROMES, Label

MODEL = "ecg_12lead"
"""Its folder in the model repository."""
LABELS: tuple[Label, ...] = SYNDROMES

OUTPUTS: tuple[str, ...] = (*(label.name for label in LABELS), NORM)
"""Order of the columns that the network gives."""
