"""`train` of ECG readers: from PTB-XL to a folder of the model repository. Needs the `train` extra."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.pipeline import Floats
from gateway.ports.recordings import Recordings
from pipelines.ecg.choosing import thresholds
from pipelines.ecg.disagreement import weighed
from pipelines.ecg.examples import Changes, Examples, examples
from pipelines.ecg.features import measured_in
from pipelines.ecg.labels import NORM
from pipelines.ecg.learning import Course, Learned, calibrated, ensemble, folds_of, learn
from pipelines.ecg.memory import parameters
from pipelines.ecg.network import STEPS, Shape
from pipelines.ecg.preprocess import WINDOW, band_pass
from pipelines.ecg.ptbxl import Row
from pipelines.ecg.tables import Labelled, labelled, must_be_told
from pipelines.learning.export import Release, Signature, write_model
from pipelines.validation.progress import Progress
from pipelines.validation.ranking import auc


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a reader's network learns from.

    `truth`: its outputs, then the auxiliary ones; `take`: signal and leads → what the network reads; `published`:
    sensitivity and specificity that others reached, by label; `any_sensitivity`: see `pipelines.ecg.choosing`.
    """

    model: str
    version: str
    shape: Shape
    outputs: tuple[str, ...]
    truth: Callable[[Row], Floats]
    take: Callable[[Floats, tuple[str, ...]], Floats]
    measure: Callable[[Floats, float], Floats]
    measured: tuple[str, ...]
    published: Mapping[str, tuple[float, float]]
    epochs: int
    changes: Changes
    any_sensitivity: float


def train(recipe: Recipe, data: Path, out: Path, *, seed: int, epochs: int | None, folds: tuple[int, ...] | None,
          device: str, resume: bool, progress: Progress, recordings: Recordings | None = None) -> dict[str, Any]:
    """Train on the rows of those folds (None: all) under `data`, which is PTB-XL or has a hospital's `labels.csv`, and
    write the model into the repository `out`.

    A network for each fifth of the patients that is left out. With `resume` it goes on after the last epoch; the log of
    each network stays in `training/`. Returns SHA-256, thresholds and the AUC of each label out of fold.
    """
    chosen = labelled(data, recipe.outputs, folds, recordings)
    held = load(recipe, chosen, progress, seed)
    course = Course(recipe.shape, recipe.outputs, epochs or recipe.epochs, recipe.changes, seed, device, resume)
    folder = out / recipe.model / "training"
    told = write(recipe, learn(held, course, folder, progress), held, course, chosen.rows, out)
    tidy(folder)
    progress(f"out of fold: macro AUC {told['macro_auc']:.4f}; " + ", ".join(
        f"{label} {area:.4f}" for label, area in told["auc"].items()))
    progress(f"wrote {recipe.model}/1/model.onnx, SHA-256 {told['sha256']}")
    return told


def load(recipe: Recipe, chosen: Labelled, progress: Progress, seed: int) -> Examples:
    """Raises Unusable where a hospital's table leaves out a label."""
    truth = np.stack([recipe.truth(row) for row in chosen.rows])
    if any(row.said is not None for row in chosen.rows):
        must_be_told(truth, recipe.outputs)
    return examples(chosen, truth, recipe.take, recipe.measure, progress, seed)


def write(recipe: Recipe, learned: Learned, held: Examples, course: Course, learned_from: Sequence[Row],
          out: Path) -> dict[str, Any]:
    """Calibrate, choose thresholds, export and check against torch."""
    truth = held.truth[:, :len(recipe.outputs)]
    scales = calibrated(learned, truth)
    told = _weighed(recipe, scales.out_of_fold, held.features[0])
    chosen = _thresholds(recipe, told, truth)
    others = [learned.member != number for number in range(len(learned.members))]
    of_members = [_thresholds(recipe, told[part], truth[part]) for part in others]
    areas = _areas(recipe, told, truth)
    macro = float(np.nanmean([area for label, area in areas.items() if label != NORM]))
    release = Release(
        recipe.version, status_of(learned_from), recipe.outputs, chosen,
        {"leads": recipe.shape.leads, "unit": "mV", "rate": 100, "band": [0.5, 40.0], "samples": WINDOW,
         "features": list(recipe.measured)},
        {"data": held.digest, "records": len(held.fold), "seed": course.seed, "epochs": course.epochs,
         "members": len(learned.members), "out_of_fold_auc": {k: round(v, 4) for k, v in areas.items()}},
        further=parameters(learned_from, folds_of(learned, held.fold), of_members))
    sha256 = write_model(ensemble(learned, scales), _signature(recipe, len(learned.members)), release,
                         out / recipe.model, _examples(held))
    return {"sha256": sha256, "thresholds": chosen, "auc": areas, "macro_auc": macro}


def status_of(learned_from: Sequence[Row]) -> str:
    """One honest line of what it was validated on."""
    own = any(row.said is not None for row in learned_from)
    return (f"cross-validated on {len(learned_from)} records of {'the site' if own else 'PTB-XL'}; "
            "not cleared for clinical use")


def _signature(recipe: Recipe, members: int) -> Signature:
    count = len(recipe.outputs)
    return Signature({"ecg": (recipe.shape.leads, WINDOW), "features": (len(recipe.measured),)},
                     {"probabilities": (count,), "evidence": (count, recipe.shape.leads, STEPS),
                      "members": (members, count)}, "probabilities")


def _examples(held: Examples) -> list[Floats]:
    """The first records, one of them without any measurement."""
    features = held.features[0, :7].copy()
    features[-1] = np.nan
    return [band_pass(held.waves[0, :7].astype(np.float32)), features]


def _thresholds(recipe: Recipe, probabilities: NDArray[np.float64], truth: Floats) -> dict[str, float]:
    return thresholds(recipe.outputs, recipe.published, recipe.any_sensitivity, probabilities, truth)


def _weighed(recipe: Recipe, probabilities: NDArray[np.float64], features: Floats) -> NDArray[np.float64]:
    """As the reader tells them: less where the measurement excludes the syndrome."""
    rows_told = [weighed(dict(zip(recipe.outputs, row, strict=True)), measured_in(of, recipe.measured))
                 for row, of in zip(probabilities, features, strict=True)]
    return np.array([[row[label] for label in recipe.outputs] for row in rows_told])


def _areas(recipe: Recipe, probabilities: NDArray[np.float64], truth: Floats) -> dict[str, float]:
    told = {}
    for label, given, true in zip(recipe.outputs, probabilities.T, truth.T, strict=True):
        said = ~np.isnan(true)
        told[label] = auc(true[said], given[said])
    return told


def tidy(folder: Path) -> None:
    """What is only needed to go on goes; the logs stay."""
    for member in sorted(folder.glob("member-*/")):
        shutil.move(member / "log.csv", folder / f"{member.name}.csv")
        shutil.rmtree(member)
