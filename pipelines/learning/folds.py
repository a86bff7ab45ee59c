"""Patient-wise folds in which each label has about its share of positives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Indices = NDArray[np.intp]


def grouped_folds(truth: Numbers, groups: Sequence[str], count: int, seed: int = 0) -> Indices:
    """Fold (0 ... count - 1) of each record; all records of a group (patient, subject) are in one.

    `truth` (records, labels) or (records,): 1, 0 or NaN. Groups are dealt out largest and rarest first, each to the
    fold that lacks most of what the group has. The same seed gives the same folds.
    """
    said = np.nan_to_num(truth if truth.ndim == 2 else truth[:, None]) > 0.5
    names, number = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if not 2 <= count <= len(names):
        raise ValueError(f"{count} folds need at least as many patients and two folds; there are {len(names)} patients")
    held = np.zeros((len(names), said.shape[1] + 1))
    np.add.at(held, number, np.column_stack([said, np.ones(len(number))]))
    wanted = held.sum(axis=0) / count
    weight = 1 / np.maximum(wanted, 1e-9)
    random = np.random.default_rng(seed)
    order = random.permutation(len(names))
    order = order[np.argsort(-(held[order] * weight).sum(axis=1), kind="stable")]
    fold_of, filled = np.zeros(len(names), np.intp), np.zeros((count, held.shape[1]))
    for group in order:
        lacking = ((wanted - filled) * weight * held[group]).sum(axis=1)
        best = int(np.argmax(lacking + 1e-9 * random.random(count)))
        fold_of[group], filled[best] = best, filled[best] + held[group]
    return np.asarray(fold_of[number], np.intp)


def out_of_fold(folds: Indices, run: Callable[[int, Indices, Indices], NDArray[np.float64]]) -> Numbers:
    """What each record's own fold is told by a model that has not seen it.

    `run(fold, learned_from, held_out)` trains on the records of the first indices and returns (held out, ...) scores.
    """
    told: Numbers | None = None
    for fold in np.unique(folds):
        learned_from, held_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        part = run(int(fold), learned_from, held_out)
        if told is None:
            told = np.full((len(folds), *part.shape[1:]), np.nan)
        told[held_out] = part
    if told is None:
        raise ValueError("there is no record")
    return told
