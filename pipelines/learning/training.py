"""The training loop: seeded, resumable, logged; what is kept is the best epoch or the last."""

from __future__ import annotations

import copy
import csv
import os
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gateway.errors import Unusable
from pipelines.validation.progress import Progress, silent, track

Batches = Callable[[np.random.Generator], Iterable[Any]]
"""The batches of one epoch, in an order and with changes that come from the generator alone."""
Loss = Callable[[nn.Module, Any], torch.Tensor]
"""Network (on its device, in training mode) and batch → scalar loss. It moves the batch to the device."""
Figures = Callable[[nn.Module], Mapping[str, float]]
"""Network (in evaluation mode, without gradients) → figures on records that it does not learn from."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. `steps`: batches in an epoch. Schedule: one cycle up to `peak`, from and to almost nothing.

    `averaging`: of the running mean of the weights, which is then what is kept (0: the weights themselves).
    `best`: name of the figure whose best epoch is kept (highest; `-name`: lowest); empty: the last epoch. `data`: what
    tells these data from others (a count, a hash), so that no training goes on with other data.
    """

    epochs: int
    steps: int
    seed: int = 0
    device: str = "cpu"
    peak: float = 3e-3
    rise: float = 0.2
    weight_decay: float = 0.02
    clip: float = 1.0
    averaging: float = 0.0
    best: str = ""
    data: str = ""


@dataclass(slots=True)
class Trained:
    """`network`: what is kept, on the CPU, in evaluation mode. `history`: a line of figures for each epoch."""

    network: nn.Module
    epoch: int
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, float]:
        """Of the epoch that was kept."""
        return self.history[self.epoch - 1]


