"""`triage-gateway train dermoscopy`: labelled photographs in, a folder of the model repository out. Needs the `train`
extra."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gateway.ports.recordings import Recordings
from pipelines.dermoscopy import fitting
from pipelines.dermoscopy.dataset import Pictures, load, others
from pipelines.dermoscopy.dictionary import SCALES, Dictionary, learn
from pipelines.dermoscopy.fitting import Data, Numbers, Space
from pipelines.dermoscopy.gates import OF_PICTURE, SIGNS, problems_of, problems_of_distance
from pipelines.dermoscopy.inputs import PERSON, VIEW, person
from pipelines.dermoscopy.isic import Row, lesions, rows
from pipelines.dermoscopy.labels import CLASSES, HISTOLOGY, KERATOSIS, MELANOMA, UNTRAINED
from pipelines.dermoscopy.network import MAP, DermoscopyNet, Texture
from pipelines.learning.export import Release, Signature, write_model
from pipelines.learning.folds import grouped_folds, out_of_fold
from pipelines.learning.training import seed_everything
from pipelines.validation.operating import at_sensitivity, best_f, youden
from pipelines.validation.progress import Progress, silent, track
from pipelines.validation.proportions import Counts
from pipelines.validation.ranking import Draws, Ranking, interval
from pipelines.validation.reliability import calibration_error

MODEL = "dermoscopy"
VERSION = "1.0.0"
Features = NDArray[np.float32]
STATUS = ("trained on ISIC 2017 (2,150 images), validated on held-out folds of them; two of seven classes and nevus; "
          "not cleared for clinical use")
FOLDS = 5
SENSITIVITY = 0.90
"""For melanoma, at which histology is called needed."""
_SHARPER = 1.3
"""Photographs may be so much sharper than what was learned from; drawings and print are sharper still."""
_USUAL = 0.983
"""Share of the pictures that the gate takes for lesions though it has not seen them."""
VARIANTS = {"features, texture, age and sex": (True, ("features", "texture")),
            "features, age and sex": (True, ("features",)), "features and texture": (False, ("features", "texture")),
            "features alone": (False, ("features",)), "texture alone": (False, ("texture",))}
"""Ablations: (age and sex, parts)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """`told` (n, 6) scores and `given` (n, 3) probabilities of pictures by models that have not seen them."""

    told: Numbers
    given: Numbers
    variants: dict[str, dict[str, Any]]


def train(data: Path, out: Path, *, seed: int = 0, resume: bool = False, recordings: Recordings, device: str = "cpu",
          progress: Progress = silent) -> dict[str, Any]:
    """Train on `images/` and `labels.csv` under `data` and write `dermoscopy` into the model repository `out`.

    About ten minutes on one core, nearly all of it for preparing the pictures, which are kept until the end: with
    `resume` the same call goes on where it was left. Returns the file's SHA-256, thresholds, and figures out of fold.
    Raises Unusable where the data are of another kind.
    """
    del device  # every fit is in closed form: there is nothing for an accelerator to do
    seed_everything(seed)
    torch.set_num_threads(1)
    kept = out / MODEL / "prepared"

    def opened(file: Path) -> NDArray[np.uint8]:
        return recordings.photograph(file).pixels

    if not resume:
        shutil.rmtree(kept, ignore_errors=True)
    every = rows(data)
    pictures = load(every, opened, kept, progress)
    made = _release(every, pictures, others(every, opened, kept, progress), out / MODEL, seed, progress)
    shutil.rmtree(kept)
    return made


def _release(every: list[Row], pictures: Pictures, strange: Features, folder: Path, seed: int,
             progress: Progress) -> dict[str, Any]:
    found = np.flatnonzero(pictures.found)
    used, groups = [every[n] for n in found], np.array(lesions(pictures.small))[found]
    dictionaries = learn(pictures.views[found], seed)
    progress("textures learned")
    data = _data(used, pictures, found, dictionaries, progress)
    space = fitting.space_of(data.features)
    kernels = fitting.kernels_of(data, space)
    folds = grouped_folds(data.truth, list(groups), FOLDS, seed)
    judged = _judged(kernels, data, folds, list(groups), seed)
    _write_log(folder / "log.csv", data.truth, judged.given, folds)
    network = _network(data, space, kernels, dictionaries, judged.told, strange)
    thresholds, point = _thresholds(data.truth, judged.given)
    unseen = _strangeness(data, space, strange, folds) + fitting.STRANGE_DISTANCE * _distances(network, data.features)
    limits = _limits(pictures, network, data) | {"strangest": round(float(np.quantile(unseen, _USUAL)), 4)}
    undetermined = _undetermined(pictures, network, limits, unseen)
    training = {"pictures": len(every), "lesion found": len(found), "lesions": len(set(groups)), "seed": seed,
                "folds": FOLDS, "undetermined": undetermined, "out of fold": judged.variants}
    sha256 = _write(network, pictures, found, data, folder, thresholds, point, limits, training)
    progress(f"wrote {MODEL}/1/model.onnx, SHA-256 {sha256}")
    return {"sha256": sha256, "version": VERSION, "thresholds": thresholds, "operating_point": point,
            "limits": limits, **training}


