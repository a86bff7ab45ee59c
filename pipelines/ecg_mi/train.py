"""`triage-gateway train ecg_mi`: PTB-XL in, the models of both stages out. Needs the `train` extra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gateway.errors import Unusable
from gateway.pipeline import Floats
from gateway.ports.recordings import Recordings
from pipelines.ecg.leads import LEADS
from pipelines.ecg.learning import Learned, Numbers, Scales, calibrated, folds_of
from pipelines.ecg.memory import parameters
from pipelines.ecg.network import STEPS
from pipelines.ecg.ptbxl import Row
from pipelines.ecg.tables import labelled, must_be_told
from pipelines.ecg.training import status_of, tidy
from pipelines.ecg_mi.examples import Examples, examples
from pipelines.ecg_mi.labels import INFARCTION_MODEL, MI, SITE_MODEL
from pipelines.ecg_mi.learning import Begun, Course, learn, require_enough
from pipelines.ecg_mi.network import Ensemble
from pipelines.ecg_mi.sections import FEATURES, INFARCTION, RATE, SECTION, SITE, Windows
from pipelines.ecg_mi.signs import SHAPE
from pipelines.ecg_mi.train_beside import learn_beside, together
from pipelines.ecg_mi.truth import FURTHER, PARTS, SITES, known_sites, told
from pipelines.learning.export import Release, Signature, write_model
from pipelines.validation.operating import between
from pipelines.validation.progress import Progress, silent
from pipelines.validation.proportions import Counts
from pipelines.validation.ranking import auc

EPOCHS, FURTHER_EPOCHS = 10, 3
"""Of the first stage; of the second, which goes on from the networks of the first."""
PEAK, FURTHER_PEAK = 3e-3, 1e-3
VERSION = "1.0.0"
LOWEST, HIGHEST = 0.05, 0.5
"""Calibrated probabilities between which a threshold lies."""


@dataclass(frozen=True, slots=True)
class Stage:
    """`outputs`: what is served; `truth` (records, columns): these, then the other stage's, then further statements;
    `columns` names them, `weighty`: how many count in full."""

    model: str
    windows: Windows
    outputs: tuple[str, ...]
    columns: tuple[str, ...]
    truth: Floats
    weighty: int
    untrained: tuple[str, ...] = ()


def train(data: Path, out: Path, *, seed: int = 0, epochs: int | None = None, folds: tuple[int, ...] | None = None,
          device: str = "cpu", resume: bool = False, progress: Progress = silent,
          recordings: Recordings | None = None) -> dict[str, Any]:
    """Train on the rows of those folds (None: all) under `data`, which is PTB-XL or has a hospital's `labels.csv` with
    columns for MI and sites; write both models into the repository `out`.

    Five networks for each stage, each without a fifth of the patients; those of the second go on from the first. Beside
    each, in both stages, two of beat and measurements alone that left out the same patients. With
    `resume` it goes on after the last epoch.
    Returns for each model SHA-256, thresholds, AUC and F1 of each label out of fold. Raises Unusable without a record,
    or without an infarction among them.
    """
    chosen = labelled(data, (MI.name, *SITES), folds, recordings)
    learned_from = chosen.rows
    first, second = stages_of(learned_from)
    held = examples(chosen, progress, seed)
    course = Course(first.windows, first.outputs, first.columns, first.truth, first.weighty, epochs or EPOCHS, PEAK,
                    seed, device, resume)
    folder = out / first.model / "training"
    require_enough(held)
    beside = learn_beside(held, with_parts(course, learned_from), folder, progress)
    found = learn(held, course, folder, progress)
    whole = together(found, beside, first.outputs)
    made = {first.model: write(first, whole, held, course, learned_from, out)}
    _tell(first.model, made[first.model], progress)
    course = further_course(second, course, epochs)
    where = learn(held, course, out / second.model / "training", progress, Begun(found.members, first.columns))
    whole = together(where, beside, second.outputs)
    made[second.model] = write(second, whole, held, course, learned_from, out)
    _tell(second.model, made[second.model], progress)
    for stage in (first, second):
        tidy(out / stage.model / "training")
    return made


def further_course(stage: Stage, course: Course, epochs: int | None) -> Course:
    """Of the second stage: shorter, as it goes on from the first."""
    return Course(stage.windows, stage.outputs, stage.columns, stage.truth, stage.weighty,
                  min(epochs or FURTHER_EPOCHS, FURTHER_EPOCHS), FURTHER_PEAK, course.seed, course.device,
                  course.resume)


def with_parts(course: Course, learned_from: Sequence[Row]) -> Course:
    """What the networks beside learn too: the statements that a site puts together."""
    parts = np.stack([told(row, PARTS) for row in learned_from])
    return replace(course, columns=(*course.columns, *PARTS), truth=np.hstack([course.truth, parts]))


def stages_of(learned_from: Sequence[Row]) -> tuple[Stage, Stage]:
    """What each learns: the other's labels and the neighbours of an infarction beside its own."""
    sites = known_sites(learned_from)
    if not sites:
        raise Unusable("no record of those folds shows an infarction and its site", element="scp_codes")
    untrained = tuple(name for name in SITES if name not in sites)
    return (_stage(INFARCTION_MODEL, INFARCTION, (MI.name,), sites, learned_from),
            _stage(SITE_MODEL, SITE, sites, (MI.name,), learned_from, untrained))


