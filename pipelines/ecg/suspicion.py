"""How likely it is that any of the syndromes is there, and what that makes of the thresholds. Pure.

Eleven syndromes that are each told with the sensitivity of a single reader call half of the healthy ill: each has its
own false alarms, and they add up. So a finding counts at its own threshold only where the ECG as a whole is suspect;
elsewhere only when it is more likely than not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gateway.result import ModelRelease
from gateway.site_thresholds import PARAMETER

ANY = "ANY"
"""The name of its threshold beside those of the outputs."""
LIKELY = 0.5
"""Where the ECG as a whole is not suspect, a finding counts from here on."""
_NORMAL_WEIGHT = 0.3
"""How much of what speaks for a normal ECG is held against the syndromes: some of them stand beside NORM."""
_LEAST = 1e-6


def suspicion(probabilities: Iterable[float], normal: float | None = None) -> float:
    """In [0, 1]: that at least one of them is there, were they independent; less where `normal` is likely.

    It never falls when one of them rises, and never rises when `normal` does.
    """
    none = float(np.prod([1 - min(max(p, 0.0), 1.0) for p in probabilities]))
    odds = _logit(1 - none)
    return float(1 / (1 + np.exp(-(odds if normal is None else odds - _NORMAL_WEIGHT * _logit(normal)))))


def counting_from(thresholds: Mapping[str, float], labels: Sequence[str], suspected: float,
                  firm: frozenset[str] = frozenset()) -> dict[str, float]:
    """The thresholds as they hold for an ECG that is so suspect. `firm`: what is not to be raised."""
    if suspected >= thresholds[ANY]:
        return dict(thresholds)
    raised = {name: max(thresholds[name], LIKELY) for name in labels if name not in firm}
    return {**thresholds, **raised}


def firm_of(release: ModelRelease) -> frozenset[str]:
    """What the site has chosen a threshold for: it holds as it was chosen, whatever the ECG as a whole looks like."""
    told = release.parameters.get(PARAMETER, "")
    return frozenset(part.split()[0] for part in told.split(", ") if part.strip())


def _logit(probability: float) -> float:
    p = min(max(probability, _LEAST), 1 - _LEAST)
    return float(np.log(p / (1 - p)))
