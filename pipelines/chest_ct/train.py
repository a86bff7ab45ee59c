"""`triage-gateway train chest_ct`: both demonstration networks on synthetic chests. Needs the `train` extra."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from gateway.pipeline import Floats
from pipelines.chest_ct.calibration import Curve, Numbers, fit, threshold
from pipelines.chest_ct.cases import Prepared, stream
from pipelines.chest_ct.export import Signature, write_model
from pipelines.chest_ct.labels import AUTOENCODER, CLASSIFIER, KINDS, UNUSUAL
from pipelines.chest_ct.network import Autoencoder, Classifier
from pipelines.chest_ct.views import (
    CELL,
    SIZE,
    autoencoder_input,
    class_scores,
    classifier_input,
    error_score,
    reconstruction_error,
)

VERSION = "1.0.0"
STATUS = "demonstration: trained on synthetic chests only, not for clinical use"
BATCH = 24
LESION_CELL, CLEAR_CELL = 0.2, 0.03
"""Share of a cell that is lesion: from the first on it counts as one, up to the second as none, between as neither."""
Progress = Callable[[str], None]
CLASSIFIER_SHAPES = Signature("slabs", (3, SIZE, SIZE), {
    "scores": (len(KINDS),), "evidence": (len(KINDS), SIZE // CELL, SIZE // CELL)})
AUTOENCODER_SHAPES = Signature("lungs", (1, SIZE // 2, SIZE // 2), {"rebuilt": (1, SIZE // 2, SIZE // 2)})


@dataclass(slots=True)
class Slabs:
    """Training slabs: classifier input and truth, and the autoencoder's input of healthy lungs."""

    shown: Floats
    truth: Floats
    healthy: Floats


def train(data: Path | None, out: Path, *, seed: int = 0, epochs: int = 5, device: str = "cpu", cases: int = 110,
          progress: Progress = lambda _: None) -> dict[str, Any]:
    """Write `out`/chest_ct_classifier and `out`/chest_ct_autoencoder (`out`: the model repository).

    `data` is not used: there is no open data with truth here, the cases are generated from `seed`. About eight minutes
    on one core. Returns the files' SHA-256, the calibration and what it was made from.
    """
    del data
    torch.manual_seed(seed)
    progress(f"generating {cases} synthetic chests")
    slabs = _slabs(seed, cases)
    progress(f"{len(slabs.shown)} slabs for the classifier, {len(slabs.healthy)} for the autoencoder")
    classifier, autoencoder = Classifier(len(KINDS)).to(device), Autoencoder().to(device)
    _fit(classifier, slabs.shown, slabs.truth, epochs, seed, _classifier_loss, progress)
    _fit(autoencoder, slabs.healthy, slabs.healthy, epochs, seed, _autoencoder_loss, progress)
    classifier, autoencoder = classifier.cpu().eval(), autoencoder.cpu().eval()
    progress("calibrating on further synthetic chests")
    curves = _calibrate(classifier, autoencoder, seed, max(20, cases // 2))
    return _write(classifier, autoencoder, curves, slabs, out, {"seed": seed, "epochs": epochs, "cases": cases})


def _slabs(seed: int, cases: int) -> Slabs:
    """Most slabs with disease and a quarter of the others for the classifier; half of those without for the
    autoencoder. Half floats, to spare memory."""
    rng = np.random.default_rng([seed, 5])
    shown, truth, healthy = [], [], []
    for case in stream(1_000_000 * (seed + 1), cases, crowded=True):
        sick = case.truth.max((1, 2, 3)) > CLEAR_CELL
        chosen = rng.uniform(size=sick.size) < np.where(sick, 0.7, 0.25)
        shown.append(classifier_input(case.working, case.view)[chosen].astype(np.float16))
        truth.append(case.truth[chosen].astype(np.float16))
        clear = ~sick & (rng.uniform(size=sick.size) < 0.5)
        healthy.append(autoencoder_input(case.working, case.lungs, case.view)[clear].astype(np.float16))
    return Slabs(np.concatenate(shown), np.concatenate(truth), np.concatenate(healthy))


Loss = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]


def _fit(network: nn.Module, inputs: Floats, targets: Floats, epochs: int, seed: int, loss_of: Loss,
         progress: Progress) -> None:
    rng = np.random.default_rng([seed, 6])
    device = next(network.parameters()).device
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01)
    steps = epochs * (len(inputs) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=max(steps, 20), pct_start=0.2)
    network.train()
    for epoch in range(epochs):
        losses = []
        order = rng.permutation(len(inputs))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = np.sort(order[start:start + BATCH])
            shown, target = _varied(inputs[chosen], targets[chosen], rng)
            loss = loss_of(network, shown.to(device), target.to(device))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        progress(f"{type(network).__name__.lower()} epoch {epoch + 1} of {epochs}: loss {np.mean(losses):.4f}")


