"""Is this valid R4? The models of fhir.resources, and what they leave unchecked.

fhir.resources 8 has R4B, not R4: the resources used here are the same in both. It accepts values outside required
bindings, references that lead nowhere and units that are none, so these are checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.units import is_unit


def transaction_problems(bundle: Json) -> list[str]:
    """Sentences, empty when the transaction is valid. They name elements and repeat no values."""
    problems = [f"{path}: {what}" for path, what in structure_problems(bundle)]
    entries = bundle.get("entry", [])
    for number, entry in enumerate(entries):
        path = f"Bundle.entry[{number}].resource"
        problems += [f"{where}: {what}" for where, what in content_problems(entry.get("resource", {}), path)]
    return problems + _reference_problems(entries)


def structure_problems(resource: Json) -> list[tuple[str, str]]:
    """(FHIRPath, what is wrong) from the R4B models: unknown or missing elements, wrong types and formats."""
    resource_type = str(resource.get("resourceType", ""))
    try:
        model = get_fhir_model_class(resource_type)
    except (KeyError, ValueError):
        return [("resourceType", "is no resource of FHIR R4")]
    try:
        model.model_validate(resource)
    except ValidationError as error:
        return [(fhir_path(resource_type, told["loc"]), _WORDS.get(told["type"], "has a wrong type or format"))
                for told in error.errors(include_url=False, include_context=False, include_input=False)]
    return []


MISSING = "is required"
_WORDS = {"missing": MISSING, "model_field_validation.missing": MISSING, "extra_forbidden": "is not an element of R4"}


def fhir_path(root: str, location: tuple[int | str, ...]) -> str:
    path = root
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path


def content_problems(resource: Json, path: str) -> list[tuple[str, str]]:
    """(FHIRPath, what is wrong) of a resource: empty elements, statuses outside their value set, no UCUM units."""
    problems = [(where, "is empty") for where, value in walk(resource, path) if value is None or value in ("", [], {})]
    problems += [(f"{where}.code", "is no UCUM unit") for where, value in walk(resource, path)
                 if isinstance(value, dict) and value.get("system") == v.UCUM
                 and not is_unit(str(value.get("code", "")))]
    allowed = v.REQUIRED_STATUS.get(str(resource.get("resourceType", "")))
    if allowed and resource.get("status") not in allowed:
        problems.append((f"{path}.status", "is none of " + ", ".join(allowed)))
    return problems


def walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every (FHIRPath, value), the root first."""
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from walk(inner, f"{path}[{number}]")


def _reference_problems(entries: list[Json]) -> list[str]:
    """References resolve inside the bundle, addresses are unique, and nothing but the report stands alone."""
    addresses = [str(entry.get("fullUrl", "")) for entry in entries]
    types = {entry.get("fullUrl"): entry.get("resource", {}).get("resourceType") for entry in entries}
    problems = ["Bundle.entry.fullUrl: is not unique"] if len(set(addresses)) != len(addresses) else []
    named = set()
    for path, value in walk(entries, "Bundle.entry"):
        if isinstance(value, dict) and "reference" in value:
            target = value["reference"]
            named.add(target)
            if target not in types:
                problems.append(f"{path}: leads to nothing in the bundle")
            elif value.get("type", types[target]) != types[target]:
                problems.append(f"{path}: is of another type than its target")
    alone = [types[a] for a in addresses if a not in named and types[a] not in ("DiagnosticReport", "Device")]
    return problems + [f"Bundle.entry: a {kind} is referenced by nothing" for kind in alone]
