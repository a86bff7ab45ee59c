"""`triage-gateway train ecg_12lead`: PTB-XL in, a folder of the model repository out. Needs the `train` extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gateway.pipeline import Floats
from gateway.ports.recordings import Recordings
from pipelines.ecg.examples import Changes
from pipelines.ecg.features import TWELVE_LEAD, measure_twelve_leads
from pipelines.ecg.leads import LEADS
from pipelines.ecg.network import Shape
from pipelines.ecg.preprocess import in_order
from pipelines.ecg.ptbxl import Row
from pipelines.ecg.tables import said
from pipelines.ecg.training import Recipe
from pipelines.ecg.training import train as train_recipe
from pipelines.ecg_12lead.labels import MODEL, OUTPUTS
from pipelines.ecg_12lead.truth import AUXILIARY, auxiliary_of, truth_of
from pipelines.validation.progress import Progress, silent

EPOCHS = 10
VERSION = "2.1.0"
ANY_SENSITIVITY = 0.97
"""Of the ECGs with one of the eleven, the share that is to be suspect as a whole."""
PUBLISHED = {
    "1AVB": (0.923, 0.890), "PVC": (0.930, 0.936), "PAC": (0.930, 0.871), "IRBBB": (0.890, 0.870),
    "LAD": (0.940, 0.870), "RAD": (0.946, 0.925), "CLBBB": (0.970, 0.900), "CRBBB": (0.980, 0.960),
    "SBRAD": (0.970, 0.890), "STACH": (0.939, 0.898), "AFIB": (0.969, 0.966)}
"""Sensitivity and specificity of the published reader."""


def recipe() -> Recipe:
    shape = Shape(len(LEADS), len(OUTPUTS), 1 + len(AUXILIARY))
    return Recipe(MODEL, VERSION, shape, OUTPUTS, _truth, _take, measure_twelve_leads, TWELVE_LEAD, PUBLISHED, EPOCHS,
                  Changes(), ANY_SENSITIVITY)


def _truth(row: Row) -> Floats:
    if row.said is not None:
        return said(row, OUTPUTS, 1 + len(AUXILIARY))
    return np.concatenate([truth_of(row.codes, row.axis), auxiliary_of(row.codes)])


def _take(signal: Floats, leads: tuple[str, ...]) -> Floats:
    return in_order(signal, leads)[0]


def train(data: Path, out: Path, *, seed: int = 0, epochs: int | None = None, folds: tuple[int, ...] | None = None,
          device: str = "cpu", resume: bool = False, progress: Progress = silent,
          recordings: Recordings | None = None) -> dict[str, Any]:
    """Train on what is labelled under `data` and write `ecg_12lead` into `out`; see `pipelines.ecg.training`."""
    return train_recipe(recipe(), data, out, seed=seed, epochs=epochs, folds=folds, device=device, resume=resume,
                        progress=progress, recordings=recordings)
