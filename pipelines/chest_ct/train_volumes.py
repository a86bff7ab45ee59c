"""A hospital's own chest CTs, labelled as a whole: what real networks learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from gateway.errors import Rejected, Unusable
from gateway.pipeline import Array, Floats
from gateway.ports.recordings import Recordings
from pipelines.chest_ct.grid import working
from pipelines.chest_ct.labels import LABELS
from pipelines.chest_ct.lungs import find_lungs
from pipelines.chest_ct.tables import read_labels
from pipelines.chest_ct.train_synthetic import BATCH, Pair, beside, varied
from pipelines.chest_ct.validate import load
from pipelines.chest_ct.views import View, autoencoder_input, class_scores, classifier_input, error_score, within
from pipelines.chest_ct.views import reconstruction_error as difference
from pipelines.learning.folds import grouped_folds
from pipelines.learning.precision import half_where_fast
from pipelines.validation.progress import Progress, track
from pipelines.validation.table import Row

LEAST = 10
"""Positives, and negatives, from which on a finding is learned; and normal volumes for the autoencoder."""
FOLDS = 5
SLABS, VOLUMES = 12, 4
"""Of a batch: slabs of each volume, and volumes."""
TOP = 3
"""Highest slabs whose mean is a volume's score, as `views.class_scores` has it."""
Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Held:
    """One volume as the networks see it: files that are read where they are looked at.

    `slabs` float16 (slabs, 3, 160, 160), `lungs` float16 (slabs, 1, 80, 80), `inside` bool (slabs, 160, 160).
    """

    row: Row
    slabs: Floats
    lungs: Floats
    inside: Array


@dataclass(frozen=True, slots=True)
class Volumes:
    """`labels`: findings of which there is enough, then `abnormal`; `truth` (volumes, labels), NaN where nobody said;
    `normal` (volumes,); `apart` (volumes,): of the patients left out, for calibration."""

    held: list[Held]
    labels: tuple[str, ...]
    truth: Floats
    normal: Mask
    apart: Mask


def volumes(data: Path, recordings: Recordings | None, cache: Path, seed: int, progress: Progress) -> Volumes:
    """Prepare every volume of the table once; `cache` keeps them. Those without lungs are left out, and told.

    Raises Unusable: a volume that cannot be read, with its line of the table; too few to learn from.
    """
    cache.mkdir(parents=True, exist_ok=True)
    rows = read_labels(data)
    tried = [_held(row, recordings, cache) for row in track(progress, rows, len(rows), "volumes prepared", every=10)]
    held = [one for one in tried if one is not None]
    if len(held) < len(rows):
        progress(f"{len(rows) - len(held)} volumes without lungs are left out")
    names = [label.name for label in LABELS]
    truth = np.array([[one.row.truth.get(name, np.nan) for name in names] for one in held], np.float32)
    truth = truth.reshape(len(held), len(names))
    normal = truth[:, -1] == 0
    enough = ((truth == 1).sum(axis=0) >= LEAST) & ((truth == 0).sum(axis=0) >= LEAST)
    if not enough[:-1].any() or normal.sum() < LEAST:
        raise Unusable(f"{LEAST} volumes with a finding, {LEAST} without it and {LEAST} without any are needed; there "
                       f"are {len(held)} with lungs, {int(normal.sum())} of them normal", element="data")
    enough[-1] = True
    labels = tuple(name for name, told in zip(names, enough, strict=True) if told)
    folds = grouped_folds(truth[:, enough].astype(np.float64), [one.row.patient for one in held], FOLDS, seed)
    return Volumes(held, labels, truth[:, enough], normal, folds == 0)


def _held(row: Row, recordings: Recordings | None, cache: Path) -> Held | None:
    """None where there are no lungs in it."""
    name = hashlib.sha256(str(row.path.resolve()).encode()).hexdigest()[:20]
    files = [cache / f"{name}.{part}.npy" for part in ("slabs", "lungs", "inside")]
    if not files[-1].is_file() and not _prepare(row, recordings, files):
        return None
    return Held(row, *(np.load(file, mmap_mode="r") for file in files))


