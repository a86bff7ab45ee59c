"""The coded concepts of our structured reports, and what modality and body part say about procedure and site."""

from __future__ import annotations

from highdicom.sr import CodedConcept

from gateway.case import Reading
from gateway.codes import ABNORMAL, NORMAL, UNDETERMINED, Code
from gateway.result import Verdict

FINDING = Code("121071", "DCM", "Finding")
MEASUREMENT_GROUP = Code("125007", "DCM", "Measurement Group")
TRACKING_IDENTIFIER = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
SOURCE_OF_MEASUREMENT = Code("121112", "DCM", "Source of Measurement")
OVERALL_ASSESSMENT = Code("111413", "DCM", "Overall Assessment")
PRESENCE = Code("121052", "DCM", "Presence of property")
PROBABILITY = Code("122157", "DCM", "Probability")
THRESHOLD = Code("122411", "DCM", "Threshold Value")
CONCLUSION = Code("121077", "DCM", "Conclusion")
COMMENT = Code("121106", "DCM", "Comment")
RISK = Code("RISK", "99TRIAGE", "Triage risk")
QUALITY = Code("QUALITY", "99TRIAGE", "Quality problem")
NO_UNITS = Code("1", "UCUM", "no units")

VERDICTS = {Verdict.NORMAL: NORMAL, Verdict.PATHOLOGY: ABNORMAL, Verdict.UNDETERMINED: UNDETERMINED}
LANGUAGES = {"en": ("en", "English"), "ru": ("ru", "Russian")}

_IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
_PROCEDURES = {
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
    "CR": Code("43468-8", "LN", "XR unspecified body region"),
    "DX": Code("43468-8", "LN", "XR unspecified body region"),
    "MG": Code("43468-8", "LN", "XR unspecified body region"),
    "NM": Code("49118-3", "LN", "NM unspecified body region"),
    "PT": Code("44136-0", "LN", "PET unspecified body region"),
    "ECG": Code("11524-6", "LN", "EKG study"),
}
_BODY_PARTS = {
    "CHEST": Code("816094009", "SCT", "Chest"),
    "THORAX": Code("816094009", "SCT", "Chest"),
    "LUNG": Code("39607008", "SCT", "Lung"),
    "HEAD": Code("69536005", "SCT", "Head"),
    "BRAIN": Code("12738006", "SCT", "Brain"),
    "BREAST": Code("76752008", "SCT", "Breast"),
    "HEART": Code("80891009", "SCT", "Heart"),
    "SKIN": Code("39937001", "SCT", "Skin"),
    "ABDOMEN": Code("818981001", "SCT", "Abdomen"),
}
_SITES = {"ECG": _BODY_PARTS["HEART"], "MG": _BODY_PARTS["BREAST"]}


def concept(code: Code) -> CodedConcept:
    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning[:64])


def modality_of(reading: Reading) -> str:
    """The modality of what was read, else of the study's first series."""
    instances = reading.selection.instances or reading.study.instances
    return str(instances[0].tags.get("Modality") or reading.study.series[0].modality)


def procedure_reported(reading: Reading) -> Code:
    """From CID 100 where it holds one: the pipeline's own, else by modality, else `Imaging procedure`."""
    if reading.procedure:
        return Code(*reading.procedure)
    return _PROCEDURES.get(modality_of(reading), _IMAGING_PROCEDURE)


def finding_site(reading: Reading) -> Code | None:
    """Where the findings lie, as far as Body Part Examined (PS3.16 annex L) or the modality tell; else None."""
    instances = reading.selection.instances or reading.study.instances
    examined = str(instances[0].tags.get("BodyPartExamined") or "").strip().upper()
    return _BODY_PARTS.get(examined) or _SITES.get(modality_of(reading))
