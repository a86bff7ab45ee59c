"""Whether the chest leads stand in their order: told from the median beat. Pure."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from gateway.result import Problem
from pipelines.ecg.beats import BEFORE, Beats
from pipelines.ecg.leads import LEADS

DETOUR = 1.3
"""How much longer than with two of them exchanged the way from V1 to V6 may be (PTB-XL: 0.8 % are beyond)."""
SWAPPED = "chest-leads-swapped"
_QRS_T = slice(BEFORE - 50, BEFORE + 175)
_LEVEL = 10
_CHEST = LEADS[6:]


def problems_of_chest(beats: Beats) -> tuple[Problem, ...]:
    """What lies side by side on the chest looks alike: the way from V1 to V6, as the sum of what each differs from the
    next, is shortest in their own order. Where an exchange of two makes it much shorter, they are named.

    `beats` of twelve leads in the order of `LEADS`.
    """
    detour, (one, other) = _detour(beats.median[6:, _QRS_T])
    if detour <= DETOUR:
        return ()
    return (Problem(SWAPPED, f"Chest leads {_CHEST[one]} and {_CHEST[other]} seem exchanged: each is more like the "
                    "neighbours of the other."),)


def _detour(chest: NDArray[np.float64]) -> tuple[float, tuple[int, int]]:
    """(6, samples) → the way by the shortest with two of them exchanged, and which two."""
    waves = chest - chest[:, :_LEVEL].mean(axis=1, keepdims=True)
    apart = np.sqrt(((waves[:, None] - waves[None]) ** 2).mean(axis=2))
    ways = {pair: _way(apart, pair) for pair in combinations(range(len(_CHEST)), 2)}
    best = min(ways, key=lambda pair: ways[pair])
    return _way(apart, (0, 0)) / max(ways[best], 1e-9), best


def _way(apart: NDArray[np.float64], exchanged: tuple[int, int]) -> float:
    order = list(range(len(apart)))
    one, other = exchanged
    order[one], order[other] = order[other], order[one]
    return float(apart[order[:-1], order[1:]].sum())
