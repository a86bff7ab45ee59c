"""How ECG readers learn: one network for each part of the patients left out, calibrated on what it has not seen, all
of them in one graph. Needs the `train` extra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gateway.errors import Unusable
from gateway.pipeline import Floats
from pipelines.ecg.examples import Changes, Examples, Indices, batch
from pipelines.ecg.network import Ensemble, Member, Shape
from pipelines.ecg.preprocess import band_pass
from pipelines.learning.calibration import platt
from pipelines.learning.training import Plan, seed_everything, train
from pipelines.validation.progress import Progress

Numbers = NDArray[np.float64]
MEMBERS = 5
BATCH = 48
_BY_LEADS = 0.3
"""Weight of what the leads alone must say: without it their branch would stay dumb, and evidence with it."""
_AUXILIARY = 0.25


@dataclass(frozen=True, slots=True)
class Course:
    """`truth` of the examples holds `outputs`, then the auxiliary ones."""

    shape: Shape
    outputs: tuple[str, ...]
    epochs: int
    changes: Changes
    seed: int = 0
    device: str = "cpu"
    resume: bool = False


@dataclass(frozen=True, slots=True)
class Learned:
    """`logits` (records, outputs) of the member that has not seen the record; `member` (records,) which that is."""

    members: list[Any]
    logits: Numbers
    member: Indices


def members_of(fold: Indices) -> Indices:
    """Which of at most five members leaves out a record: neighbouring folds together. Raises Unusable with one fold."""
    known = np.unique(fold)
    if len(known) < 2:
        raise Unusable("to leave some patients out, the table needs at least two different values of strat_fold",
                       element="strat_fold")
    parts = np.array_split(known, min(MEMBERS, len(known)))
    return np.array([next(n for n, part in enumerate(parts) if value in part) for value in fold], dtype=np.intp)


def learn(held: Examples, course: Course, folder: Path, progress: Progress) -> Learned:
    """All members, each trained on the records that it does not leave out. One thread: sums in the same order whatever
    the number of cores, so that the same seed gives the same figures."""
    torch.set_num_threads(1)
    member = members_of(held.fold)
    logits = np.full((len(held.fold), len(course.outputs)), np.nan)
    members = []
    for number in range(int(member.max()) + 1):
        members.append(_member(held.of(np.flatnonzero(member != number)), course, number, folder, progress))
        left_out = np.flatnonzero(member == number)
        logits[left_out] = logits_of(members[-1], held.of(left_out), 0)[:, :len(course.outputs)]
    return Learned(members, logits, member)


def _member(held: Examples, course: Course, number: int, folder: Path, progress: Progress) -> Member:
    seed_everything(course.seed * 100 + number)
    network = Member(course.shape, held.features[0])
    steps = len(held.fold) // BATCH
    if not steps:
        raise Unusable(f"at least {BATCH} records are needed to learn from", element="data")
    plan = Plan(course.epochs, steps, course.seed * 100 + number, course.device, averaging=0.99, data=held.digest)

    def batches(random: np.random.Generator) -> Any:
        order = random.permutation(len(held.fold))
        for start in range(0, steps * BATCH, BATCH):
            yield batch(held, order[start:start + BATCH], course.changes, random)

    loss = Loss(held.truth, course.shape, course.device)
    kept = train(network, plan, batches, loss, folder=folder / f"member-{number}", resume=course.resume,
                 progress=progress, what=f"member {number + 1}")
    assert isinstance(kept.network, Member)
    return kept.network


class Loss:
    """Binary cross entropy over what somebody has said; the rare count more (root of negatives per positive, at most
    6), the auxiliary outputs less."""

    def __init__(self, truth: Floats, shape: Shape, device: str) -> None:
        positives, said = np.nansum(truth, axis=0), (~np.isnan(truth)).sum(axis=0)
        rare = np.clip(np.sqrt((said - positives) / np.maximum(positives, 1)), 1, 6)
        self._rare = torch.tensor(rare, dtype=torch.float32, device=device)
        share = [1.0] * shape.outputs + [_AUXILIARY] * shape.auxiliary
        self._share = torch.tensor(share, dtype=torch.float32, device=device)
        self._shape, self._device = shape, device

    def __call__(self, network: nn.Module, given: Sequence[Floats]) -> torch.Tensor:
        waves, features, truth = (torch.from_numpy(part).to(self._device) for part in given)
        with torch.autocast(torch.device(self._device).type, torch.bfloat16):
            logits, by_leads = network(waves, features)
        logits, by_leads = logits.float(), by_leads.float()
        first = self._shape.outputs
        return self._of(logits, truth, slice(None)) + _BY_LEADS * self._of(by_leads, truth[:, :first], slice(first))

    def _of(self, logits: torch.Tensor, truth: torch.Tensor, part: slice) -> torch.Tensor:
        said = ~torch.isnan(truth)
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits, torch.nan_to_num(truth), pos_weight=self._rare[part], reduction="none")
        return (loss * said * self._share[part]).sum() / said[:, :self._shape.outputs].sum()


def logits_of(network: Member, held: Examples, variant: int) -> Numbers:
    """(records, outputs + auxiliary) of one variant of the records."""
    told = []
    with torch.no_grad():
        for start in range(0, len(held.fold), 128):
            part = slice(start, start + 128)
            waves = torch.from_numpy(band_pass(held.waves[variant, part].astype(np.float32)))
            told.append(network(waves, torch.from_numpy(held.features[variant, part]))[0])
    return np.asarray(torch.cat(told).numpy(), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Scales:
    """Platt's slope and offset: `every` (outputs, 2) from all records left out; `member` (members, outputs, 2) from
    those that the other members left out, so that a member's own are told by nothing that has seen them.

    `out_of_fold` (records, outputs): probabilities by the latter.
    """

    every: Floats
    member: Floats
    out_of_fold: Numbers


def calibrated(learned: Learned, truth: Floats) -> Scales:
    """`truth` (records, outputs)."""
    every = _platt(learned.logits, truth)
    count = len(learned.members)
    member = np.stack([_platt(learned.logits[learned.member != n], truth[learned.member != n]) for n in range(count)])
    own = member[learned.member]
    probabilities = 1 / (1 + np.exp(-(learned.logits * own[:, :, 0] + own[:, :, 1])))
    return Scales(every.astype(np.float32), member.astype(np.float32), probabilities)


def _platt(logits: Numbers, truth: Floats) -> Numbers:
    told = []
    for logit, true in zip(logits.T, truth.T, strict=True):
        said = ~np.isnan(true)
        fitted = platt(logit[said], true[said].astype(np.float64))
        told.append((fitted.slope, fitted.offset))
    return np.array(told)


def ensemble(learned: Learned, scales: Scales) -> Ensemble:
    made = Ensemble(learned.members, scales.every, scales.member)
    made.eval()
    return made


def folds_of(learned: Learned, fold: Indices) -> dict[str, int]:
    """`strat_fold` → the member that left it out, as config.pbtxt tells it."""
    return {str(value): int(learned.member[fold == value][0]) for value in np.unique(fold)}
