"""Documents taken apart for looking at: what an SR and an ORU of ours say, and what becomes of other bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.dicom.content.sr import StructuredReportEncoder
from adapters.dicom.content.sr_tree import tree_of_report
from adapters.hl7.content.message_tree import tree_of_message
from gateway.document_tree import Node
from gateway.errors import Permanent
from tests.builders import reading

ORU = "\r".join([
    "MSH|^~\\&|TRIAGE|SITE|RIS||20260105||ORU^R01^ORU_R01|1|P|2.5.1||||||UNICODE UTF-8",
    "PID|1||P1^^^HOSP^PI||Иванов^Пётр^^^^^L~Ivanov^Pyotr||19500101|M",
    "OBX|1|CWE|verdict^Verdict^99TRIAGE||263654008^Abnormal^SCT|||A|||P",
    "OBX|2|NM|risk^Risk^99TRIAGE||0.5|mL^mL^UCUM",
    "ZZZ|a\\T\\b"]).encode()


def every(nodes: tuple[Node, ...]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from every(node.children)


def test_a_report_as_a_tree() -> None:
    made = reading()
    document = StructuredReportEncoder().encode(made, None, "")
    header, root = tree_of_report(document.content)
    told = {(node.name, node.value) for node in every((header, root))}
    assert ("SOP Instance UID", document.identity) in told
    assert root.code == "126000 DCM"
    groups = [node for node in every((root,)) if node.code == "125007 DCM"]
    assert {finding.label for finding in made.result.findings} <= {group.value for group in groups}
    finding = made.result.findings[0]
    (group,) = [group for group in groups if group.value == finding.label]
    values = {node.name: node.value for node in group.children}
    assert float(values["Probability"]) == pytest.approx(finding.probability, abs=0.001)
    assert values["Finding"] == f"{finding.code.meaning} ({finding.code.value} {finding.code.scheme})"


def test_a_message_field_by_field() -> None:
    nodes = tree_of_message(ORU)
    assert [node.code for node in nodes] == ["MSH", "PID", "OBX 1", "OBX 2", "ZZZ"]
    assert [node.value for node in nodes[2:]] == ["Verdict: Abnormal", "Risk: 0.5 mL", ""]
    fields = {node.code: node for node in every(nodes)}
    assert (fields["MSH-2"].name, fields["MSH-2"].value) == ("Encoding Characters", "^~\\&")
    assert (fields["MSH-9"].name, fields["MSH-9"].value) == ("Message Type", "ORU · R01 · ORU_R01")
    assert [c.code for c in fields["MSH-9"].children] == ["MSH-9.1", "MSH-9.2", "MSH-9.3"]
    assert fields["PID-5"].value == "Иванов · Пётр · L; Ivanov · Pyotr"
    assert fields["ZZZ-1"].value == "a&b"
    assert "PID-4" not in fields


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\0" * 200, ORU[5:], b"MSH|"])
def test_other_bytes_are_refused(content: bytes) -> None:
    for read in (tree_of_report, tree_of_message):
        with pytest.raises(Permanent):
            read(content)


def test_damaged_reports_are_refused_or_told() -> None:
    whole = StructuredReportEncoder().encode(reading(), None, "").content
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        try:
            tree_of_report(whole[:length])
        except Permanent:
            continue
