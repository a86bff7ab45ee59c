"""What the pipeline looks for: labels, codes, acuities, and the measures it takes."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.codes import Code

CLASSIFIER, AUTOENCODER = "chest_ct_classifier", "chest_ct_autoencoder"
KINDS = ("opacity", "nodule", "effusion", "emphysema")
"""The classifier's outputs, in order."""
UNUSUAL = "unusual"
"""The autoencoder's output: lungs unlike the healthy ones it knows."""
ABNORMAL = "abnormal"


@dataclass(frozen=True, slots=True)
class Label:
    """One finding. `acuity` in [0, 1]: how urgent it is when certain."""

    name: str
    code: Code
    display: str
    acuity: float


LABELS = (
    Label(ABNORMAL, Code("274533004", "SCT", "Abnormal findings on diagnostic imaging of lung"),
          "Any abnormality of the lungs", 0.5),
    Label("opacity", Code("409609008", "SCT", "Radiologic infiltrate of lung"),
          "Opacity (consolidation or ground glass)", 0.8),
    Label("nodule", Code("786838002", "SCT", "Nodule of lung"), "Nodule or mass", 0.7),
    Label("effusion", Code("60046008", "SCT", "Pleural effusion"), "Pleural effusion", 0.75),
    Label("emphysema", Code("87433001", "SCT", "Pulmonary emphysema"), "Emphysema", 0.35),
)
