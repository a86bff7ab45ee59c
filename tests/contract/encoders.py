"""Every encoder of the product, and how to forge its bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.documents import Encoder


@dataclass(frozen=True)
class Subject:
    """`forgeries`: (what, old, new): bytes that a document of `reading("ct", "pathology")` holds, and a lie in their
    place of the same length."""

    name: str
    build: Callable[[], Encoder]
    forgeries: tuple[tuple[str, bytes, bytes], ...]

    def __str__(self) -> str:
        return self.name


def sr() -> Encoder:
    from adapters.dicom.content.sr import StructuredReportEncoder

    return StructuredReportEncoder()


def secondary_capture() -> Encoder:
    from adapters.dicom.content.secondary_capture import SecondaryCaptureEncoder

    return SecondaryCaptureEncoder()


def oru() -> Encoder:
    from adapters.hl7.content.oru import OruEncoder
    from gateway.settings import Hl7Destination

    ris = Hl7Destination(name="RIS", type="hl7", host="127.0.0.1", port=2575, receiving_application="RISAPP",
                         receiving_facility="HOSP")
    encoder: Any = OruEncoder({"RIS": ris}, "SITE")
    return encoder


def diagnostic_report() -> Encoder:
    from adapters.fhir.content.report import DiagnosticReportEncoder

    return DiagnosticReportEncoder()


def json_document() -> Encoder:
    from adapters.files.json_document import JsonEncoder

    return JsonEncoder()


PATIENT = ("patient", b"P-1001", b"P-1002")
ACCESSION = ("accession number", b"ACC-77", b"ACC-78")
ABNORMAL, UNDETERMINED = b"263654008", b"373068000"

SUBJECTS = (
    Subject("sr", sr, (
        PATIENT, ACCESSION, ("verdict", ABNORMAL, UNDETERMINED), ("probability", b"0.9137", b"0.1137"),
        ("presence", b"52101004", b"2667000 "), ("label", b"opacity ", b"opacita "))),
    Subject("sc", secondary_capture, (
        PATIENT, ACCESSION, ("risk", b"Risk: 0.548", b"Risk: 0.148"))),
    Subject("oru", oru, (
        PATIENT, ACCESSION, ("verdict", ABNORMAL, UNDETERMINED), ("probability", b"|0.914|", b"|0.114|"))),
    Subject("diagnostic_report", diagnostic_report, (
        PATIENT, ACCESSION, ("verdict", ABNORMAL, UNDETERMINED), ("probability", b"0.914", b"0.114"))),
    Subject("json", json_document, (
        PATIENT, ACCESSION, ("verdict", b'"verdict": "pathology"', b'"verdict": "normal"   '),
        ("probability", b"0.9137", b"0.1137"))),
)
FORGERIES = tuple((subject, *forgery) for subject in SUBJECTS for forgery in subject.forgeries)