def _data(used: list[Row], pictures: Pictures, found: fitting.Indices, dictionaries: list[Dictionary],
          progress: Progress) -> Data:
    nothing = float("nan")
    truth = np.array([[row.truth.get(label, nothing) for label in (MELANOMA, KERATOSIS)] for row in used])
    textures = [Texture(one, *scale) for one, scale in zip(dictionaries, SCALES, strict=True)]
    parts = []
    with torch.no_grad():
        for start in track(progress, range(0, len(found), 50), -(-len(found) // 50), "textures counted", every=10):
            view = torch.from_numpy(pictures.views[found[start:start + 50]].astype(np.float32))
            parts.append(torch.cat([texture(view) for texture in textures], 1).numpy())
    return Data(pictures.features[found], np.stack([person(row.age, row.sex) for row in used]), np.concatenate(parts),
                truth)


def _judged(kernels: fitting.Kernels, data: Data, folds: fitting.Indices, groups: list[str], seed: int) -> Judged:
    def run(_fold: int, learned: fitting.Indices, asked: fitting.Indices) -> Numbers:
        return fitting.scores(kernels, fitting.fit(kernels, data.truth, learned), learned, asked)

    told = out_of_fold(folds, run)
    again = grouped_folds(data.truth, groups, FOLDS, seed + 1)
    drawn = Draws.of(groups)

    def given(known: bool, parts: tuple[str, ...]) -> Numbers:
        chosen = told[:, fitting.columns(known, parts)]
        return out_of_fold(again, lambda _fold, learned, asked: fitting.stack(
            chosen[learned], data.truth[learned]).probabilities(chosen[asked]))

    every = {name: given(*variant) for name, variant in VARIANTS.items()}
    return Judged(told, next(iter(every.values())),
                  {name: _figures(data.truth, one, drawn) for name, one in every.items()})


def _figures(truth: Numbers, given: Numbers, drawn: Draws) -> dict[str, Any]:
    """AUC with its interval, and calibration error, by label."""
    made = {}
    for label, name in enumerate((MELANOMA, KERATOSIS)):
        said = ~np.isnan(truth[:, label])
        ranking = Ranking(truth[said, label], given[said, label])
        low, high = interval(ranking.areas(drawn.of_records(said)).auc)
        made[name] = {"auc": round(ranking.area()[0], 4), "auc_ci95": [round(low, 4), round(high, 4)],
                      "calibration_error": round(calibration_error(truth[said, label], given[said, label]), 4)}
    return made


def _write_log(file: Path, truth: Numbers, given: Numbers, folds: fitting.Indices) -> None:
    """AUC of each fold."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("fold", "label", "n", "positives", "auc"))
        for fold in np.unique(folds):
            for label, name in enumerate((MELANOMA, KERATOSIS)):
                asked = (folds == fold) & ~np.isnan(truth[:, label])
                area = Ranking(truth[asked, label], given[asked, label]).area()[0]
                writer.writerow((int(fold) + 1, name, int(asked.sum()), int(truth[asked, label].sum()), f"{area:.4f}"))


def _thresholds(truth: Numbers, given: Numbers) -> tuple[dict[str, float], tuple[float, float]]:
    """Melanoma by Youden's index, keratosis by F1, histology for SENSITIVITY; and what that one reaches."""
    said = ~np.isnan(truth[:, 1])
    columns = {MELANOMA: youden(truth[:, 0], given[:, 0]), KERATOSIS: best_f(truth[said, 1], given[said, 1]),
               HISTOLOGY: at_sensitivity(truth[:, 0], given[:, 0], SENSITIVITY)}
    told = {name: float(np.floor(level * 1e4) / 1e4) for name, level in columns.items() if level is not None}
    counts = Counts.at(truth[:, 0], given[:, 0], told[HISTOLOGY])
    return told, (round(counts.sensitivity, 3), round(counts.specificity, 3))


def _network(data: Data, space: Space, kernels: fitting.Kernels, dictionaries: list[Dictionary],
             told: Numbers, strange: Features) -> DermoscopyNet:
    """Learned from all pictures; joined as on those held out."""
    everyone = np.arange(len(data.truth))
    heads = fitting.fit(kernels, data.truth, everyone)
    centre, scale = fitting.person_scale(data.person)
    texture = data.texture.astype(np.float64)
    middle = texture.mean(axis=0)
    size = float(np.mean(((texture - middle) ** 2).sum(axis=1)))
    words = (texture - middle).T @ heads.texture / size
    stacks = [fitting.stack(told[:, fitting.columns(known)], data.truth) for known in (True, False)]
    network: DermoscopyNet = DermoscopyNet(space, dictionaries, {
        "supports": fitting.plain_features(data.features, space), "persons": (data.person - centre) / scale,
        "person_centre": centre, "person_scale": scale, "with_person": heads.with_person, "alone": heads.alone,
        "others": fitting.plain_features(strange, space),
        "strange": fitting.strangeness(space, data.features, strange),
        "words": words, "bias": -middle @ words, "stacks": np.stack([one.weights for one in stacks]),
        "biases": np.stack([one.bias for one in stacks]), "score_centre": np.stack([one.centre for one in stacks]),
        "score_scale": np.stack([one.scale for one in stacks])})
    network.eval()
    return network


def _limits(pictures: Pictures, network: DermoscopyNet, data: Data) -> dict[str, float]:
    """Of the gates: what nearly all pictures keep to."""
    signs = dict(zip(SIGNS, pictures.signs.T, strict=True))
    found = pictures.found

    def at(name: str, share: float) -> float:
        return round(float(np.quantile(signs[name][found], share)), 4)

    away = _distances(network, data.features)
    return {"darkest": at("brightness", 0.001), "brightest": at("brightness", 0.999), "most_glare": at("glare", 0.998),
            "least_sharp": at("sharpness", 0.003), "least_red": at("redness", 0.0005), "most_red": at("redness", 0.998),
            "least_green": at("greenness", 0.002), "most_green": at("greenness", 0.998),
            "most_colourful": at("colourful", 0.998), "least_tint": at("tint", 0.001),
            "least_contrast": at("contrast", 0.002), "least_certain": at("certainty", 0.002),
            "palest": at("paler", 0.997), "most_clutter": at("clutter", 0.997),
            "most_sharp": round(_SHARPER * at("sharpness", 0.999), 4),
            "furthest": round(float(np.quantile(away, 0.998)), 4)}


def _undetermined(pictures: Pictures, network: DermoscopyNet, limits: dict[str, float],
                  unseen: Numbers) -> dict[str, int]:
    """How many of the pictures the reader would not read, by reason. `unseen`: how strange those with a lesion are to a
    score that has not seen them."""
    told: Counter[str] = Counter()
    away = np.stack([_distances(network, pictures.features), np.zeros(len(pictures.found))], axis=1)
    away[pictures.found, 1] = unseen
    for signs, found, distance in zip(pictures.signs, pictures.found, away, strict=True):
        named = dict(zip(SIGNS, map(float, signs), strict=True))
        problems = problems_of(named if found else {name: named[name] for name in OF_PICTURE}, limits)
        problems = problems or problems_of_distance(distance.astype(np.float32), limits)
        told.update(problem.code for problem in problems)
    return dict(sorted(told.items()))


def _distances(network: DermoscopyNet, features: Features) -> Numbers:
    """(n,): how far from the pictures that were learned from."""
    with torch.no_grad():
        plain = (torch.from_numpy(features) - network.centre) / network.scale
        return np.asarray(network.distance(plain).numpy()[:, 0], np.float64)


def _strangeness(data: Data, space: Space, strange: Features, folds: fitting.Indices) -> Numbers:
    """How like pictures of other things each is to a score that has not seen it."""
    def run(_fold: int, learned: fitting.Indices, asked: fitting.Indices) -> Numbers:
        weights = fitting.strangeness(space, data.features[learned], strange)
        return fitting.strange_scores(space, data.features[learned], strange, weights, data.features[asked])

    return out_of_fold(folds, run)


def _write(network: DermoscopyNet, pictures: Pictures, found: fitting.Indices, data: Data, folder: Path,
           thresholds: dict[str, float], point: tuple[float, float], limits: dict[str, float],
           training: dict[str, Any]) -> str:
    signature = Signature({"features": (data.features.shape[1],), "view": (4, VIEW, VIEW), "person": (PERSON,)},
                          {"probabilities": (len(CLASSES),), "evidence": (2, MAP, MAP), "distance": (2,)},
                          "probabilities")
    release = Release(
        VERSION, STATUS, CLASSES, thresholds, "256 x 256; hairs painted over, shades of gray, lesion segmented; "
        "features of shape, colour, texture; cut-out of 144 x 144 against the skin's colour", training, False,
        {"limits": json.dumps(limits), "operating_point": json.dumps(point), "untrained": ", ".join(UNTRAINED)})
    some = found[:7]
    examples = (pictures.features[some], pictures.views[some].astype(np.float32), data.person[:7])
    return write_model(network, signature, release, folder, examples)
