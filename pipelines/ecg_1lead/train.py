"""`triage-gateway train ecg_1lead`: lead I of PTB-XL in, a model of the repository out. Needs the `train` extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gateway.errors import Unusable
from gateway.pipeline import Floats
from gateway.ports.recordings import Recordings
from pipelines.ecg.examples import Changes
from pipelines.ecg.features import SINGLE_LEAD, measure_single_lead
from pipelines.ecg.network import Shape
from pipelines.ecg.ptbxl import Row
from pipelines.ecg.tables import said
from pipelines.ecg.training import Recipe
from pipelines.ecg.training import train as train_recipe
from pipelines.ecg_1lead.labels import MODEL, OUTPUTS
from pipelines.ecg_1lead.truth import AUXILIARY, auxiliary_of, truth_of
from pipelines.validation.progress import Progress, silent

EPOCHS = 10
VERSION = "2.0.0"
ANY_SENSITIVITY = 0.98
"""Of the ECGs with one of the five, the share that is to be suspect as a whole. Higher than with twelve leads: one lead
has fewer measurements and gates that would doubt what is not suspect."""
PUBLISHED = {"PVC": (0.98, 0.93), "CLBBB": (0.98, 0.91), "SBRAD": (0.95, 0.85), "STACH": (0.98, 0.90),
             "AFIB": (0.97, 0.90)}
"""Sensitivity and specificity of the published reader."""


def recipe() -> Recipe:
    shape = Shape(1, len(OUTPUTS), len(AUXILIARY), (24, 32, 48, 64, 96))
    return Recipe(MODEL, VERSION, shape, OUTPUTS, _truth, _take, measure_single_lead, SINGLE_LEAD, PUBLISHED, EPOCHS,
                  Changes(drop=0.0, invert=0.05), ANY_SENSITIVITY)


def _truth(row: Row) -> Floats:
    if row.said is not None:
        return said(row, OUTPUTS, len(AUXILIARY))
    return np.concatenate([truth_of(row.codes), auxiliary_of(row.codes)])


def _take(signal: Floats, leads: tuple[str, ...]) -> Floats:
    if "I" not in leads and len(leads) != 1:
        raise Unusable("a recording of several leads has no lead I", element="record")
    return signal[[leads.index("I") if "I" in leads else 0]]


def train(data: Path, out: Path, *, seed: int = 0, epochs: int | None = None, folds: tuple[int, ...] | None = None,
          device: str = "cpu", resume: bool = False, progress: Progress = silent,
          recordings: Recordings | None = None) -> dict[str, Any]:
    """Train on lead I of what is labelled under `data`, write `ecg_1lead` into `out`; see `pipelines.ecg.training`."""
    return train_recipe(recipe(), data, out, seed=seed, epochs=epochs, folds=folds, device=device, resume=resume,
                        progress=progress, recordings=recordings)
