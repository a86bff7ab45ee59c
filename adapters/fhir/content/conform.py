"""Is a FHIR JSON file valid R4, and does our own reader find the report in it?"""

from __future__ import annotations

import json

from adapters.fhir.content.checks import content_problems, structure_problems, transaction_problems
from adapters.fhir.content.claims import claims_of
from adapters.fhir.content.datatypes import Json
from gateway.errors import Permanent


def check(content: bytes) -> list[str]:
    """Sentences about what is wrong with a transaction of ours or any single resource, none where it is sound."""
    try:
        resource = json.loads(content)
    except ValueError as error:
        return [f"no JSON ({type(error).__name__})"]
    if not isinstance(resource, dict):
        return ["no FHIR resource"]
    if resource.get("resourceType") == "Bundle":
        return transaction_problems(resource) + _unread(content)
    return _single(resource)


def _single(resource: Json) -> list[str]:
    found = structure_problems(resource) or content_problems(resource, str(resource.get("resourceType", "")))
    return [f"{path}: {what}" for path, what in found]


def _unread(content: bytes) -> list[str]:
    try:
        claims_of(content)
    except Permanent as error:
        return [str(error)]
    return []
