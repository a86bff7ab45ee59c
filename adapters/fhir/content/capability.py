"""CapabilityStatement (R4 2.22): what `/fhir` does, said from the same tables that do it."""

from __future__ import annotations

from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.search import SEARCHABLE
from adapters.fhir.content.task_search import PARAMETERS as TASK_PARAMETERS

_DATE = "2026-01-01"
"""When this set of capabilities was last changed."""
_CREATED = {"Observation": "A 12-lead ECG recording in component.valueSampledData becomes a study that is read."}
_TASK = ("The worklist, most urgent first: the order of the page and of UPS. Sorted by `priority` or `-priority` it is "
         "the same: a list with the sickest at its end is not given.")
_MEDIA = "A breath sound (WAV, FLAC) or a photograph (PNG, JPEG) in content.data becomes a study that is read."
_ORDER = "An order. One with the same placer, filler or accession number is the same order, changed."


def capability_statement(base: str, version: str) -> Json:
    """`base`: our FHIR base URL; `version`: of the software."""
    resources = [_searchable(name) for name in SEARCHABLE] + [_service_request(), _task(), _media()]
    return {
        "resourceType": "CapabilityStatement", "status": "active", "date": _DATE, "kind": "instance",
        "publisher": "Triage Gateway", "software": {"name": "Triage Gateway", "version": version},
        "implementation": {"description": "Triage Gateway: orders and ECG in, reports out", "url": base},
        "fhirVersion": "4.0.1", "format": ["application/fhir+json", "json"],
        "rest": [{"mode": "server", "resource": sorted(resources, key=lambda r: str(r["type"]))}]}


def _searchable(name: str) -> Json:
    codes = ["read", "search-type", *(["create"] if name in _CREATED else [])]
    resource: Json = {"type": name, "interaction": [{"code": code} for code in codes], "versioning": "versioned",
                      "searchParam": [{"name": told, "type": kind} for told, kind in SEARCHABLE[name]]}
    return resource | ({"documentation": _CREATED[name]} if name in _CREATED else {})


def _task() -> Json:
    return {"type": "Task", "documentation": _TASK, "versioning": "versioned",
            "interaction": [{"code": "read"}, {"code": "search-type"}],
            "searchParam": [{"name": told, "type": kind} for told, kind in TASK_PARAMETERS]}


def _media() -> Json:
    return {"type": "Media", "documentation": _MEDIA, "versioning": "versioned",
            "interaction": [{"code": "read"}, {"code": "create"}]}


def _service_request() -> Json:
    return {"type": "ServiceRequest", "documentation": _ORDER, "versioning": "versioned", "updateCreate": False,
            "conditionalUpdate": True, "interaction": [{"code": code} for code in ("read", "create", "update")]}
