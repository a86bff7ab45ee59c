"""System URIs, fixed concepts and required bindings of FHIR R4 (4.0.1)."""

from __future__ import annotations

from gateway import identity
from gateway.codes import FHIR_SYSTEMS, Code


def _own_system(name: str) -> str:
    return "urn:oid:" + identity.uid("fhir-system", name)


CASE = _own_system("case")
"""Identifier system of DiagnosticReport: the value is the case id, stable for life."""
RUN = _own_system("run")
"""Identifier system of one reading: `case id.run id`."""
OBSERVATION = _own_system("observation")
"""Identifier system of our Observations: `case id.what`."""
DEVICE = _own_system("device")
"""Identifier system of models and pipelines: SHA-256 over name, version and file hashes."""
CASE_PATIENT = _own_system("case-patient")
"""Identifier system of a patient whose study names no id: known by the case alone."""
CASE_STATE = _own_system("case-state")
"""Code system of the worklist's states (`analysing`)."""
LABEL = _own_system("label")
"""Code system of the finding labels (`AFIB`)."""

UCUM = FHIR_SYSTEMS["UCUM"]
SNOMED = FHIR_SYSTEMS["SCT"]
LOINC = FHIR_SYSTEMS["LN"]
DICOM_UID = "urn:dicom:uid"
V2_IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
V2_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
DATA_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
NAME_REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
REPLACES = "http://hl7.org/fhir/StructureDefinition/diagnosticReport-replaces"

VERDICT = Code("111413", "DCM", "Overall Assessment")
RISK = Code("RISK", "99TRIAGE", "Triage risk")
INTERPRETING = Code("110005", "DCM", "Interpretation")
PRESENCE = Code("121052", "DCM", "Presence of property")
THRESHOLD = Code("122411", "DCM", "Threshold Value")
SOFTWARE = Code("706689003", "SCT", "Application program software")
NO_UNITS = Code("1", "UCUM", "1")

IMAGING_STUDY = Code("18748-4", "LN", "Diagnostic imaging study")
PROCEDURES: dict[str, Code] = {
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
    "CR": Code("43468-8", "LN", "XR unspecified body region"),
    "DX": Code("43468-8", "LN", "XR unspecified body region"),
    "ECG": Code("11524-6", "LN", "EKG study"),
}
"""Modality → what was done, for pipelines that name no LOINC procedure; others are `Diagnostic imaging study`."""
SECTIONS: dict[str, tuple[str, str]] = {
    "ECG": ("EC", "Electrocardiac (e.g., EKG,  EEC, Holter)"), "CT": ("CT", "CAT Scan"),
    "MR": ("NMR", "Nuclear Magnetic Resonance"), "CR": ("RX", "Radiograph"), "DX": ("RX", "Radiograph"),
    "MG": ("RAD", "Radiology"),
}
"""Modality → diagnostic service section (HL7 table 0074); others are `OTH`."""
OTHER_SECTION = ("OTH", "Other")
WAVEFORM_MODALITIES = frozenset({"ECG", "HD", "EPS", "RESP", "AU"})

REPORT_STATUS = ("registered", "partial", "preliminary", "final", "amended", "corrected", "appended", "cancelled",
                 "entered-in-error", "unknown")
OBSERVATION_STATUS = ("registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error",
                      "unknown")
REQUEST_STATUS = ("draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown")
MEDIA_STATUS = ("preparation", "in-progress", "not-done", "on-hold", "stopped", "completed", "entered-in-error",
                "unknown")
REQUEST_INTENT = ("proposal", "plan", "directive", "order", "original-order", "reflex-order", "filler-order",
                  "instance-order", "option")
REQUEST_PRIORITY = ("routine", "urgent", "asap", "stat")
REQUIRED_STATUS: dict[str, tuple[str, ...]] = {
    "DiagnosticReport": REPORT_STATUS, "Observation": OBSERVATION_STATUS, "ServiceRequest": REQUEST_STATUS,
    "Task": ("draft", "requested", "received", "accepted", "rejected", "ready", "cancelled", "in-progress", "on-hold",
             "failed", "completed", "entered-in-error"),
    "ImagingStudy": ("registered", "available", "cancelled", "entered-in-error", "unknown"),
}
"""Resource type → values of its required `status` (required bindings, which fhir.resources does not check)."""
