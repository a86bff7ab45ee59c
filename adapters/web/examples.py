"""Examples for the API's description: what the values of well-known names look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LONGEST = 12
VALUES: Mapping[str, Any] = {
    "case_id": "3f2a9c0b71d4e8a65b90", "run_id": "9a41c7e0b2d85f6631c0a7d4", "study_id": "1f9c2e07ab45d3",
    "patient_key": "1b03d7c55e9af2", "patient": "1b03d7c55e9af2", "batch_id": "9f2a7c01d4e8b6503a1c",
    "study_instance_uid": "2.25.147834908127634", "identity": "2.25.98127634", "accession_number": "A4711",
    "patient_id": "P00017", "issuer": "HOSPITAL", "patient_issuer": "HOSPITAL", "patient_name": "Ivanova^Anna",
    "name": "Ivanova^Anna", "patient_birth_date": "19590214", "birth_date": "19590214", "patient_sex": "F", "sex": "F",
    "modality": "ECG", "pipeline": "ecg_12lead", "state": "reported", "completeness": "assumed",
    "verdict": "pathology", "risk": 0.87, "priority": "urgent", "code": "AFIB", "label": "AFIB",
    "display": "Atrial fibrillation", "probability": 0.97, "threshold": 0.41, "present": True,
    "destination": "pacs", "kind": "sr", "attempts": 1, "last_error": "", "receipt": {"status": "0x0000"},
    "delivery_id": 17, "line_id": 17, "feedback_id": 17, "number": 1, "instances": 1, "objects": 1, "files": 1,
    "studies": 1, "total": 1, "merged_into": "", "next": None, "cursor": None, "limit": 100, "error": "", "reason": "",
    "summary": "Atrial fibrillation with a ventricular rate of 118 per minute.", "description": "Resting ECG",
    "study_description": "Resting ECG", "media_type": "application/dicom", "text": "ivanova", "conflict": False,
    "href": "/api/cases/3f2a9c0b71d4e8a65b90/documents/sr", "version": "1", "sha256": "ab" * 32, "status": "validated",
    "card": "/models/ecg_12lead", "ready": True, "demonstration": False, "receiving": False, "current": True,
    "who": "127.0.0.1", "action": "study_deleted", "subject": "1f9c2e07ab45d3", "detail": {"objects": 1},
    "given_by": "Dr Petrova", "comment": "P waves in lead II.", "record": "records500/00000/00001_hr",
    "file": ["ecg.npy"],
    "received_at": "2026-01-05T08:30:00Z", "reported_at": "2026-01-05T08:30:09Z", "created_at": "2026-01-05T08:30:00Z",
    "ended_at": "2026-01-05T08:31:00Z", "given_at": "2026-01-05T09:00:00Z", "at": "2026-01-05T09:00:00Z",
    "delivered_at": "2026-01-05T08:30:10Z", "read_at": None, "next_attempt_at": None, "due_at": "2026-01-05T09:30:00Z",
    "received_from": "2026-01-05", "received_to": "2026-01-06", "stored": 1, "duplicate": 0, "refused": 0, "done": 1,
    "failed": 0, "order": None, "result": {"verdict": "pathology", "risk": 0.87}, "study": "2.25.147834908127634",
}


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
    """A value that the schema allows. `schemas`: those it refers to by name; `name`: of the property it describes."""
    schema = _resolved(schema, schemas)
    if depth > _LONGEST:
        return None
    if "properties" in schema and name not in {"receipt", "detail", "result"}:
        return {key: example_of(inner, schemas, key, depth + 1) for key, inner in schema["properties"].items()}
    if schema.get("type") == "array" and not isinstance(VALUES.get(name), list):
        return [example_of(schema.get("items", {}), schemas, name.removesuffix("s"), depth + 1)]
    for source in (schema.get("examples"), [VALUES[name]] if fits(name, schema) else None, schema.get("enum")):
        if source:
            return source[0]
    return schema["default"] if "default" in schema else _plainest(schema)


def fits(name: str, schema: Mapping[str, Any]) -> bool:
    """Whether the well-known value of that name is of the schema's type and among its values."""
    if name not in VALUES:
        return False
    value = VALUES[name]
    kinds: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "boolean": bool,
                             "object": Mapping, "array": list}
    options = [one.get("type") for one in schema.get("anyOf", [schema])]
    if any("enum" in one and value in one["enum"] for one in schema.get("anyOf", [])):
        return True
    if "enum" in schema:
        return value in schema["enum"]
    return (value is None and "null" in options) or any(
        isinstance(value, kinds[kind]) and not (kind in {"integer", "number"} and isinstance(value, bool))
        for kind in options if kind in kinds)


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without references; of alternatives the first that is not null, unless the name knows better."""
    while True:
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        elif "allOf" in schema and len(schema["allOf"]) == 1:
            schema = schema["allOf"][0]
        elif "anyOf" in schema:
            chosen: Mapping[str, Any] = next((one for one in schema["anyOf"] if one.get("type") != "null"), {})
            if "$ref" not in chosen:
                return {**schema, **{key: chosen[key] for key in ("items", "type", "enum") if key in chosen}}
            schema = chosen
        else:
            return schema


def _plainest(schema: Mapping[str, Any]) -> Any:
    told: dict[str, Any] = {"string": "", "integer": 0, "number": 0.0, "boolean": False, "object": {}, "array": []}
    return told.get(str(schema.get("type")))
