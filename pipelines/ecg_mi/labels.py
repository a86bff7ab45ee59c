"""What is looked for: infarction, and where in the heart."""

from __future__ import annotations

from gateway.codes import Code
from pipelines.ecg.labels import Label

INFARCTION_MODEL = "ecg_mi_infarction"
SITE_MODEL = "ecg_mi_site"
"""Their folders in the model repository."""
ACUITY = 0.9
"""Of all alike: an ECG alone does not tell a new infarction from an old one."""

MI = Label("MI", Code("22298006", "SCT", "Myocardial infarction"), "Myocardial infarction", ACUITY,
           ("II", "III", "aVF", "V1", "V2", "V3", "V4"))
SITES: tuple[Label, ...] = (
    Label("inferior", Code("73795002", "SCT", "Acute myocardial infarction of inferior wall"),
          "Inferior infarction, new or old", ACUITY, ("II", "III", "aVF")),
    Label("anteroseptal", Code("62695002", "SCT", "Acute anteroseptal myocardial infarction"),
          "Anteroseptal infarction, new or old", ACUITY, ("V1", "V2", "V3")),
    Label("septal", Code("79009004", "SCT", "Acute myocardial infarction of septum"),
          "Septal infarction, new or old", ACUITY, ("V1", "V2")),
    Label("anterior", Code("54329005", "SCT", "Acute myocardial infarction of anterior wall"),
          "Anterior infarction, new or old", ACUITY, ("V2", "V3", "V4")),
    Label("anterolateral", Code("70211005", "SCT", "Acute myocardial infarction of anterolateral wall"),
          "Anterolateral infarction, new or old", ACUITY, ("I", "aVL", "V3", "V4", "V5", "V6")),
    Label("lateral", Code("58612006", "SCT", "Acute myocardial infarction of lateral wall"),
          "Lateral infarction, new or old", ACUITY, ("I", "aVL", "V5", "V6")),
)
"""SNOMED CT has the site only in concepts of acute infarction; the words beside the code say what is known."""
LABELS: tuple[Label, ...] = (MI, *SITES)
