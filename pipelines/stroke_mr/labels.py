"""What the reader looks for, and the sizes that training and serving share."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.codes import Code

SIZE = 256
"""Rows and columns of what the networks are given, 1 mm pixels in standard space."""
CROP = (192, 160)
"""Rows and columns in the middle that hold every brain in standard space."""
SLICE = (189, 157)
"""Rows and columns of a slice in standard space (MNI 152, 1 mm; the atlas's y and x)."""
LEVEL = 68
"""The slice (of 136, 1 mm) that the training slices come from."""
LEAST_PIXELS = 50
"""A slice counts as showing a lesion with more lesion pixels than this (validation)."""
FLAIR, DWI = "stroke_flair", "stroke_dwi"
"""Names in the model repository."""
LEAST_ML = 0.5
"""Volume from which on an outlined lesion is called pathology."""


@dataclass(frozen=True, slots=True)
class Label:
    """One finding. `acuity` in [0, 1]: how urgent it is when certain."""

    name: str
    code: Code
    display: str
    acuity: float


DWI_LESION = Label("dwi_lesion", Code("432504007", "SCT", "Cerebral infarction"),
                   "Acute ischaemic lesion on diffusion images", 0.95)
FLAIR_LESION = Label("flair_lesion", Code("STROKEFLAIR", "99TRIAGE", "Hyperintense lesion on FLAIR"),
                     "Acute or subacute lesion on FLAIR", 0.85)
LABELS = (DWI_LESION, FLAIR_LESION)
INFARCT = Code("55641003", "SCT", "Infarct")
ALTERED = Code("49755003", "SCT", "Morphologically Abnormal Structure")

TERRITORIES: dict[str, tuple[int, ...]] = {
    "anterior cerebral artery": (1, 3),
    "middle cerebral artery": (5, 7, 9, 11, 13, 15),
    "posterior cerebral artery": (17, 19, 21, 23),
    "vertebrobasilar arteries": (25, 27, 29),
}
"""Name → the atlas's odd (left) numbers; the right ones are one higher."""
INSULA = 15
VENTRICLES = (31, 32)
SIDES = ("left", "right")
TERRITORY_CODES = {"anterior cerebral artery": "ACA", "middle cerebral artery": "MCA",
                   "posterior cerebral artery": "PCA", "vertebrobasilar arteries": "VBA"}
