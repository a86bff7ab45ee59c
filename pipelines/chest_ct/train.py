"""`triage-gateway train chest_ct`: on synthetic chests or on a hospital's own. Needs the `train` extra."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gateway.pipeline import Floats
from gateway.ports.recordings import Recordings
from pipelines.chest_ct import pretraining, train_synthetic, train_volumes
from pipelines.chest_ct.calibration import SPECIFICITY, Curve, operating_point, threshold
from pipelines.chest_ct.cases import Prepared, stream
from pipelines.chest_ct.labels import ABNORMAL, AUTOENCODER, CLASSIFIER, KINDS, UNUSUAL
from pipelines.chest_ct.network import Autoencoder, Classifier, Served
from pipelines.chest_ct.views import (
    CELL,
    SIZE,
    autoencoder_input,
    class_scores,
    classifier_input,
    error_score,
    reconstruction_error,
    within,
)
from pipelines.learning.calibration import platt_of_scores
from pipelines.learning.export import Release, Signature, write_model
from pipelines.learning.training import Loss, Plan, device_of, seed_everything
from pipelines.learning.training import train as train_network
from pipelines.validation.progress import Progress, silent, track
from pipelines.validation.ranking import auc

VERSION = "1.1.0"
STATUS = "demonstration: trained on synthetic chests only, not for clinical use"
OWN_STATUS = "trained on {} chest CTs of this site, calibrated on {} others; not cleared for clinical use"
SYNTHETIC = "synthetic"
AUTOENCODER_SHAPES = Signature({"lungs": (1, SIZE // 2, SIZE // 2)}, {"rebuilt": (1, SIZE // 2, SIZE // 2)},
                               max_batch_size=32)
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Learned:
    """Both networks and what calibrates them: `scores` (cases, labels + 1) and `truth` of cases they have not seen.

    `labels`: the classifier's, `abnormal` last; scores and truth have `unusual` after it. `examples`: inputs to check
    the export with; `told`: the training record.
    """

    labels: tuple[str, ...]
    classifier: nn.Module
    autoencoder: nn.Module
    scores: Numbers
    truth: Numbers
    examples: tuple[Floats, Floats]
    status: str
    demonstration: bool
    told: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Course:
    """How both networks are trained, and in which folder they are on their way."""

    epochs: int
    seed: int
    device: str
    folder: Path
    resume: bool
    progress: Progress

    def run(self, network: nn.Module, steps: int, batches: Any, loss: Loss, data: str, *,
            epochs: int = 0) -> nn.Module:
        """The network when it has learned: for the course's epochs, or for so many."""
        name = type(network).__name__.lower()
        plan = Plan(epochs or self.epochs, steps, self.seed, self.device, peak=4e-3, weight_decay=0.01, data=data)
        return train_network(network.to(memory_format=torch.channels_last), plan, batches, loss,
                             folder=self.folder / name, resume=self.resume, progress=self.progress, what=name).network

    def pretrained(self, classifier: Classifier, slabs: Floats | Sequence[Floats], data: str) -> None:
        """SimCLR for half as many epochs: the classifier's encoder learns without labels."""
        steps = pretraining.steps(slabs)
        if not steps:
            self.progress(f"no pretraining: that needs {pretraining.BATCH} slabs, there are {len(slabs)}")
            return
        contrast = self.run(pretraining.Contrast(classifier.encoder), steps,
                            lambda rng: pretraining.batches(slabs, rng), pretraining.contrastive_loss, data,
                            epochs=max(1, self.epochs // 2))
        classifier.encoder.load_state_dict(contrast.get_submodule("encoder").state_dict())


def train(data: Path | None, out: Path, *, seed: int = 0, epochs: int = 5, device: str = "cpu", cases: int = 120,
          resume: bool = False, recordings: Recordings | None = None, progress: Progress = silent) -> dict[str, Any]:
    """Write `out`/chest_ct_classifier and `out`/chest_ct_autoencoder (`out`: the model repository).

    `data`: None or `synthetic`: `cases` generated chests, for a demonstration. Else a folder of NIfTI-1 files or of
    folders of DICOM slices with a table of labels (see `tables`): every finding with ten positives and ten negatives is
    learned, a fifth of the patients is left out for calibration and thresholds. The classifier's encoder is pretrained
    without labels (`pretraining`). What a training needs to be taken up again lies under `out`/.training until it is
    done. Returns the files' SHA-256, the calibration and what it was made from. Raises Unusable.
    """
    folder = out / ".training" / "chest_ct"
    course = Course(epochs, seed, device_of(device), folder, resume, progress)
    seed_everything(seed)
    learned = _from_synthetic(cases, course) if data is None or data.name == SYNTHETIC \
        else _from_volumes(data, recordings, course)
    written = _write(learned, out)
    for name in ("classifier", "autoencoder"):
        shutil.copy(folder / name / "log.csv", out / f"chest_ct_{name}" / "training.csv")
    shutil.rmtree(folder)
    return written


def _from_synthetic(cases: int, course: Course) -> Learned:
    slabs = train_synthetic.kept_slabs(course.seed, cases, course.folder, resume=course.resume,
                                       progress=course.progress)
    course.progress(f"{len(slabs.shown)} slabs for the classifier, {len(slabs.healthy)} for the autoencoder")
    labels, told = (*KINDS, ABNORMAL), f"synthetic, {cases}"
    classifier, autoencoder = Classifier(len(labels)), Autoencoder()
    course.pretrained(classifier, slabs.shown, told)
    fitted = []
    for network, shown, wanted, loss in ((classifier, slabs.shown, slabs.truth, train_synthetic.classifier_loss),
                                        (autoencoder, slabs.healthy, slabs.healthy, train_synthetic.autoencoder_loss)):
        batches = train_synthetic.Batches(shown, wanted, course.seed)
        fitted.append(course.run(network, batches.steps, batches, loss, told))
    served = Served(fitted[0]).eval()
    first = 1_000_000 * (course.seed + 1) + 500_000
    count = max(20, cases * 3 // 4)
    held = track(course.progress, stream(first, count), count, "further chests to calibrate on", every=20)
    scores, truth = zip(*((study_scores(served, fitted[1], case), truth_of(case)) for case in held), strict=True)
    examples = slabs.shown[:8].astype(np.float32), slabs.healthy[:24].astype(np.float32)
    return Learned(labels, served, fitted[1], np.stack(scores), np.array(truth, np.float64), examples, STATUS, True,
                   {"data": "synthetic", "cases": cases, "calibrated_on": count, "seed": course.seed,
                    "epochs": course.epochs})


def truth_of(case: Prepared) -> list[float]:
    """Of a generated chest: each kind, then whether there is any, for `abnormal` and for `unusual`."""
    return [*(float(kind in case.kinds) for kind in KINDS), *[float(bool(case.kinds))] * 2]


def _from_volumes(data: Path, recordings: Recordings | None, course: Course) -> Learned:
    of = train_volumes.volumes(data, recordings, course.folder / "volumes", course.seed, course.progress)
    learned_from, apart = int((~of.apart).sum()), int(of.apart.sum())
    course.progress(f"learning {', '.join(of.labels)} from {learned_from} volumes, calibrating on {apart}")
    told = f"{learned_from} volumes, {','.join(of.labels)}"
    classifier, autoencoder = Classifier(len(of.labels)), Autoencoder()
    course.pretrained(classifier, train_volumes.unlabelled(of), told)
    classifier = course.run(classifier, train_volumes.mixed_steps(of),
                            lambda rng: train_volumes.mixed(of, rng), train_volumes.volume_loss, told)
    autoencoder = course.run(autoencoder, train_volumes.healthy_steps(of),
                             lambda rng: train_volumes.healthy(of, rng), train_synthetic.autoencoder_loss, told)
    served, held = Served(classifier).eval(), np.flatnonzero(of.apart)
    scores = np.stack([train_volumes.scores_of(of.held[int(n)], served, autoencoder) for n in held])
    examples = of.held[0].slabs[:8].astype(np.float32), of.held[0].lungs[:24].astype(np.float32)
    truth = np.column_stack([of.truth[held], of.truth[held, -1]]).astype(np.float64)
    return Learned(of.labels, served, autoencoder, scores, truth, examples,
                   OWN_STATUS.format(learned_from, apart), False,
                   {"data": "own", "volumes": learned_from, "calibrated_on": apart, "seed": course.seed,
                    "epochs": course.epochs})


def study_scores(classifier: nn.Module, autoencoder: nn.Module, case: Prepared) -> Numbers:
    """Scores of a case: one for each kind, then the reconstruction error's."""
    lungs_shown = autoencoder_input(case.working, case.lungs, case.view)
    with torch.no_grad():
        _, maps = classifier(torch.from_numpy(classifier_input(case.working, case.view)))
        rebuilt = autoencoder(torch.from_numpy(lungs_shown)).numpy()
    inside = case.view.cut(case.lungs.whole, fill=False)
    error = error_score(reconstruction_error(lungs_shown, rebuilt, inside), inside)
    return np.array([*class_scores(within(maps.numpy(), inside)[0]), error], np.float64)


def _curves(learned: Learned) -> dict[str, Curve]:
    """A threshold for each finding; one for `abnormal` and `unusual`, whose maximum is the verdict."""
    curves, told = {}, []
    for number, label in enumerate((*learned.labels, UNUSUAL)):
        said = ~np.isnan(learned.truth[:, number])
        score, truth = learned.scores[said, number], learned.truth[said, number]
        logistic = platt_of_scores(score, truth)
        curves[label] = Curve(logistic.slope, logistic.offset, threshold(logistic.probability(score), truth))
        if label in (ABNORMAL, UNUSUAL):
            told.append(logistic.probability(score))
    level = operating_point(np.maximum(*told), truth)
    return curves | {label: replace(curves[label], threshold=level) for label in (ABNORMAL, UNUSUAL)}


def _write(learned: Learned, out: Path) -> dict[str, Any]:
    curves = _curves(learned)
    areas = {label: auc(learned.truth[said, n], learned.scores[said, n]) for n, label in enumerate(curves)
             for said in [~np.isnan(learned.truth[:, n])]}
    told = {**learned.told, "calibration_auc": {k: round(v, 4) for k, v in areas.items() if not np.isnan(v)}}
    count = len(learned.labels)
    shapes = Signature({"slabs": (3, SIZE, SIZE)}, {
        "scores": (count,), "evidence": (count, SIZE // CELL, SIZE // CELL)}, max_batch_size=32)
    hashes = {
        CLASSIFIER: write_model(learned.classifier, shapes, _release(
            learned, learned.labels, curves, told,
            "slabs of 5 mm, pixels of 2.25 mm, -1000..400 HU to 0..1; below, here, above"),
            out / CLASSIFIER, [learned.examples[0]]),
        AUTOENCODER: write_model(learned.autoencoder, AUTOENCODER_SHAPES, _release(
            learned, (UNUSUAL,), curves, told,
            "slabs of 5 mm, pixels of 4.5 mm, -1000..200 HU to 0..1 in the lungs, else 0"),
            out / AUTOENCODER, [learned.examples[1]])}
    numbers = {label: (curve.slope, curve.offset, curve.threshold) for label, curve in curves.items()}
    return {"sha256": hashes, "version": VERSION, "calibration": numbers, **told}


def _release(learned: Learned, labels: tuple[str, ...], curves: dict[str, Curve], told: dict[str, Any],
             preprocessing: str) -> Release:
    calibration = {label: [round(curves[label].slope, 6), round(curves[label].offset, 6)] for label in labels}
    return Release(VERSION, learned.status, labels, {label: curves[label].threshold for label in labels}, preprocessing,
                   told, learned.demonstration,
                   {"calibration": json.dumps(calibration), "operating_point": f"specificity {SPECIFICITY} of the "
                    "maximum of abnormal and unusual"})
