"""Any structured report (PS3.3 C.17.3) as a tree of names and values, read with pydicom alone."""

from __future__ import annotations

from io import BytesIO

from pydicom import Dataset, dcmread

from adapters.dicom.content.waveform_read import MALFORMED
from gateway.document_tree import Node
from gateway.errors import Permanent

_DEEPEST = 40
_PLAIN = {"TEXT": "TextValue", "UIDREF": "UID", "DATE": "Date", "TIME": "Time", "DATETIME": "DateTime",
          "PNAME": "PersonName"}
"""Value Type → the attribute that holds the value."""
_HEADER = ("SOPInstanceUID", "CompletionFlag", "VerificationFlag", "PreliminaryFlag", "ContentDate", "ContentTime",
           "Manufacturer")


def tree_of_report(content: bytes) -> tuple[Node, ...]:
    """The document's header and its content tree. Raises Permanent where the bytes are no structured report."""
    try:
        report = dcmread(BytesIO(content))
        told = [(report[keyword].name, str(report[keyword].value), keyword) for keyword in _HEADER
                if report.get(keyword)]
        header = Node("Header", children=tuple(Node(*one) for one in told))
        return header, _item(report, 0)
    except (*MALFORMED, OSError) as error:
        raise Permanent(f"the structured report cannot be taken apart ({type(error).__name__})") from error


def _item(item: Dataset, depth: int) -> Node:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    named = item.get("ConceptNameCodeSequence")
    name, code = (_meaning(named[0]), _code(named[0])) if named else (_words(str(item.ValueType)), "")
    children = tuple(_item(child, depth + 1) for child in item.get("ContentSequence") or ())
    return Node(name, _value(item), code, children)


def _words(value_type: str) -> str:
    return value_type.capitalize().replace("Scoord", "Region of the image").replace("Tcoord", "Part of the waveform")


def _meaning(code: Dataset) -> str:
    return str(code.get("CodeMeaning") or code.get("CodeValue") or code.get("LongCodeValue") or "")


def _code(code: Dataset) -> str:
    value = code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue") or ""
    return f"{value} {code.get('CodingSchemeDesignator') or ''}".strip()


def _value(item: Dataset) -> str:
    value_type = str(item.ValueType)
    if value_type in _PLAIN:
        return str(item.get(_PLAIN[value_type]) or "")
    if value_type == "CODE":
        said = item.ConceptCodeSequence[0]
        return f"{_meaning(said)} ({_code(said)})"
    if value_type == "NUM":
        return _number(item)
    if value_type in {"IMAGE", "WAVEFORM", "COMPOSITE"}:
        return _reference(item.ReferencedSOPSequence[0])
    if value_type in {"SCOORD", "SCOORD3D", "TCOORD"}:
        return _coordinates(item)
    return _tracked(item) if value_type == "CONTAINER" else ""


def _tracked(group: Dataset) -> str:
    """The tracking identifier (DCM 112039) of a measurement group: what tells the groups apart."""
    return next((str(child.get("TextValue") or "") for child in group.get("ContentSequence") or ()
                 if child.get("ConceptNameCodeSequence") and child.ConceptNameCodeSequence[0].get(
                     "CodeValue") == "112039"), "")


def _number(item: Dataset) -> str:
    measured = item.get("MeasuredValueSequence")
    if not measured:
        return _meaning((item.get("NumericValueQualifierCodeSequence") or [Dataset()])[0])
    units = measured[0].get("MeasurementUnitsCodeSequence")
    unit = "" if not units or units[0].get("CodeValue") == "1" else f" {_meaning(units[0])}"
    return f"{measured[0].NumericValue}{unit}"


def _reference(item: Dataset) -> str:
    parts = [f"{item.ReferencedSOPClassUID.name} {item.ReferencedSOPInstanceUID}"]
    parts += [f"{word} {item[keyword].value}" for word, keyword in (
        ("frame", "ReferencedFrameNumber"), ("channels", "ReferencedWaveformChannels")) if item.get(keyword)]
    return ", ".join(parts)


def _coordinates(item: Dataset) -> str:
    kind = str(item.get("GraphicType") or item.get("TemporalRangeType") or "")
    points = next((item[keyword].value for keyword in (
        "GraphicData", "ReferencedTimeOffsets", "ReferencedSamplePositions", "ReferencedDateTime")
        if item.get(keyword) is not None), ())
    listed = points if isinstance(points, list | tuple) or hasattr(points, "__iter__") else [points]
    return f"{kind} {', '.join(str(point) for point in listed)}".strip()
