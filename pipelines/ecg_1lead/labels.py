"""What is looked for in lead I alone."""

from __future__ import annotations

from dataclasses import replace

from pipelines.ecg.labels import NORM, SYNDROMES, Label

MODEL = "ecg_1lead"
"""Its folder in the model repository."""
LEADS: tuple[str, ...] = ("I",)
NAMES: tuple[str, ...] = ("PVC", "CLBBB", "SBRAD", "STACH", "AFIB")
OUTPUTS: tuple[str, ...] = (*NAMES, NORM)
"""Order of the columns that the network gives."""

LABELS: tuple[Label, ...] = tuple(replace(label, leads=LEADS) for name in NAMES for label in SYNDROMES
                                  if label.name == name)
