"""What the gateway made, as a FHIR server shows it: resources with ids out of the transactions that were sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from adapters.fhir.content.datatypes import Json, moment
from gateway import identity
from gateway.ports import StoredDocument


def resource_id(case_id: str, resource_type: str, full_url: str) -> str:
    """At most 64 characters (R4 2.24.0.1): the case id for the report, `case id.hash` for its parts."""
    if resource_type == "DiagnosticReport":
        return case_id
    return f"{case_id}.{identity.digest(full_url)[:20]}"


def case_of(resource_id: str) -> str:
    """The case that a resource id or an identifier of ours begins with."""
    return resource_id.split(".", 1)[0]


def resources_of(document: StoredDocument) -> list[Json]:
    """The resources of one document, `id` and `meta` set, references rewritten to `Type/id`."""
    entries = json.loads(document.content)["entry"]
    places = {entry["fullUrl"]: (entry["resource"]["resourceType"], resource_id(
        document.case_id, entry["resource"]["resourceType"], entry["fullUrl"])) for entry in entries}
    meta = {"versionId": document.run_id, "lastUpdated": moment(document.created_at)}
    found = []
    for entry in entries:
        content = _rewritten(entry["resource"], places)
        head = {"resourceType": content.pop("resourceType"), "id": places[entry["fullUrl"]][1], "meta": meta}
        found.append(head | content)
    return found


def _rewritten(value: Any, places: Mapping[str, tuple[str, str]]) -> Any:
    if isinstance(value, dict):
        return {key: "/".join(places[inner]) if key == "reference" and inner in places else _rewritten(inner, places)
                for key, inner in value.items()}
    if isinstance(value, list):
        return [_rewritten(inner, places) for inner in value]
    return value
