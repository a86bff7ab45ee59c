"""What the pipeline may look for: sixteen findings, the overall one, and which of them a model has learned."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.codes import Code
from gateway.errors import Permanent
from gateway.result import ModelRelease

CLASSIFIER, AUTOENCODER = "chest_ct_classifier", "chest_ct_autoencoder"
UNUSUAL = "unusual"
"""The autoencoder's output: lungs unlike the healthy ones it knows."""
ABNORMAL = "abnormal"


@dataclass(frozen=True, slots=True)
class Label:
    """One finding. `acuity` in [0, 1]: how urgent it is when certain. `columns`: of CT-RATE's table of labels; where
    there are several, any of them makes it positive."""

    name: str
    code: Code
    display: str
    acuity: float
    columns: tuple[str, ...] = ()


FINDINGS = (
    Label("opacity", Code("409609008", "SCT", "Radiologic infiltrate of lung"),
          "Opacity (consolidation or ground glass)", 0.8, ("Lung opacity",)),
    Label("consolidation", Code("95436008", "SCT", "Lung consolidation"), "Consolidation", 0.8, ("Consolidation",)),
    Label("nodule", Code("786838002", "SCT", "Nodule of lung"), "Nodule or mass", 0.7, ("Lung nodule",)),
    Label("effusion", Code("60046008", "SCT", "Pleural effusion"), "Pleural effusion", 0.75, ("Pleural effusion",)),
    Label("emphysema", Code("87433001", "SCT", "Pulmonary emphysema"), "Emphysema", 0.35, ("Emphysema",)),
    Label("atelectasis", Code("46621007", "SCT", "Atelectasis"), "Atelectasis", 0.45, ("Atelectasis",)),
    Label("fibrosis", Code("51615001", "SCT", "Fibrosis of lung"), "Fibrotic sequelae", 0.3,
          ("Pulmonary fibrotic sequela",)),
    Label("bronchiectasis", Code("12295008", "SCT", "Bronchiectasis"), "Bronchiectasis", 0.3, ("Bronchiectasis",)),
    Label("peribronchial_thickening", Code("CTPERIBRONCH", "99TRIAGE", "Peribronchial thickening"),
          "Peribronchial thickening", 0.3, ("Peribronchial thickening",)),
    Label("septal_thickening", Code("112114", "DCM", "Septal line(s)"), "Interlobular septal thickening", 0.4,
          ("Interlobular septal thickening",)),
    Label("lymphadenopathy", Code("30746006", "SCT", "Lymphadenopathy"), "Lymphadenopathy", 0.5, ("Lymphadenopathy",)),
    Label("cardiomegaly", Code("8186001", "SCT", "Cardiomegaly"), "Cardiomegaly", 0.4, ("Cardiomegaly",)),
    Label("pericardial_effusion", Code("373945007", "SCT", "Pericardial effusion"), "Pericardial effusion", 0.75,
          ("Pericardial effusion",)),
    Label("calcification", Code("129759000", "SCT", "Vascular calcification"), "Arterial wall calcification", 0.2,
          ("Arterial wall calcification", "Coronary artery wall calcification")),
    Label("hiatal_hernia", Code("84089009", "SCT", "Hiatal hernia"), "Hiatal hernia", 0.15, ("Hiatal hernia",)),
    Label("medical_material", Code("397578001", "SCT", "Device in situ"), "Medical material", 0.1,
          ("Medical material",)),
)
"""The sixteen that CT-RATE and RAD-ChestCT have in common."""
OVERALL = Label(ABNORMAL, Code("274533004", "SCT", "Abnormal findings on diagnostic imaging of lung"),
                "Any abnormality of the lungs", 0.5)
LABELS = (*FINDINGS, OVERALL)
"""The specific ones first: lists of findings keep this order."""
KINDS = ("opacity", "nodule", "effusion", "emphysema")
"""The findings that the model that comes with the gateway has learned; see `learned`."""


def learned(release: ModelRelease) -> tuple[Label, ...]:
    """What a classifier was trained for, in the order of its outputs: findings, and `OVERALL` where it tells diseased
    lungs from healthy ones as well. The other findings are not looked for.

    Raises Permanent where it names something else.
    """
    known = {label.name: label for label in LABELS}
    names = [name for name in release.parameters.get("labels", "").split(",") if name]
    if not names or any(name not in known for name in names):
        raise Permanent(f"model {release.name} has other labels than this pipeline reads")
    return tuple(known[name] for name in names)
