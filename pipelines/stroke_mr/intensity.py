"""Scanner units → numbers that mean the same on every scanner."""

from __future__ import annotations

import numpy as np

from gateway.pipeline import Array, Floats

_LIMIT = 5.0


def standardised(values: Array, brain: Array) -> Floats:
    """float32 of the shape of `values`: 0 outside `brain` (bool); inside the distance from the median in robust
    standard deviations (quartile range / 1.35), held within ±5 and never exactly 0."""
    out = np.zeros(values.shape, np.float32)
    inside = values[brain].astype(np.float32)
    if inside.size:
        low, middle, high = np.percentile(inside, (25, 50, 75))
        scaled = np.clip((inside - middle) / max(float(high - low) / 1.35, 1e-3), -_LIMIT, _LIMIT)
        out[brain] = np.where(scaled == 0, 1e-3, scaled)
    return out
