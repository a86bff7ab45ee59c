"""`conform` on what is no DICOM: ORU, FHIR and the JSON of the result."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.cli.local import conform_files
from adapters.fhir.content.report import DiagnosticReportEncoder
from adapters.files.json_document import JsonEncoder
from adapters.hl7.content.oru import OruEncoder
from gateway.documents import Encoder
from tests.builders import reading

ENCODERS: dict[str, Encoder] = {
    "a.hl7": OruEncoder({}), "a.fhir.json": DiagnosticReportEncoder(), "a.json": JsonEncoder()}


def problems(path: Path, content: bytes) -> tuple[str, ...]:
    path.write_bytes(content)
    (told,) = conform_files([path])
    return told.errors


@pytest.mark.parametrize("kind", ["ecg", "ct"])
@pytest.mark.parametrize("name", ENCODERS)
def test_what_we_emit_is_sound(tmp_path: Path, name: str, kind: str) -> None:
    document = ENCODERS[name].encode(reading(kind), None, "")
    assert document is not None
    assert problems(tmp_path / name, document.content) == ()


@pytest.mark.parametrize(("name", "before", "after", "word"), [
    ("a.hl7", b"OBX|1|CWE|verdict", b"OBX|1|CWE|opinion", "observations verdict"),
    ("a.hl7", b"\rORC|RE", b"\rORD|RE", "hl7apy"),
    ("a.hl7", b"AI triage", b"\xff\xfe", "UTF-8"),
    ("a.fhir.json", b'"preliminary"', b'"bogus"', "status: is none of"),
    ("a.fhir.json", b'"DiagnosticReport","language"', b'"DiagnosticReport","tongue"', "is not an element of R4"),
    ("a.fhir.json", b"{", b"[", "no JSON"),
    ("a.json", b'"present": true', b'"present": false', "contradicts"),
    ("a.json", b'"case_id"', b'"resourceType"', "no resource of FHIR R4")])
def test_what_is_wrong_is_said(tmp_path: Path, name: str, before: bytes, after: bytes, word: str) -> None:
    document = ENCODERS[name].encode(reading("ct"), None, "")
    assert document is not None
    assert before in document.content
    assert any(word in told for told in problems(tmp_path / name, document.content.replace(before, after, 1)))
