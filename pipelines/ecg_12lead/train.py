"""`triage-gateway train ecg_12lead`: PTB-XL in, a folder of the model repository out. Needs the `train` extra."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gateway.pipeline import Floats
from pipelines.ecg.augment import augmented
from pipelines.ecg.leads import LEADS
from pipelines.ecg.preprocess import WINDOW, band_pass, fill_gaps, in_order, resample
from pipelines.ecg.ptbxl import Progress, Row, rows, signals
from pipelines.ecg_12lead.calibration import normal_threshold, platt, threshold
from pipelines.ecg_12lead.export import write_model
from pipelines.ecg_12lead.labels import NORM, OUTPUTS
from pipelines.ecg_12lead.network import Network
from pipelines.ecg_12lead.truth import CALIBRATION, TRAINING, truth_of

MODEL, VERSION = "ecg_12lead", "1.0.0"
STATUS = "trained on PTB-XL folds 1-8, validated on folds 9 and 10; not cleared for clinical use"
BATCH = 48
MEMORY = 0.995
"""Of the running mean of the weights, which is what is kept."""


def load(wanted: list[Row], progress: Progress) -> tuple[Floats, Floats]:
    """Signals (records, 12, 1000) in mV at 100 Hz before the band-pass, and truth (records, 12)."""
    ecgs = np.zeros((len(wanted), 12, WINDOW), dtype=np.float32)
    for number, (_, signal, rate, leads) in enumerate(signals(wanted, progress)):
        ordered = resample(fill_gaps(in_order(signal, leads)[0]), rate)[:, :WINDOW]
        ecgs[number, :, :ordered.shape[1]] = ordered
    return ecgs, np.stack([truth_of(row.codes, row.axis) for row in wanted])


def masked_loss(logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy over what somebody has said; blank axes take no part."""
    said = ~torch.isnan(truth)
    loss = nn.functional.binary_cross_entropy_with_logits(
        logits, torch.nan_to_num(truth), pos_weight=weight, reduction="none")
    return (loss * said).sum() / said.sum()


def positive_weight(truth: Floats) -> torch.Tensor:
    """The root of negatives per positive, at most 6: the rare count more, but not so that they shout."""
    positives, said = np.nansum(truth, axis=0), (~np.isnan(truth)).sum(axis=0)
    return torch.tensor(np.clip(np.sqrt((said - positives) / np.maximum(positives, 1)), 1, 6), dtype=torch.float32)


class Trainer:
    """One training: network, running mean of its weights, optimiser, schedule; can be left and taken up again."""

    def __init__(self, ecgs: Floats, truth: Floats, *, seed: int, epochs: int, device: str) -> None:
        torch.manual_seed(seed)
        self.ecgs, self.truth, self.seed, self.epochs, self.device = ecgs, truth, seed, epochs, device
        self.network = Network().to(device)
        self.mean = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=1e-3, weight_decay=0.02)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, 3e-3, total_steps=epochs * (len(ecgs) // BATCH), pct_start=0.2)
        self.weight = positive_weight(truth).to(device)
        self.epoch = 0

    def run_epoch(self) -> float:
        """One pass over the records in a new order; returns the mean loss. The same seed and epoch: the same pass."""
        random = np.random.default_rng((self.seed, self.epoch))
        torch.manual_seed(self.seed * 1000 + self.epoch)
        order = random.permutation(len(self.ecgs))
        self.network.train()
        losses = []
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start:start + BATCH]
            losses.append(self._step(augmented(self.ecgs[chosen], random), self.truth[chosen]))
        self.epoch += 1
        return float(np.mean(losses))

    def _step(self, ecgs: Floats, truth: Floats) -> float:
        x, y = torch.from_numpy(ecgs).to(self.device), torch.from_numpy(truth).to(self.device)
        loss = masked_loss(self.network(x), y, self.weight)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        self._remember()
        return float(loss.item())

    def _remember(self) -> None:
        for kept, new in zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - MEMORY)

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "seed": self.seed, "epochs": self.epochs, "network": self.network.state_dict(),
                "mean": self.mean.state_dict(), "optimiser": self.optimiser.state_dict(),
                "schedule": self.schedule.state_dict()}

    def take_up(self, state: dict[str, Any]) -> bool:
        """Go on from `state` when it is of the same training; says whether it was."""
        if (state["seed"], state["epochs"]) != (self.seed, self.epochs):
            return False
        for name in ("network", "mean", "optimiser", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        self.epoch = state["epoch"]
        return True


def logits_of(network: nn.Module, ecgs: Floats, device: str) -> NDArray[np.float64]:
    """Logits (records, 12) for signals (records, 12, 1000) before the band-pass."""
    with torch.no_grad():
        parts = [network(torch.from_numpy(band_pass(ecgs[i:i + 128])).to(device)).cpu()
                 for i in range(0, len(ecgs), 128)]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float64)


