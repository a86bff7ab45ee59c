"""Networks of beat and measurements alone, beside those of the windows: two for each part of the patients left out,
each with a beginning of its own. Both stages are told by them. Sites that no record has together exclude each other
here. Needs the `train` extra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gateway.pipeline import Floats
from pipelines.ecg.examples import Indices
from pipelines.ecg.leads import LEADS
from pipelines.ecg.learning import Learned, Numbers, members_of
from pipelines.ecg_mi.examples import Examples, record_batch, spread_of
from pipelines.ecg_mi.learning import BATCH, Course, Loss
from pipelines.ecg_mi.network import Accompanied
from pipelines.ecg_mi.train_record import RecordNetwork
from pipelines.ecg_mi.truth import never_together
from pipelines.learning.training import Plan, seed_everything, train
from pipelines.validation.progress import Progress

COUNT = 2
EPOCHS, PEAK = 25, 2e-3


@dataclass(frozen=True, slots=True)
class Beside:
    """`networks` of each member; `logits` (records, columns): the mean of those that have not seen the record."""

    networks: Sequence[Sequence[RecordNetwork]]
    logits: Numbers
    columns: tuple[str, ...]


def learn_beside(held: Examples, course: Course, folder: Path, progress: Progress) -> Beside:
    """Of all columns of the course, whatever it serves. One thread, as `pipelines.ecg_mi.learning.learn`."""
    torch.set_num_threads(1)
    member = members_of(held.fold)
    logits = np.full(course.truth.shape, np.nan)
    networks = []
    for number in range(int(member.max()) + 1):
        seen, left_out = np.flatnonzero(member != number), np.flatnonzero(member == number)
        networks.append([_network(held, seen, course, (number, which), folder, progress) for which in range(COUNT)])
        logits[left_out] = np.mean([_logits(network, held, left_out) for network in networks[-1]], axis=0)
    return Beside(networks, logits, course.columns)


def together(learned: Learned, beside: Beside, outputs: Sequence[str]) -> Learned:
    """Each member with those beside it, as they are served."""
    rows = [beside.columns.index(name) for name in outputs]
    members = [Accompanied(member, networks, rows)
               for member, networks in zip(learned.members, beside.networks, strict=True)]
    return Learned(members, (learned.logits + beside.logits[:, rows]) / 2, learned.member)


class _Loss(Loss):
    """As that of the windows."""

    def __call__(self, network: nn.Module, given: Sequence[Any]) -> torch.Tensor:
        beat, features, truth = (torch.from_numpy(part).to(self.device) for part in given)
        return self.of(network(beat, features), truth)


def _network(held: Examples, seen: Indices, course: Course, which: tuple[int, int], folder: Path,
             progress: Progress) -> RecordNetwork:
    member, number = which
    seed = course.seed * 100 + 10 * (number + 1) + member
    seed_everything(seed)
    features, truth = held.features[:, seen], course.truth[seen]
    network = RecordNetwork(len(LEADS), truth.shape[1], features[0], never_together(truth, course.columns))
    steps, spread = len(seen) // BATCH, spread_of(held)
    plan = Plan(min(EPOCHS, 3 * course.epochs), steps, seed, course.device, PEAK, averaging=0.99,
                data=f"{held.digest} {member}")

    def batches(random: np.random.Generator) -> Any:
        order = random.permutation(seen)
        for start in range(0, steps * BATCH, BATCH):
            part = order[start:start + BATCH]
            yield (*record_batch(held, part, spread, random), course.truth[part])

    kept = train(network, plan, batches, _Loss(truth, course), folder=folder / f"member-{member}-beside-{number}",
                 resume=course.resume, progress=progress, what=f"beside member {member + 1}, {number + 1} of {COUNT}")
    assert isinstance(kept.network, RecordNetwork)
    return kept.network


def _logits(network: RecordNetwork, held: Examples, chosen: Indices) -> Floats:
    with torch.no_grad():
        told = network(torch.from_numpy(held.beats[0, chosen]), torch.from_numpy(held.features[0, chosen]))
    return np.asarray(told.numpy(), np.float32)
