"""One reading as a FHIR R4 transaction: DiagnosticReport, Observations, ImagingStudy, Devices, Patient."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.bundle import Entry, transaction, update_in_place
from adapters.fhir.content.checks import transaction_problems
from adapters.fhir.content.claims import claims_of
from adapters.fhir.content.datatypes import Json, clean, coding, compact, concept, identifier, simple_concept
from adapters.fhir.content.devices import device_entries
from adapters.fhir.content.frame import Frame, case_value
from adapters.fhir.content.observations import VERDICT_CODES, Observer
from adapters.fhir.content.subjects import order_references, patient_entry, study_entry
from gateway.case import Reading
from gateway.codes import Code
from gateway.delivery import Document, Kind
from gateway.documents import Claims
from gateway.errors import Permanent
from gateway.phrases import phrase
from gateway.pipeline import Picture
from gateway.result import Verdict


class DiagnosticReportEncoder:
    """Implements gateway.documents.Encoder. The document is one transaction Bundle (R4 3.1.0.11), UTF-8 JSON.

    DiagnosticReport and Observations are ours and updated in place by identifier; Patient, ImagingStudy and Device are
    created only where no resource has their identifier. Conditions and addresses depend on the reading alone, so a
    retry sends the same bytes and changes nothing.

    `systems`: issuer as received (PatientID or accession number) → the URI that the receiver knows it by; the key ""
    stands for ids without an issuer. Others keep their URI or OID, or get one of ours for facility and issuer.
    """

    kind = Kind.DIAGNOSTIC_REPORT
    per_destination = False

    def __init__(self, systems: Mapping[str, str] | None = None) -> None:
        self._systems = dict(systems or {})

    def encode(self, reading: Reading, picture: Picture | None, destination: str) -> Document | None:
        """Raises Permanent where what was built is no valid R4 transaction."""
        del picture, destination
        bundle = build(Frame(reading, self._systems))
        problems = transaction_problems(bundle)
        if problems:
            raise Permanent("the FHIR transaction is not valid: " + "; ".join(problems[:5]))
        content = json.dumps(bundle, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        return Document(Kind.DIAGNOSTIC_REPORT, reading.run.case_id, content)

    def read_back(self, document: Document) -> Claims:
        """Raises Permanent where the bytes are no report of ours."""
        return claims_of(document.content)


def build(frame: Frame) -> Json:
    """The transaction Bundle of a reading."""
    patient = patient_entry(frame)
    study = study_entry(frame, patient)
    devices = device_entries(frame.reading.result.provenance, frame.reading.language)
    observations = Observer(frame, patient, study, devices.observer).entries()
    report = _report_entry(frame, patient, study, observations)
    return transaction(frame.reading.run.run_id, frame.reading.run.created_at,
                       [report, *observations, study, *devices.entries, patient])


def _report_entry(frame: Frame, patient: Entry, study: Entry, observations: list[Entry]) -> Entry:
    reading = frame.reading
    lines = conclusion_lines(reading)
    resource = compact({
        "resourceType": "DiagnosticReport", "language": reading.language,
        "text": {"status": "generated", "div": _narrative(lines)},
        "extension": _predecessor(frame),
        "identifier": [identifier(v.CASE, frame.case_id, use="official"),
                       identifier(v.RUN, case_value(frame, reading.run.run_id), use="secondary")],
        "basedOn": order_references(reading.study.order, reading.study.accession_number, frame.accession_system()),
        "status": "preliminary", "category": [_category(frame.modality)], "code": _code(frame),
        "subject": patient.reference, "effectiveDateTime": frame.effective, "issued": frame.issued,
        "result": [entry.reference for entry in observations], "imagingStudy": [study.reference],
        "conclusion": "\n".join(lines),
        "conclusionCode": [concept(VERDICT_CODES[reading.result.verdict],
                                   text=phrase(reading.language, reading.result.verdict.value))]})
    return update_in_place(frame.url("DiagnosticReport"), resource, v.CASE, frame.case_id)


def _predecessor(frame: Frame) -> list[Json]:
    """The run that this one replaces, as the standard's `replaces` extension with a logical reference."""
    former = frame.reading.run.predecessor_run_id
    if not former:
        return []
    told = {"type": "DiagnosticReport", "identifier": identifier(v.RUN, case_value(frame, former))}
    return [{"url": v.REPLACES, "valueReference": told}]


def _category(modality: str) -> Json:
    return simple_concept(v.V2_SECTION, *v.SECTIONS.get(modality, v.OTHER_SECTION))


def _code(frame: Frame) -> Json:
    """LOINC first; the pipeline's own procedure code beside it where that is from another scheme."""
    generic = v.PROCEDURES.get(frame.modality, v.IMAGING_STUDY)
    told = Code(*frame.reading.procedure) if frame.reading.procedure else generic
    codes = [told] if told.scheme == "LN" else [generic, told]
    return {"coding": [coding(code) for code in codes], "text": phrase(frame.reading.language, "report")}


def conclusion_lines(reading: Reading) -> list[str]:
    """Verdict with risk, summary, what is wrong with the study, and what this text is not."""
    result, language = reading.result, reading.language
    lines = [f"{phrase(language, 'verdict')}: {phrase(language, result.verdict.value)}. "
             f"{phrase(language, 'risk')}: {result.risk:.3f}."]
    lines.append(clean(result.summary))
    if result.verdict is Verdict.UNDETERMINED:
        lines.append(phrase(language, "not_normal") + ".")
    if reading.incomplete:
        lines.append(reading.incomplete + ".")
    lines += [clean(problem.text) for problem in result.problems]
    if result.demonstration:
        lines.append(phrase(language, "demonstration") + ".")
    lines.append(phrase(language, "decision_support") + ".")
    return [line for line in lines if line]


def _narrative(lines: list[str]) -> str:
    told = "".join(f"<p>{html.escape(line, quote=False)}</p>" for line in lines)
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{told}</div>'
