"""Which recordings a model has learned from, and which of its parts has not: so that their figures are honest too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from gateway.audio import Samples
from gateway.errors import Permanent
from gateway.result import ModelRelease

_DIGITS = 10


def mark(signal: Samples) -> str:
    """A short digest of the samples: the same file has the same one, under whatever name."""
    stored = np.rint(np.nan_to_num(signal).astype(np.float64) * 32768).astype("<i4")
    return hashlib.sha256(np.ascontiguousarray(stored).tobytes()).hexdigest()[:_DIGITS]


def written(marks: Sequence[str], folds: Sequence[int]) -> str:
    """Fold by fold, the marks of what it leaves out."""
    told: dict[str, list[str]] = {}
    for name, fold in zip(marks, folds, strict=True):
        told.setdefault(str(fold), []).append(name)
    return json.dumps({fold: sorted(names) for fold, names in sorted(told.items())}, separators=(",", ":"))


def memory_of(release: ModelRelease) -> Mapping[str, int]:
    """Mark → the fold whose network has not learned from it. Raises Permanent."""
    try:
        told = json.loads(release.parameters.get("memory", "{}"))
        return {name: int(fold) for fold, names in told.items() for name in names}
    except (ValueError, AttributeError, TypeError) as error:
        raise Permanent(f"model {release.name} does not tell what it has learned from") from error
