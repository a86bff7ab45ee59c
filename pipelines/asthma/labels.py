"""What is looked for in a breath sound: label, code, words, acuity."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.codes import Code

Weights = tuple[tuple[int, float], ...]
"""(column, weight) each, of standardised values."""


@dataclass(frozen=True, slots=True)
class Label:
    """`acuity` in [0, 1]: how soon a physician should look when it is certain.

    It is told from a weighted sum of what the networks say of `heard` (columns of `OUTPUTS`) and of `features` (of
    `measures.FEATURES`). The weights are set by hand and equal for network and measurement: what is fitted to 62
    subjects are slope and offset alone.
    """

    name: str
    code: Code
    display: str
    acuity: float
    heard: Weights
    features: Weights


_TONES: Weights = ((0, 0.5), (1, 0.5))
ASTHMA = Label("asthma", Code("195967001", "SCT", "Asthma"), "Asthma-like breath sound", 0.5, ((2, 1.0),), _TONES)
ABNORMAL = Label("abnormal", Code("301273002", "SCT", "Abnormal breath sounds"), "Abnormal breath sounds", 0.4,
                 ((2, 1.0),), ((1, 1.0), (2, 1.0)))
WHEEZE = Label("wheeze", Code("56018004", "SCT", "Wheezing"), "Wheezes", 0.4, ((2, 1.0),), _TONES)
CRACKLES = Label("crackles", Code("48409008", "SCT", "Respiratory crackles"), "Crackles", 0.4, ((3, 1.0),), ((2, 1.0),))
LABELS: tuple[Label, ...] = (ASTHMA, ABNORMAL, WHEEZE, CRACKLES)
OUTPUTS: tuple[str, ...] = tuple(label.name for label in LABELS)
"""Order of the columns that the network gives."""
