"""Coded concepts: DICOM coding scheme designators with their FHIR and HL7 names."""

from __future__ import annotations

from dataclasses import dataclass

FHIR_SYSTEMS: dict[str, str] = {
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "RADLEX": "http://www.radlex.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
    "MDC": "urn:iso:std:iso:11073:10101",
    "99TRIAGE": "urn:oid:2.25.209611416104231083519203402957170273093",
}
HL7_SYSTEMS: dict[str, str] = {"SCT": "SCT", "LN": "LN", "RADLEX": "RADLEX", "DCM": "DCM", "UCUM": "UCUM",
                               "MDC": "MDC", "99TRIAGE": "99TRIAGE"}


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (DICOM PS3.3 8.8): `value`, `scheme` (SCT, LN, RADLEX, DCM, UCUM, MDC, 99TRIAGE), `meaning`."""

    value: str
    scheme: str
    meaning: str

    def __post_init__(self) -> None:
        if not self.value or not self.meaning:
            raise ValueError("a code needs a value and a meaning")
        if self.scheme not in FHIR_SYSTEMS:
            raise ValueError(f"unknown coding scheme {self.scheme!r}")

    @property
    def system(self) -> str:
        """The FHIR system URI."""
        return FHIR_SYSTEMS[self.scheme]


NORMAL = Code("17621005", "SCT", "Normal")
ABNORMAL = Code("263654008", "SCT", "Abnormal")
UNDETERMINED = Code("373068000", "SCT", "Undetermined")
PRESENT = Code("52101004", "SCT", "Present")
ABSENT = Code("2667000", "SCT", "Absent")
