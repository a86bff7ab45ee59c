"""What the reader tells of a lesion: codes, names for people, urgency."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.codes import Code

MELANOMA, KERATOSIS, NEVUS, HISTOLOGY = "melanoma", "seborrheic_keratosis", "nevus", "histology_needed"
CLASSES = (MELANOMA, KERATOSIS, NEVUS)
"""The columns of the model's output."""
UNTRAINED = ("actinic keratosis", "basal cell carcinoma", "dermatofibroma", "vascular lesion", "other skin cancer")
"""Published classes of which there are no pictures to learn from: neither found nor excluded."""


@dataclass(frozen=True, slots=True)
class Label:
    """`acuity`: how urgent the finding is when certain, in [0, 1]."""

    name: str
    code: Code
    display: str
    acuity: float


LABELS = (
    Label(HISTOLOGY, Code("HISTOLOGY", "99TRIAGE", "Histology needed"), "Histology needed", 0.6),
    Label(MELANOMA, Code("372244006", "SCT", "Malignant melanoma"), "Melanoma", 0.8),
    Label(KERATOSIS, Code("25499005", "SCT", "Seborrheic keratosis"), "Seborrheic keratosis", 0.1),
)