def _prepare(row: Row, recordings: Recordings | None, files: Sequence[Path]) -> bool:
    try:
        small = working(load(row.path, recordings))
    except Rejected as error:
        raise row.refused(error.reason) from error
    lungs = find_lungs(small)
    if lungs is None:
        return False
    view = View.of(lungs)
    parts = (classifier_input(small, view).astype(np.float16), autoencoder_input(small, lungs, view).astype(np.float16),
             view.cut(lungs.whole, fill=False))
    for file, part in zip(files, parts, strict=True):
        np.save(file, part)
    return True


def mixed(of: Volumes, rng: np.random.Generator) -> Iterator[Pair]:
    """Some slabs of some volumes, (volumes × slabs, 3, 160, 160), and what is true of these, (volumes, kinds)."""
    order = rng.permutation(np.flatnonzero(~of.apart))
    for start in range(0, len(order) - VOLUMES + 1, VOLUMES):
        chosen = order[start:start + VOLUMES]
        parts = np.concatenate([_some(of.held[int(number)].slabs, SLABS, rng) for number in chosen])
        yield varied(parts, np.zeros(1, np.float32), rng)[0], torch.from_numpy(of.truth[chosen])


def healthy(of: Volumes, rng: np.random.Generator) -> Iterator[Pair]:
    """Slabs of lungs of normal volumes, and the same with clouds laid over them."""
    chosen = np.flatnonzero(of.normal & ~of.apart)
    for _ in range(healthy_steps(of)):
        number = int(rng.choice(chosen))
        shown = _some(of.held[number].lungs, BATCH, rng)
        yield varied(shown, shown, rng)


def mixed_steps(of: Volumes) -> int:
    return int((~of.apart).sum()) // VOLUMES


def unlabelled(of: Volumes) -> list[Floats]:
    """Every fourth slab of the volumes that are learned from, for the encoder to learn from without labels."""
    return [slab for one, apart in zip(of.held, of.apart, strict=True) if not apart for slab in one.slabs[::4]]


def healthy_steps(of: Volumes) -> int:
    return max(1, int((of.normal & ~of.apart).sum()))


def _some(slabs: Floats, count: int, rng: np.random.Generator) -> Floats:
    """So many slabs, spread over the whole volume: one of each stretch."""
    edges = np.linspace(0, len(slabs), count + 1)
    chosen = np.minimum(np.floor(edges[:-1] + rng.uniform(size=count) * np.diff(edges)), len(slabs) - 1).astype(int)
    return np.asarray(slabs[chosen])


def volume_loss(network: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
    """Cross entropy of the volumes' scores, each the mean of its highest slabs, over what somebody has said; the rare
    do not need more weight, as thresholds are chosen afterwards."""
    shown, truth = beside(network, batch)
    with half_where_fast(shown.device):
        scores, _ = network(shown)
    of_volume = scores.float().reshape(len(truth), SLABS, -1).topk(TOP, dim=1).values.mean(1)
    said = ~torch.isnan(truth)
    loss = functional.binary_cross_entropy_with_logits(of_volume, torch.nan_to_num(truth), reduction="none")
    return (loss * said).sum() / said.sum().clamp(min=1)


def scores_of(one: Held, classifier: nn.Module, autoencoder: nn.Module) -> Numbers:
    """As the pipeline scores a study: one for each kind, then the reconstruction error's."""
    shown = one.lungs.astype(np.float32)
    with torch.no_grad():
        _, maps = classifier(torch.from_numpy(one.slabs.astype(np.float32)))
        rebuilt = autoencoder(torch.from_numpy(shown)).numpy()
    error = error_score(difference(shown, rebuilt, one.inside), one.inside)
    return np.array([*class_scores(within(maps.numpy(), one.inside)[0]), error], np.float64)
