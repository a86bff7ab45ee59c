"""Reading our structured reports back with pydicom alone: what does the document say?"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from pydicom import Dataset, dcmread

from adapters.dicom.content.sr_codes import (
    FINDING,
    MEASUREMENT_GROUP,
    OVERALL_ASSESSMENT,
    PRESENCE,
    PROBABILITY,
    RISK,
    TRACKING_IDENTIFIER,
    VERDICTS,
)
from adapters.dicom.content.waveform_read import MALFORMED
from gateway.codes import ABSENT, PRESENT, Code
from gateway.delivery import Kind
from gateway.documents import Claims
from gateway.errors import Permanent


def claims_of(content: bytes) -> Claims:
    """Verdict, risk, findings and whose they are. Raises Permanent where the bytes are no such report."""
    try:
        ds = dcmread(BytesIO(content))
        groups = list(measurement_groups(ds))
        return Claims(
            kind=Kind.SR, patient_id=str(ds.PatientID or ""), study_instance_uid=str(ds.StudyInstanceUID),
            accession_number=str(ds.AccessionNumber or ""), verdict=_verdict(groups), risk=_risk(groups),
            findings=dict(_finding(g) for g in groups if child(g, FINDING) is not None))
    except (*MALFORMED, OSError) as error:
        raise Permanent(f"the structured report cannot be read back ({type(error).__name__})") from error


def items(root: Dataset) -> Iterator[Dataset]:
    """Every content item below `root`, depth first."""
    for item in root.get("ContentSequence", []):
        yield item
        yield from items(item)


def measurement_groups(root: Dataset) -> Iterator[Dataset]:
    return (i for i in items(root) if i.ValueType == "CONTAINER" and named(i, MEASUREMENT_GROUP))


def named(item: Dataset, name: Code) -> bool:
    told = item.get("ConceptNameCodeSequence")
    return bool(told) and is_code(told[0], name)


def is_code(item: Dataset, code: Code) -> bool:
    value = item.get("CodeValue") or item.get("LongCodeValue")
    return bool(value == code.value and item.CodingSchemeDesignator == code.scheme)


def child(item: Dataset, name: Code) -> Dataset | None:
    return next((i for i in item.get("ContentSequence", []) if named(i, name)), None)


def number(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


def _verdict(groups: list[Dataset]) -> str:
    assessed = [a for g in groups if (a := child(g, OVERALL_ASSESSMENT)) is not None]
    (said,) = [v for v, code in VERDICTS.items() for a in assessed if is_code(a.ConceptCodeSequence[0], code)]
    return said.value


def _risk(groups: list[Dataset]) -> float | None:
    """None where nothing was scored: the document names no risk."""
    told = [r for g in groups if (r := child(g, RISK)) is not None]
    return number(told[0]) if told else None


def _finding(group: Dataset) -> tuple[str, tuple[float, bool]]:
    label, probability, presence = child(group, TRACKING_IDENTIFIER), child(group, PROBABILITY), child(group, PRESENCE)
    if label is None or probability is None or presence is None:
        raise ValueError("a finding without label, probability or presence")
    said = presence.ConceptCodeSequence[0]
    if not (is_code(said, PRESENT) or is_code(said, ABSENT)):
        raise ValueError("a presence that is neither present nor absent")
    return str(label.TextValue), (round(number(probability), 3), is_code(said, PRESENT))
