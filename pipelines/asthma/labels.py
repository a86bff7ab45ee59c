"""What is looked for in a breath sound: label, code, words, acuity."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.codes import Code


@dataclass(frozen=True, slots=True)
class Label:
    """`acuity` in [0, 1]: how soon a physician should look when it is certain.

    It is told from what the networks say of `heard` (columns of `OUTPUTS`) and from `features` (of
    `measures.FEATURES`): what a recording sounds like generalises from few subjects, what a network makes of diagnoses
    does not.
    """

    name: str
    code: Code
    display: str
    acuity: float
    heard: tuple[int, ...]
    features: tuple[int, ...]


ASTHMA = Label("asthma", Code("195967001", "SCT", "Asthma"), "Asthma-like breath sound", 0.5, (2,), (0, 1))
ABNORMAL = Label("abnormal", Code("301273002", "SCT", "Abnormal breath sounds"), "Abnormal breath sounds", 0.4,
                 (2, 3), (0, 1, 2, 3))
WHEEZE = Label("wheeze", Code("56018004", "SCT", "Wheezing"), "Wheezes", 0.4, (2,), (0, 1))
CRACKLES = Label("crackles", Code("48409008", "SCT", "Respiratory crackles"), "Crackles", 0.4, (2, 3), (0, 1, 2, 3))
LABELS: tuple[Label, ...] = (ASTHMA, ABNORMAL, WHEEZE, CRACKLES)
OUTPUTS: tuple[str, ...] = tuple(label.name for label in LABELS)
"""Order of the columns that the network gives."""