def seed_everything(seed: int) -> None:
    """Python, numpy and torch; torch keeps to algorithms that give the same again where it has them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False


def device_of(name: str) -> str:
    """`cpu`, `cuda`, `cuda:1`, or `auto`: cuda where there is one. Raises Unusable where there is no such device."""
    chosen = name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if chosen.startswith("cuda") and not torch.cuda.is_available():
        raise Unusable("there is no CUDA device on this machine; --device cpu trains without", element="device")
    return chosen


def train(network: nn.Module, plan: Plan, batches: Batches, loss: Loss, *, figures: Figures | None = None,
          folder: Path | None = None, resume: bool = False, progress: Progress = silent,
          what: str = "training") -> Trained:
    """Train `network` from its present weights.

    After each epoch `folder` holds `checkpoint.pt` (weights, optimiser, schedule, generators, figures) and `log.csv`;
    with `resume` the training goes on from there as if it had never stopped. Call `seed_everything` before the network
    is made. Raises Unusable where the checkpoint is of another plan or network.
    """
    run = _Run(network, plan, batches, loss, figures)
    if resume and folder is not None and (folder / "checkpoint.pt").is_file():
        run.take_up(torch.load(folder / "checkpoint.pt", weights_only=True, map_location=plan.device))
        progress(f"{what}: taken up after epoch {run.epoch} of {plan.epochs}")
    while run.epoch < plan.epochs:
        line = run.one_epoch(progress, what)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            run.save(folder / "checkpoint.pt")
            _write_log(folder / "log.csv", run.history)
        progress(f"{what}: epoch {run.epoch} of {plan.epochs}: " + ", ".join(
            f"{name} {value:.4g}" for name, value in line.items() if name != "epoch"))
    return run.kept()


class _Run:
    """One training between epochs."""

    def __init__(self, network: nn.Module, plan: Plan, batches: Batches, loss: Loss, figures: Figures | None) -> None:
        self.network, self.plan = network.to(plan.device), plan
        self._batches, self._loss, self._figures = batches, loss, figures
        self.mean = copy.deepcopy(self.network).eval() if plan.averaging else self.network
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=plan.peak / 25, weight_decay=plan.weight_decay)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, plan.peak, total_steps=max(plan.epochs * plan.steps, 20), pct_start=plan.rise)
        self.epoch, self.best_epoch, self.history = 0, 0, list[dict[str, float]]()
        self.best: dict[str, torch.Tensor] = {}

    def one_epoch(self, progress: Progress, what: str) -> dict[str, float]:
        """The same seed and epoch draw the same numbers, whatever was before."""
        started = time.monotonic()
        torch.manual_seed(self.plan.seed * 100_003 + self.epoch)
        self.network.train()
        told = f"{what}, epoch {self.epoch + 1} of {self.plan.epochs}"
        drawn = np.random.default_rng((self.plan.seed, self.epoch))
        batches: Iterable[Any] = self._batches(drawn)
        if hasattr(progress, "track"):
            batches = track(progress, batches, self.plan.steps, told)
        losses = [self._step(batch) for batch in batches]
        self.epoch += 1
        line = {"epoch": float(self.epoch), "loss": float(np.mean(losses)),
                "rate": float(self.schedule.get_last_lr()[0]), **self._measured(),
                "seconds": time.monotonic() - started}
        self.history.append(line)
        self._keep_best(line)
        return line

    def _step(self, batch: Any) -> float:
        loss = self._loss(self.network, batch)
        if not bool(torch.isfinite(loss)):
            raise Unusable("the loss is no longer a number: a lower learning rate is needed, or the data hold NaN")
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.clip)
        self.optimiser.step()
        if self.schedule.last_epoch < self.schedule.total_steps - 1:
            self.schedule.step()
        if self.plan.averaging:
            for kept, new in zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True):
                kept.lerp_(new, 1 - self.plan.averaging) if kept.dtype.is_floating_point else kept.copy_(new)
        return float(loss.item())

    def _measured(self) -> dict[str, float]:
        if self._figures is None:
            return {}
        was = self.mean.training
        self.mean.eval()
        with torch.no_grad():
            told = {name: float(value) for name, value in self._figures(self.mean).items()}
        self.mean.train(was)
        return told

    def _keep_best(self, line: dict[str, float]) -> None:
        name, sign = self.plan.best.removeprefix("-"), -1 if self.plan.best.startswith("-") else 1
        before = self.history[self.best_epoch - 1] if self.best_epoch else None
        if not name or before is None or not sign * line[name] <= sign * before[name]:
            self.best_epoch = self.epoch
            self.best = {key: value.detach().cpu().clone() for key, value in self.mean.state_dict().items()}

    def kept(self) -> Trained:
        self.mean.load_state_dict(self.best)
        return Trained(self.mean.cpu().eval(), self.best_epoch, self.history)

    def save(self, file: Path) -> None:
        """Whole or not at all: a training that is stopped here goes on from the epoch before."""
        state = {"plan": asdict(self.plan), "epoch": self.epoch, "best_epoch": self.best_epoch, "best": self.best,
                 "history": self.history, "network": self.network.state_dict(), "mean": self.mean.state_dict(),
                 "optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict()}
        beside = file.with_suffix(".new")
        torch.save(state, beside)
        beside.replace(file)

    def take_up(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint of the same plan (its device apart). Raises Unusable."""
        if {**state["plan"], "device": ""} != {**asdict(self.plan), "device": ""}:
            raise Unusable("the checkpoint is of a training with other settings or data; leave out --resume to begin "
                           "anew", element="checkpoint.pt")
        try:
            self.network.load_state_dict(state["network"])
            self.mean.load_state_dict(state["mean"])
        except RuntimeError as error:
            raise Unusable("the checkpoint is of another network; leave out --resume to begin anew",
                           element="checkpoint.pt") from error
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.best_epoch, self.best = state["epoch"], state["best_epoch"], state["best"]
        self.history = list(state["history"])


def _write_log(file: Path, history: list[dict[str, float]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(history[0]))
        writer.writeheader()
        writer.writerows(history)