def calibrated(logits: NDArray[np.float64], truth: Floats) -> tuple[list[float], list[float], dict[str, float]]:
    """Platt's slopes and offsets in the order of `OUTPUTS`, and the threshold of each, from the calibration fold."""
    slopes, offsets, thresholds = [], [], {}
    for column, name in enumerate(OUTPUTS):
        said = ~np.isnan(truth[:, column])
        true, logit = truth[said, column].astype(np.float64), logits[said, column]
        slope, offset = platt(logit, true)
        probability = 1 / (1 + np.exp(-(slope * logit + offset)))
        choose = normal_threshold if name == NORM else threshold
        thresholds[name] = choose(probability, true)
        slopes.append(slope)
        offsets.append(offset)
    return slopes, offsets, thresholds


def train(data: Path, out: Path, *, seed: int = 0, epochs: int = 30, device: str = "cpu",
          progress: Progress = lambda _: None) -> dict[str, Any]:
    """Train on the PTB-XL layout under `data` and write `ecg_12lead` into the model repository `out`.

    About 10 s an epoch on two cores. Each epoch is kept in its checkpoint.pt (removed at the end): the same call goes
    on where it was left. Returns the file's SHA-256, thresholds and calibration. Raises Unusable without PTB-XL there.
    """
    ecgs, truth = load(rows(data, TRAINING), progress)
    trainer = Trainer(ecgs, truth, seed=seed, epochs=epochs, device=device)
    folder = out / MODEL
    folder.mkdir(parents=True, exist_ok=True)
    _learn(trainer, folder / "checkpoint.pt", progress)
    held_out, held_out_truth = load(rows(data, CALIBRATION), progress)
    slopes, offsets, thresholds = calibrated(logits_of(trainer.mean, held_out, device), held_out_truth)
    sha256 = write_model(trainer.mean.cpu(), slopes, offsets, folder, examples=band_pass(held_out[:7]),
                         parameters=_parameters(thresholds))
    (folder / "checkpoint.pt").unlink()
    progress(f"wrote {MODEL}/1/model.onnx, SHA-256 {sha256}")
    return {"sha256": sha256, "version": VERSION, "thresholds": thresholds, "epochs": epochs, "seed": seed,
            "records": len(ecgs)}


def _learn(trainer: Trainer, checkpoint: Path, progress: Progress) -> None:
    if checkpoint.exists() and trainer.take_up(torch.load(checkpoint, weights_only=True)):
        progress(f"taken up after epoch {trainer.epoch}")
    while trainer.epoch < trainer.epochs:
        loss = trainer.run_epoch()
        torch.save(trainer.state(), checkpoint)
        progress(f"epoch {trainer.epoch} of {trainer.epochs}: loss {loss:.4f}")


def _parameters(thresholds: dict[str, float]) -> dict[str, str]:
    return {"version": VERSION, "status": STATUS, "demonstration": "false", "labels": ",".join(OUTPUTS),
            "leads": ",".join(LEADS), "thresholds": json.dumps(thresholds),
            "preprocessing": "mV, 100 Hz, band-pass 0.5-40 Hz without phase shift, 1000 samples"}