def _varied(shown: Floats, target: Floats, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Mirrored, a little brighter or darker, a little noisier; the autoencoder's input gets blots on top."""
    healing = shown.shape == target.shape
    x, y = torch.from_numpy(shown.astype(np.float32)), torch.from_numpy(target.astype(np.float32))
    if rng.uniform() < 0.5:
        x, y = x.flip(-1), y.flip(-1)
    inside = (x > 0).float()
    clean = (x * float(rng.uniform(0.94, 1.06)) + inside * float(rng.normal(0, 0.012))).clamp(0, 1)
    noise = torch.from_numpy(rng.standard_normal(x.shape, np.float32)) * float(rng.uniform(0, 0.012))
    given = clean + noise * inside
    if healing:
        given, y = _blotted(given, inside, rng), clean
    return given.clamp(0, 1), y


def _blotted(lungs: torch.Tensor, inside: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Clouds of random size and density laid over most of the lungs' pictures, to be undone."""
    count, size = len(lungs), lungs.shape[-1]
    nodes = int(rng.integers(5, 36))
    coarse = torch.from_numpy(rng.standard_normal((count, 1, nodes, nodes), np.float32))
    field = functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
    level = torch.from_numpy(rng.uniform(0.9, 2.6, (count, 1, 1, 1)).astype(np.float32))
    cover = ((field - level) * 4).clamp(0, 1) * inside
    value = torch.from_numpy(rng.uniform(0, 1, (count, 1, 1, 1)).astype(np.float32))
    return lungs + cover * (value - lungs)


def _classifier_loss(network: nn.Module, shown: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Focal loss over the clear cells of each kind's map, by its number of lesion cells; and over the slabs."""
    scores, evidence = network(shown)
    lesion = (truth >= LESION_CELL).float()
    known = ((truth >= LESION_CELL) | (truth <= CLEAR_CELL)).float()
    cells = (_focal(evidence, lesion) * known).sum((0, 2, 3)) / (lesion.sum((0, 2, 3)) + 10)
    slab = lesion.amax((2, 3))
    slab_known = ((slab > 0) | (truth.amax((2, 3)) <= CLEAR_CELL)).float()
    slabs = functional.binary_cross_entropy_with_logits(scores, slab, reduction="none")
    return cells.sum() + 0.5 * (slabs * slab_known).sum() / slab_known.sum()


def _focal(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross entropy that passes over what is right already (squared focus)."""
    plain = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return plain * (1 - torch.exp(-plain)) ** 2


def _autoencoder_loss(network: nn.Module, shown: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Absolute difference, inside the lungs above all."""
    difference = (network(shown) - clean).abs()
    inside = (clean > 0).float()
    return (difference * (inside + 0.1)).sum() / (inside + 0.1).sum()


def study_scores(classifier: nn.Module, autoencoder: nn.Module, case: Prepared) -> Numbers:
    """Scores of a case: one for each kind, then the reconstruction error's."""
    lungs_shown = autoencoder_input(case.working, case.lungs, case.view)
    with torch.no_grad():
        scores, _ = classifier(torch.from_numpy(classifier_input(case.working, case.view)))
        rebuilt = autoencoder(torch.from_numpy(lungs_shown)).numpy()
    inside = case.view.cut(case.lungs.whole, fill=False)
    error = error_score(reconstruction_error(lungs_shown, rebuilt, inside), inside)
    return np.array([*class_scores(scores.numpy()), error], np.float64)


def _calibrate(classifier: nn.Module, autoencoder: nn.Module, seed: int, cases: int) -> dict[str, Curve]:
    held = list(stream(1_000_000 * (seed + 1) + 500_000, cases))
    scores = np.stack([study_scores(classifier, autoencoder, case) for case in held])
    curves = {}
    for number, label in enumerate((*KINDS, UNUSUAL)):
        truth = np.array([label in case.kinds if label in KINDS else bool(case.kinds) for case in held], np.float64)
        curve = Curve(*fit(scores[:, number], truth), 0.5)
        probability = np.array([curve.probability(score) for score in scores[:, number]])
        curves[label] = replace(curve, threshold=threshold(probability, truth))
    return curves


def _write(classifier: nn.Module, autoencoder: nn.Module, curves: dict[str, Curve], slabs: Slabs,
           out: Path, told: dict[str, Any]) -> dict[str, Any]:
    hashes = {
        CLASSIFIER: write_model(
            classifier, CLASSIFIER_SHAPES, out / CLASSIFIER, labels=KINDS,
            examples=slabs.shown[:BATCH].astype(np.float32), parameters=_parameters(
                KINDS, curves, "slabs of 5 mm, pixels of 2.25 mm, -1000..400 HU to 0..1; below, here, above")),
        AUTOENCODER: write_model(
            autoencoder, AUTOENCODER_SHAPES, out / AUTOENCODER, labels=(UNUSUAL,),
            examples=slabs.healthy[:BATCH].astype(np.float32), parameters=_parameters(
                (UNUSUAL,), curves, "slabs of 5 mm, pixels of 4.5 mm, -1000..200 HU to 0..1 in the lungs, else 0")),
    }
    numbers = {label: (curve.slope, curve.offset, curve.threshold) for label, curve in curves.items()}
    return {"sha256": hashes, "version": VERSION, "calibration": numbers, **told}


def _parameters(labels: tuple[str, ...], curves: dict[str, Curve], preprocessing: str) -> dict[str, str]:
    calibration = {label: [round(curves[label].slope, 6), round(curves[label].offset, 6)] for label in labels}
    thresholds = {label: curves[label].threshold for label in labels}
    return {"version": VERSION, "status": STATUS, "demonstration": "true", "labels": ",".join(labels),
            "calibration": json.dumps(calibration), "thresholds": json.dumps(thresholds),
            "preprocessing": preprocessing}
