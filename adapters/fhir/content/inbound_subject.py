"""Whose order or recording it is: `subject` → Patient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.datatypes import Json, clean, person_name
from adapters.fhir.content.refusals import InvalidValue, MissingElement
from gateway.study import Patient

_SEXES = {"male": "M", "female": "F", "other": "O"}
LONGEST_IDENTIFIER = 64
"""Characters; DICOM's LO (PS3.5 6.2), which every patient and order number has to pass."""


def patient_of(resource: Json) -> Patient:
    """From the contained Patient, or from `subject.identifier`. Raises Unusable where neither says who it is."""
    path = f"{resource['resourceType']}.subject"
    subject = resource.get("subject")
    if not subject:
        raise MissingElement(f"{path} is required.", element=path)
    if _type_of(subject) not in ("", "Patient"):
        raise InvalidValue(f"{path} is no Patient.", element=path)
    told = contained(resource, subject, path)
    if told.get("resourceType", "Patient") != "Patient":
        raise InvalidValue(f"{path} is no Patient.", element=path)
    identifiers = [*told.get("identifier", []), *([subject["identifier"]] if "identifier" in subject else [])]
    number = patient_identifier(identifiers)
    if not number:
        raise MissingElement(f"{path} does not say who the patient is: give {path}.identifier, or a contained Patient "
                             "with an identifier (references are not followed).", element=f"{path}.identifier")
    return Patient(bounded(number["value"], f"{path}.identifier.value"), clean(number.get("system")),
                   person_name(told.get("name", [])), _birth_date(told.get("birthDate", "")),
                   _SEXES.get(told.get("gender", ""), ""))


def _type_of(reference: Json) -> str:
    """From `type`, else from a relative or absolute literal reference; empty where nobody says."""
    if "type" in reference:
        return str(reference["type"]).rsplit("/", 1)[-1]
    parts = str(reference.get("reference", "")).split("/")
    return parts[-2] if len(parts) > 1 else ""


def contained(resource: Json, reference: Json, path: str) -> Json:
    """The contained resource that `#id` names, {} for other references. Raises Unusable where it is not there."""
    target = str(reference.get("reference", ""))
    if not target.startswith("#"):
        return {}
    for inner in resource.get("contained", []):
        if inner.get("id") == target[1:]:
            return dict(inner)
    raise InvalidValue(f"{path}.reference names no contained resource.", element=f"{path}.reference")


def patient_identifier(identifiers: Iterable[Json]) -> Json:
    """The medical record number, else the usual or official identifier, else the first; {} without any."""
    usable = [i for i in identifiers if clean(i.get("value")) and i.get("use") != "old"]
    ranked = sorted(usable, key=lambda i: (type_code(i) != "MR", i.get("use") not in ("usual", "official")))
    return ranked[0] if ranked else {}


def type_code(identifier: Json) -> str:
    """HL7 table 0203 code of an identifier, from whichever system names it."""
    codings: list[Any] = identifier.get("type", {}).get("coding", [])
    ranked = sorted(codings, key=lambda c: c.get("system") != v.V2_IDENTIFIER_TYPE)
    return str(ranked[0].get("code", "")) if ranked else ""


def bounded(value: Any, path: str) -> str:
    text = clean(value)
    if len(text) > LONGEST_IDENTIFIER:
        raise InvalidValue(f"{path} is longer than {LONGEST_IDENTIFIER} characters.", element=path)
    return text


def _birth_date(date: str) -> str:
    """YYYY-MM-DD → YYYYMMDD; a year or month alone is no DICOM date."""
    return date.replace("-", "") if len(date) == 10 else ""
