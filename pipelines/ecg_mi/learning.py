"""How both stages learn: a network for each part of the patients left out, calibrated on what it has not seen, all of
them in one graph. Needs the `train` extra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gateway.errors import Unusable
from gateway.pipeline import Floats
from pipelines.ecg.examples import Indices
from pipelines.ecg.leads import LEADS
from pipelines.ecg.learning import Learned, Numbers, members_of
from pipelines.ecg_mi.examples import Examples, batch, spread_of
from pipelines.ecg_mi.network import Member, Shape
from pipelines.ecg_mi.sections import Windows
from pipelines.learning.training import Plan, seed_everything, train
from pipelines.validation.progress import Progress

BATCH = 48
_LOOKED_AT = 8
"""Windows of a record in one step of the training."""
_BY_WINDOWS, _BY_LEADS, _FURTHER = 0.3, 0.3, 0.25
"""Weights of what the windows alone must say, the leads alone, and of further statements: without the first two these
branches would stay dumb beside the averaged beat, and evidence with them."""


@dataclass(frozen=True, slots=True)
class Course:
    """`outputs`: what is served; `truth` of the records holds `columns`: them, then the other stage's, then further
    statements; `weighty`: how many of these count in full; `peak`: the highest learning rate."""

    windows: Windows
    outputs: tuple[str, ...]
    columns: tuple[str, ...]
    truth: Floats
    weighty: int
    epochs: int
    peak: float = 3e-3
    seed: int = 0
    device: str = "cpu"
    resume: bool = False

    @property
    def shape(self) -> Shape:
        return Shape(self.windows, len(LEADS), len(self.outputs), self.truth.shape[1] - len(self.outputs))


@dataclass(frozen=True, slots=True)
class Begun:
    """Networks of the other stage to go on from, one for each member, and what their outputs are."""

    members: Sequence[Member]
    columns: tuple[str, ...]


def learn(held: Examples, course: Course, folder: Path, progress: Progress, begun: Begun | None = None) -> Learned:
    """All members, each trained on the records that it does not leave out. One thread: sums in the same order whatever
    the number of cores, so that the same seed gives the same figures.

    With `begun` each goes on from the network that left out the same records.
    """
    torch.set_num_threads(1)
    member = members_of(held.fold)
    logits = np.full((len(held.fold), len(course.outputs)), np.nan)
    members = []
    for number in range(int(member.max()) + 1):
        network = _network(held.features[0, member != number], course, number, begun)
        members.append(_member(held, np.flatnonzero(member != number), course, number, network, folder, progress))
        left_out = np.flatnonzero(member == number)
        logits[left_out] = logits_of(members[-1], held.of(left_out))
    return Learned(members, logits, member)


def require_enough(held: Examples) -> None:
    """Raises Unusable where what one network learns from is no batch."""
    member = members_of(held.fold)
    if min(np.count_nonzero(member != number) for number in range(int(member.max()) + 1)) < BATCH:
        raise Unusable(f"at least {BATCH} records are needed to learn from", element="data")


def _network(features: Floats, course: Course, number: int, begun: Begun | None) -> Member:
    seed_everything(course.seed * 100 + number)
    network = Member(course.shape, features)
    if begun is not None:
        network.take_over(begun.members[number], [begun.columns.index(name) for name in course.columns])
    return network


def _member(held: Examples, chosen: Indices, course: Course, number: int, network: Member, folder: Path,
            progress: Progress) -> Member:
    own, truth = held.of(chosen), course.truth[chosen]
    steps = len(chosen) // BATCH
    plan = Plan(course.epochs, steps, course.seed * 100 + number, course.device, course.peak, averaging=0.99,
                data=f"{own.digest} {number}")

    spread = spread_of(own)

    def batches(random: np.random.Generator) -> Any:
        order = random.permutation(len(chosen))
        for start in range(0, steps * BATCH, BATCH):
            part = order[start:start + BATCH]
            windows = random.choice(course.windows.count, min(_LOOKED_AT, course.windows.count), replace=False)
            yield (*batch(own, part, spread, random), truth[part], windows)

    kept = train(network, plan, batches, Loss(truth, course), folder=folder / f"member-{number}", resume=course.resume,
                 progress=progress, what=f"member {number + 1}")
    assert isinstance(kept.network, Member)
    return kept.network


class Loss:
    """Binary cross entropy of every window looked at, over what somebody has said; the rare count more (root of
    negatives per positive, at most 6), further statements less."""

    def __init__(self, truth: Floats, course: Course) -> None:
        positives, said = np.nansum(truth, axis=0), (~np.isnan(truth)).sum(axis=0)
        rare = np.clip(np.sqrt((said - positives) / np.maximum(positives, 1)), 1, 6)
        self._rare = torch.tensor(rare, dtype=torch.float32, device=course.device)
        self._first, self._weighty = len(course.outputs), course.weighty
        share = [1.0] * course.weighty + [_FURTHER] * (truth.shape[1] - course.weighty)
        self._share = torch.tensor(share, dtype=torch.float32, device=course.device)
        self.device = course.device

    def __call__(self, network: nn.Module, given: Sequence[Any]) -> torch.Tensor:
        ecg, beat, features, truth, windows = (torch.from_numpy(part).to(self.device) for part in given)
        logits, by_windows, by_leads = network(ecg, beat, features, windows)
        wanted = truth[:, None].expand_as(logits)
        return (self.of(logits, wanted) + _BY_WINDOWS * self.of(by_windows, wanted)
                + _BY_LEADS * self.of(by_leads, truth[:, :self._first]))

    def of(self, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        part = slice(logits.shape[-1])
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits, torch.nan_to_num(truth), pos_weight=self._rare[part], reduction="none")
        return (loss * ~torch.isnan(truth) * self._share[part]).sum(dim=-1).mean() / self._weighty


def logits_of(network: Member, held: Examples, variant: int = 0) -> Numbers:
    """(records, outputs), the mean over the windows that were recorded, of one variant of the records."""
    windows = network.shape.windows
    told = []
    with torch.no_grad():
        for start in range(0, len(held.fold), 64):
            part = slice(start, start + 64)
            weights = np.stack([windows.weights(int(first), int(stop)) for first, stop in held.spans[variant, part]])
            each, _ = network.explained(*(torch.from_numpy(of[variant, part].astype(np.float32))
                                          for of in (held.waves, held.beats, held.features)))
            told.append((each * torch.from_numpy(weights)[:, :, None]).sum(dim=1))
    return np.asarray(torch.cat(told).numpy(), dtype=np.float64)
