"""What is fitted: kernel machines over features and person, linear scores of texture, and how they are joined.

numpy and scipy alone. Every fit is in closed form or convex: the same data give the same model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from gateway.errors import Unusable

Numbers = NDArray[np.float64]
Indices = NDArray[np.intp]
WIDTH, PERSON_WIDTH = 2e-3, 3e-2
"""Of the Gaussian kernels over features and person: exp(-width × squared distance)."""
AXES = 60
KERNEL_RIDGE, ALONE_RIDGE, TEXTURE_RIDGE = 1.0, 0.5, 3.0
STACK_RIDGE = 2e-3
_LEAST_SPREAD = 0.1
"""Of an axis: with few pictures some have next to none, and everything would be far away."""
STRANGE_WIDTH, STRANGE_RIDGE = 1e-3, 0.1
STRANGE_DISTANCE = 0.3
"""Weight of the distance from what was learned from beside the score of strangeness."""


@dataclass(frozen=True, slots=True)
class Space:
    """How features are brought to one scale. `centre`, `scale` (FEATURES,); `axes` (FEATURES, AXES) and `spreads`
    (AXES,): the main directions of what was learned from; `rest`: mean square of what they leave."""

    centre: Numbers
    scale: Numbers
    axes: Numbers
    spreads: Numbers
    rest: float


@dataclass(frozen=True, slots=True)
class Data:
    """`features` (n, FEATURES), `person` (n, PERSON), `texture` (n, vector), `truth` (n, 2): melanoma and keratosis as
    1, 0 or NaN."""

    features: NDArray[np.float32]
    person: NDArray[np.float32]
    texture: NDArray[np.float32]
    truth: Numbers


@dataclass(frozen=True, slots=True)
class Kernels:
    """Over all pictures: `near` of features, `same` of persons, `texture` (linear, about 1 on the diagonal)."""

    near: Numbers
    same: Numbers
    texture: Numbers


@dataclass(frozen=True, slots=True)
class Heads:
    """Weights (learned from, 2) of each kind; zero for pictures whose truth is not known."""

    with_person: Numbers
    alone: Numbers
    texture: Numbers


def space_of(features: NDArray[np.float32]) -> Space:
    """From pictures without labels."""
    whole = features.astype(np.float64)
    centre, scale = whole.mean(axis=0), whole.std(axis=0) + 1e-6
    plain = np.clip((whole - centre) / scale, -8, 8)
    values, vectors = np.linalg.eigh(plain.T @ plain / len(plain))
    axes, spreads = vectors[:, ::-1][:, :AXES], np.maximum(values[::-1][:AXES], _LEAST_SPREAD)
    rest = max(float(np.mean((plain - plain @ axes @ axes.T) ** 2)), _LEAST_SPREAD / 10)
    return Space(centre, scale, axes, spreads, rest)


def plain_features(features: NDArray[np.float32], space: Space) -> Numbers:
    return np.asarray(2 * np.tanh(np.clip((features - space.centre) / space.scale, -4, 4) / 2), np.float64)


def person_scale(person: NDArray[np.float32]) -> tuple[Numbers, Numbers]:
    return person.mean(axis=0).astype(np.float64), person.std(axis=0).astype(np.float64) + 1e-6


def kernels_of(data: Data, space: Space) -> Kernels:
    centre, scale = person_scale(data.person)
    near = np.exp(-WIDTH * _apart(plain_features(data.features, space)))
    same = np.exp(-PERSON_WIDTH * _apart((data.person - centre) / scale))
    texture = data.texture - data.texture.mean(axis=0)
    gram = (texture @ texture.T).astype(np.float64)
    return Kernels(near, same, gram / np.mean(np.diag(gram)))


def _apart(some: Numbers) -> Numbers:
    square = (some**2).sum(axis=1)
    return np.asarray(np.maximum(square[:, None] + square - 2 * some @ some.T, 0))


def fit(kernels: Kernels, truth: Numbers, learned: Indices) -> Heads:
    """From those pictures. A class weighs the same however rare it is."""
    inside = np.ix_(learned, learned)
    with_person = kernels.near[inside] * kernels.same[inside]
    return Heads(*(np.stack([_ridge(kernel, truth[learned, label], ridge) for label in range(2)], axis=1)
                   for kernel, ridge in ((with_person, KERNEL_RIDGE), (kernels.near[inside], ALONE_RIDGE),
                                         (kernels.texture[inside], TEXTURE_RIDGE))))


def _ridge(kernel: Numbers, truth: Numbers, ridge: float) -> Numbers:
    said = np.flatnonzero(~np.isnan(truth))
    share = float(truth[said].mean()) if said.size else 0.0
    if not 0 < share < 1:
        raise Unusable("the data hold too few lesions: each label needs some with and some without it in every fold",
                       element="labels.csv")
    weight = np.where(truth[said] > 0.5, 0.5 / share, 0.5 / (1 - share))
    found = np.zeros(len(truth))
    found[said] = np.linalg.solve(kernel[np.ix_(said, said)] + ridge * np.diag(1 / weight), truth[said] - 0.5)
    return found


def scores(kernels: Kernels, heads: Heads, learned: Indices, asked: Indices) -> Numbers:
    """(asked, 6): with person, alone, texture; melanoma and keratosis of each."""
    across = np.ix_(asked, learned)
    near = kernels.near[across]
    return np.concatenate([(near * kernels.same[across]) @ heads.with_person, near @ heads.alone,
                           kernels.texture[across] @ heads.texture], axis=1)


@dataclass(frozen=True, slots=True)
class Stack:
    """Logits of melanoma, keratosis, nevus = ((scores - centre) / scale) @ weights + bias."""

    centre: Numbers
    scale: Numbers
    weights: Numbers
    bias: Numbers

    def probabilities(self, told: Numbers) -> Numbers:
        logits = (told - self.centre) / self.scale @ self.weights + self.bias
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def stack(told: Numbers, truth: Numbers) -> Stack:
    """Softmax regression on scores of pictures that these have not been learned from; nothing is said of those whose
    class is not known."""
    kind = kinds(truth)
    known = kind >= 0
    centre, scale = told.mean(axis=0), told.std(axis=0) + 1e-9
    plain, wanted = ((told - centre) / scale)[known], np.eye(3)[kind[known]]

    def loss(flat: Numbers) -> tuple[float, Numbers]:
        weights, bias = flat[:-3].reshape(-1, 3), flat[-3:]
        logits = plain @ weights + bias
        top = logits.max(axis=1, keepdims=True)
        raised = np.exp(logits - top)
        total = raised.sum(axis=1, keepdims=True)
        value = float(np.mean(np.log(total[:, 0]) + top[:, 0] - (logits * wanted).sum(axis=1)))
        wrong = (raised / total - wanted) / len(plain)
        slope = plain.T @ wrong + 2 * STACK_RIDGE * weights
        return value + STACK_RIDGE * float((weights**2).sum()), np.concatenate([slope.ravel(), wrong.sum(axis=0)])

    found = minimize(loss, np.zeros(3 * (plain.shape[1] + 1)), jac=True, method="L-BFGS-B").x
    return Stack(centre, scale, found[:-3].reshape(-1, 3), found[-3:])


def strangeness(space: Space, features: NDArray[np.float32], others: NDArray[np.float32]) -> Numbers:
    """Weights (features and others,) of a score by kernels, highest for what is more like the `others`. Either side
    weighs the same."""
    plain = np.concatenate([plain_features(features, space), plain_features(others, space)])
    wanted = np.where(np.arange(len(plain)) < len(features), -1.0, 1.0)
    weight = np.where(wanted > 0, 0.5 / np.mean(wanted > 0), 0.5 / np.mean(wanted < 0))
    return np.asarray(np.linalg.solve(_strange_kernel(plain, plain) + STRANGE_RIDGE * np.diag(1 / weight), wanted))


def strange_scores(space: Space, features: NDArray[np.float32], others: NDArray[np.float32], weights: Numbers,
                   asked: NDArray[np.float32]) -> Numbers:
    """(asked,): the score of other pictures by what `strangeness` gave."""
    learned = np.concatenate([plain_features(features, space), plain_features(others, space)])
    return np.asarray(_strange_kernel(plain_features(asked, space), learned) @ weights)


def _strange_kernel(some: Numbers, others: Numbers) -> Numbers:
    apart = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * some @ others.T
    return np.asarray(np.exp(-STRANGE_WIDTH * np.maximum(apart, 0)))


def kinds(truth: Numbers) -> Indices:
    """0 melanoma, 1 keratosis, 2 nevus, -1 where nobody said."""
    unsaid = np.where(np.isnan(truth[:, 1]), -1, 2)
    return np.asarray(np.where(truth[:, 0] > 0.5, 0, np.where(truth[:, 1] > 0.5, 1, unsaid)), np.intp)


def columns(known: bool, parts: Sequence[str] = ("features", "texture")) -> list[int]:
    """Columns of `scores` that speak for somebody of known or unknown age and sex, by parts."""
    told = {"features": [0, 1] if known else [2, 3], "texture": [4, 5]}
    return [column for part in parts for column in told[part]]
