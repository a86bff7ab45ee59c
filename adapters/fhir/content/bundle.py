"""Transaction entries (R4 3.1.0.11): create unless it is there, or update what an identifier names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters.fhir.content.datatypes import Json, moment, reference, search_token


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource of a transaction under its `urn:uuid:` address."""

    full_url: str
    resource: Json
    request: Json

    @property
    def reference(self) -> Json:
        return reference(self.full_url, self.resource["resourceType"])

    def to_json(self) -> Json:
        return {"fullUrl": self.full_url, "resource": self.resource, "request": self.request}


def create_unless_there(full_url: str, resource: Json, system: str, value: str) -> Entry:
    """Conditional create (R4 3.1.0.8.1): what is others' is never updated."""
    query = f"identifier={search_token(system, value)}"
    return Entry(full_url, resource, {"method": "POST", "url": resource["resourceType"], "ifNoneExist": query})


def update_in_place(full_url: str, resource: Json, system: str, value: str) -> Entry:
    """Conditional update (R4 3.1.0.7.1): a retry changes nothing, a later run replaces."""
    url = f"{resource['resourceType']}?identifier={search_token(system, value)}"
    return Entry(full_url, resource, {"method": "PUT", "url": url})


def transaction(identity: str, at: datetime, entries: list[Entry]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "id": identity, "type": "transaction", "timestamp": moment(at),
            "entry": [entry.to_json() for entry in entries]}
