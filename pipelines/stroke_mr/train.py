"""`triage-gateway train stroke_mr`: slices and masks in, two folders of the model repository out. Needs `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.learning.training import device_of
from pipelines.stroke_mr.slices import read_slices
from pipelines.stroke_mr.train_dwi import train_dwi
from pipelines.stroke_mr.train_flair import train_flair
from pipelines.stroke_mr.train_network import How
from pipelines.stroke_mr.train_synthetic import Lesions
from pipelines.validation.progress import Progress, silent


def train(data: Path, out: Path, *, seed: int = 0, epochs: int = 48, device: str = "cpu", resume: bool = False,
          folds: tuple[int, ...] = (), progress: Progress = silent) -> dict[str, Any]:
    """Three networks, each on two thirds of the patients of `data` (.npz, see `slices`), served as their mean; then
    the DWI model on synthetic slices (`train_dwi`).

    Each fold keeps a checkpoint beside the model until all are done: `resume` goes on from there. `folds` (1-3): only
    these networks are trained, served and judged. The figures returned are out of fold: each slice judged by the one
    network that has not learned from its patient.
    """
    found, lesions = read_slices(data), Lesions.near(data)
    how = How(seed, epochs, device_of(device), resume, progress, folds)
    figures = train_flair(found, lesions, out, how)
    return {**figures, "dwi": train_dwi(found, lesions, out, how)}
