"""Words of texture: small patches of lesions at three scales, their main components and a mixture of Gaussians.

Learned without labels; what each word counts is learned from its Fisher vector (Perronnin et al., ECCV 2010).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
PATCH, COMPONENTS, WORDS = 7, 32, 32
SCALES = ((1, 6), (2, 3), (4, 2))
"""(pixels of the cut-out that are averaged to one, step of the patches in those)."""
_PICTURES, _PATCHES, _ROUNDS = 500, 80, 12
_LEAST_VARIANCE = 1e-2


@dataclass(frozen=True, slots=True)
class Dictionary:
    """`filters` (COMPONENTS, 3, PATCH, PATCH) and `offsets` (COMPONENTS,): patch → whitened components; `means`,
    `variances` (WORDS, COMPONENTS), `shares` (WORDS,) of the mixture."""

    filters: Floats
    offsets: Floats
    means: Floats
    variances: Floats
    shares: Floats


def learn(views: NDArray[np.float16], seed: int) -> list[Dictionary]:
    """One for each of SCALES. `views`: (n, 4, side, side), colour and weight."""
    random = np.random.default_rng(seed)
    return [_learn(views, scale, step, random) for scale, step in SCALES]


def coarser(views: Floats, scale: int) -> Floats:
    """(n, channels, side, side) averaged over squares of `scale` pixels."""
    n, channels, side, _ = views.shape
    return np.asarray(views.reshape(n, channels, side // scale, scale, side // scale, scale).mean(axis=(3, 5)))


def _learn(views: NDArray[np.float16], scale: int, step: int, random: np.random.Generator) -> Dictionary:
    chosen = random.choice(len(views), min(_PICTURES, len(views)), replace=False)
    patches = np.concatenate([_some(views[one:one + 1], scale, step, random) for one in chosen])
    centre = patches.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((patches - centre).T.astype(np.float64)))
    basis = vectors[:, ::-1][:, :COMPONENTS] / np.sqrt(values[::-1][:COMPONENTS] + 1e-4)
    basis = basis.astype(np.float32)
    means, variances, shares = _mixture((patches - centre) @ basis, random)
    filters = np.asarray(basis.T.reshape(COMPONENTS, 3, PATCH, PATCH), np.float32)
    return Dictionary(filters, np.asarray(-(centre @ basis), np.float32), means, variances, shares)


def _some(view: NDArray[np.float16], scale: int, step: int, random: np.random.Generator) -> Floats:
    """Patches (_PATCHES, 3 * PATCH * PATCH) of one picture, channel by channel."""
    plane = coarser(view[:, :3].astype(np.float32), scale)[0]
    windows = np.lib.stride_tricks.sliding_window_view(plane, (PATCH, PATCH), axis=(1, 2))[:, ::step, ::step]
    flat = windows.transpose(1, 2, 0, 3, 4).reshape(-1, 3 * PATCH * PATCH)
    return np.asarray(flat[random.integers(0, len(flat), _PATCHES)], np.float32)


def _mixture(data: Floats, random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Expectation maximisation with diagonal covariances."""
    means = data[random.choice(len(data), WORDS, replace=False)]
    variances, shares = np.ones_like(means), np.full(WORDS, 1 / WORDS, np.float32)
    for _ in range(_ROUNDS):
        logs = np.log(shares) - (np.log(variances).sum(axis=1) + data**2 @ (1 / variances).T
                                 - 2 * data @ (means / variances).T + (means**2 / variances).sum(axis=1)) / 2
        belongs = np.exp(logs - logs.max(axis=1, keepdims=True))
        belongs /= belongs.sum(axis=1, keepdims=True)
        weight = belongs.sum(axis=0) + 1e-3
        means = belongs.T @ data / weight[:, None]
        variances = np.maximum(belongs.T @ data**2 / weight[:, None] - means**2, _LEAST_VARIANCE)
        shares = weight / weight.sum()
    return means.astype(np.float32), variances.astype(np.float32), shares.astype(np.float32)
