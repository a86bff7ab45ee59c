"""What is looked for in lead I alone."""

from __future__ import annotations

from dataclasses import replace

from pipelines.ecg.labels import SYNDROMES, Label

MODEL = "ecg_1lead"
"""Its folder in the model repository."""
LEADS: tuple[str, ...] = ("I",)
NAMES: tuple[str, ...] = ("PVC", "CLBBB", "SBRAD", "STACH", "AFIB")
NORM = "NORM"
"""The sixth output of the network: a lead I as in a normal 12-lead ECG, as against any abnormality."""
OUTPUTS: tuple[str, ...] = (*NAMES, NORM)
"""Order of the columns that the network gives."""

LABELS: tuple[Label, ...] = tuple(replace(label, leads=LEADS) for name in NAMES for label in SYNDROMES
                                  if label.name == name)
