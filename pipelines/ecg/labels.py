"""Syndromes that ECG readers look for: label, code, words, acuity, and how each is told over time."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.codes import Code


@dataclass(frozen=True, slots=True)
class Label:
    """One syndrome.

    `acuity` in [0, 1]: how soon a physician should look when it is certain. `leads`: where it is told from on paper.
    `episodic`: may come and go within a recording, so in a long one its worst ten seconds count, not their mean.
    """

    name: str
    code: Code
    display: str
    acuity: float
    leads: tuple[str, ...]
    episodic: bool = False


NORM = "NORM"
"""The output beside the syndromes: a normal ECG as against any abnormality, also those that are not looked for."""

SYNDROMES: tuple[Label, ...] = (
    Label("1AVB", Code("270492004", "SCT", "First degree atrioventricular block"),
          "First-degree atrioventricular block", 0.3, ("II", "V1")),
    Label("PVC", Code("427172004", "SCT", "Premature ventricular contraction"),
          "Premature ventricular complexes", 0.4, ("II", "V1", "V5"), episodic=True),
    Label("PAC", Code("284470004", "SCT", "Premature atrial contraction"),
          "Premature atrial complexes", 0.25, ("II", "V1"), episodic=True),
    Label("IRBBB", Code("713426002", "SCT", "Incomplete right bundle branch block"),
          "Incomplete right bundle branch block", 0.15, ("V1", "V2", "I", "V6")),
    Label("LAD", Code("39732003", "SCT", "Left axis deviation"),
          "Left axis deviation", 0.15, ("I", "II", "aVF")),
    Label("RAD", Code("47665007", "SCT", "Right axis deviation"),
          "Right axis deviation", 0.2, ("I", "aVF")),
    Label("CLBBB", Code("733534002", "SCT", "Complete left bundle branch block"),
          "Complete left bundle branch block", 0.7, ("I", "aVL", "V1", "V5", "V6")),
    Label("CRBBB", Code("713427006", "SCT", "Complete right bundle branch block"),
          "Complete right bundle branch block", 0.4, ("I", "V1", "V2", "V6")),
    Label("SBRAD", Code("426177001", "SCT", "Electrocardiogram: sinus bradycardia"),
          "Sinus bradycardia", 0.35, ("II",)),
    Label("STACH", Code("427084000", "SCT", "Electrocardiogram: sinus tachycardia"),
          "Sinus tachycardia", 0.5, ("II",)),
    Label("AFIB", Code("164889003", "SCT", "Electrocardiogram: atrial fibrillation"),
          "Atrial fibrillation", 0.7, ("II", "V1"), episodic=True),
)