def _stage(model: str, windows: Windows, outputs: tuple[str, ...], others: tuple[str, ...],
           learned_from: Sequence[Row], untrained: tuple[str, ...] = ()) -> Stage:
    columns = (*outputs, *others, *FURTHER)
    truth = np.stack([told(row, columns) for row in learned_from])
    must_be_told(truth, outputs)
    return Stage(model, windows, outputs, columns, truth, len(outputs) + len(others), untrained)


def write(stage: Stage, learned: Learned, held: Examples, course: Course, learned_from: Sequence[Row],
          out: Path) -> dict[str, Any]:
    """Calibrate, choose thresholds, export and check against torch."""
    truth = stage.truth[:, :len(stage.outputs)]
    scales = calibrated(learned, truth)
    thresholds = thresholds_of(stage.outputs, scales.out_of_fold, truth)
    others = [learned.member != number for number in range(len(learned.members))]
    of_members = [thresholds_of(stage.outputs, scales.out_of_fold[part], truth[part]) for part in others]
    areas = {name: auc(true[~np.isnan(true)], given[~np.isnan(true)])
             for name, true, given in zip(stage.outputs, truth.T, scales.out_of_fold.T, strict=True)}
    scores = _f_measures(stage.outputs, learned, scales.out_of_fold, truth, of_members)
    release = Release(
        VERSION, status_of(learned_from), stage.outputs, thresholds,
        {"leads": len(LEADS), "unit": "mV", "rate": RATE, "band": [0.5, 45.0], "samples": SECTION,
         "window": stage.windows.length, "step": stage.windows.step, "beat": SHAPE, "features": list(FEATURES)},
        {"data": held.digest, "records": len(held.fold), "seed": course.seed, "epochs": course.epochs,
         "members": len(learned.members), "out_of_fold_auc": {k: round(v, 4) for k, v in areas.items()},
         "out_of_fold_f1": {k: round(v, 4) for k, v in scores.items()}},
        further={**parameters(learned_from, folds_of(learned, held.fold), of_members),
                 "untrained": ",".join(stage.untrained)})
    sha256 = write_model(_ensemble(learned, scales), _signature(stage, len(learned.members)), release,
                         out / stage.model, _examples(stage, held))
    return {"sha256": sha256, "thresholds": thresholds, "auc": areas, "f1": scores}


def thresholds_of(outputs: Sequence[str], probabilities: Numbers, truth: Floats) -> dict[str, float]:
    """Where F1 is to be expected best; `HIGHEST` without positives."""
    return {name: float(np.clip(expected_f(given), LOWEST, HIGHEST)) if (true == 1).any() else HIGHEST
            for name, given, true in zip(outputs, probabilities.T, truth.T, strict=True)}


def expected_f(probabilities: Numbers) -> float:
    """The threshold with the best F1 if calibrated probabilities (records,) are what they say. With few positives this
    is steadier than where F1 happened to be best: anterior has 37 of them."""
    falling = np.sort(probabilities)[::-1]
    hits = np.cumsum(falling)
    measure = 2 * hits / (np.arange(1, len(falling) + 1) + hits[-1])
    return between(probabilities, float(falling[np.argmax(measure)]))


def _f_measures(outputs: Sequence[str], learned: Learned, probabilities: Numbers, truth: Floats,
                thresholds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Each record at the threshold that the others chose."""
    scores = {}
    for column, name in enumerate(outputs):
        own = np.array([thresholds[number][name] for number in learned.member])
        called = (probabilities[:, column] >= own).astype(np.float64)
        known = ~np.isnan(truth[:, column])
        scores[name] = Counts.at(truth[known, column].astype(np.float64), called[known], 0.5).f1
    return scores


def _ensemble(learned: Learned, scales: Scales) -> Ensemble:
    made = Ensemble(learned.members, scales.every, scales.member)
    made.eval()
    return made


def _signature(stage: Stage, members: int) -> Signature:
    count = len(stage.outputs)
    return Signature({"ecg": (len(LEADS), SECTION), "beat": (len(LEADS), SHAPE), "features": (len(FEATURES),),
                      "weights": (stage.windows.count,)},
                     {"probabilities": (count,), "evidence": (count, len(LEADS), STEPS), "members": (members, count)},
                     "probabilities")


def _examples(stage: Stage, held: Examples) -> list[Floats]:
    """The first records, one of them without any measurement and half as long."""
    features = held.features[0, :5].copy()
    features[-1] = np.nan
    weights = np.stack([stage.windows.weights(0, SECTION)] * 4 + [stage.windows.weights(0, SECTION // 2)])
    return [held.waves[0, :5].astype(np.float32), held.beats[0, :5], features, weights[:len(features)]]


def _tell(model: str, told: dict[str, Any], progress: Progress) -> None:
    progress(f"{model}, out of fold: " + ", ".join(
        f"{label} AUC {area:.4f} F1 {told['f1'][label]:.3f}" for label, area in told["auc"].items()))
    progress(f"wrote {model}/1/model.onnx, SHA-256 {told['sha256']}")
