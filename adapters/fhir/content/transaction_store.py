"""A FHIR server's transaction in memory: conditional create and update by identifier, all or nothing, strict."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from adapters.fhir.content.checks import content_problems, structure_problems, walk
from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.refusals import InvalidStructure, InvalidValue, MissingElement, NotTaken, Refused
from adapters.fhir.content.tokens import parse_tokens

Resources = dict[str, dict[str, Json]]
"""Resource type → id → resource."""


@dataclass(slots=True)
class ResourceStore:
    """Not thread-safe: one caller at a time."""

    resources: Resources = field(default_factory=dict)
    changes: int = 0
    """How many resources were created or updated so far."""

    def transact(self, bundle: Json) -> Json:
        """The transaction-response; on a refusal nothing has changed. Raises Unreadable, Unusable, Refused."""
        _require_valid(bundle)
        entries = bundle.get("entry", [])
        plans = [self._plan(entry, f"Bundle.entry[{n}]") for n, entry in enumerate(entries)]
        places = {entry.get("fullUrl", ""): f"{kind}/{known or made}" for entry, (kind, known, made)
                  in zip(entries, plans, strict=True)}
        resources = [_resolved(entry["resource"], places) for entry in entries]
        _require_distinct(entries, list(places.values()))
        answers = [self._apply(entry["request"]["method"], plan, resource)
                   for entry, plan, resource in zip(entries, plans, resources, strict=True)]
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}

    def search(self, resource_type: str, query: str) -> list[Json]:
        """By `identifier` alone; all of the type without a query. Raises Unreadable."""
        parameters = parse_qsl(query, keep_blank_values=True)
        found = list(self.resources.get(resource_type, {}).values())
        for name, value in parameters:
            if name != "identifier":
                raise InvalidStructure(f"The search parameter {name} is not known here.", element=f"http.{name}")
            tokens = parse_tokens(value, "http.identifier")
            found = [r for r in found if any(t.among(r.get("identifier", [])) for t in tokens)]
        return found

    def _plan(self, entry: Json, path: str) -> tuple[str, str, str]:
        """(type, id of the resource that is meant, id that a new one would get)."""
        request, kind = entry["request"], entry["resource"]["resourceType"]
        method, address = request["method"], urlsplit(request["url"])
        if address.path != kind or method not in ("POST", "PUT"):
            raise NotTaken(f"{path}.request: only POST Type and PUT Type?identifier=… are taken here.",
                           element=f"{path}.request")
        condition = address.query if method == "PUT" else request.get("ifNoneExist", "")
        if not condition and method == "PUT":
            raise MissingElement(f"{path}.request.url names no condition.", element=f"{path}.request.url")
        found = self.search(kind, condition) if condition else []
        if len(found) > 1:
            raise Refused(412, "multiple-matches", f"{path}: several resources match.", element=f"{path}.request")
        return kind, str(found[0]["id"]) if found else "", str(uuid.uuid4())

    def _apply(self, method: str, plan: tuple[str, str, str], resource: Json) -> Json:
        kind, known, made = plan
        held = self.resources.setdefault(kind, {})
        if known and (method == "POST" or _same(held[known], resource)):
            return _response("200 OK", held[known])
        number = int(held[known]["meta"]["versionId"]) + 1 if known else 1
        stored = {**resource, "id": known or made, "meta": {"versionId": str(number)}}
        self.changes += 1
        held[known or made] = stored
        return _response("200 OK" if known else "201 Created", stored)


def _same(held: Json, resource: Json) -> bool:
    return {k: v for k, v in held.items() if k not in ("id", "meta")} == resource


def _response(status: str, resource: Json) -> Json:
    version = resource["meta"]["versionId"]
    place = f"{resource['resourceType']}/{resource['id']}/_history/{version}"
    return {"response": {"status": status, "location": place, "etag": f'W/"{version}"'}}


def _require_valid(bundle: Json) -> None:
    if bundle.get("type") != "transaction":
        raise InvalidValue("Bundle.type is not transaction.", element="Bundle.type")
    for path, what in structure_problems(bundle):
        raise InvalidStructure(f"{path} {what}.", element=path)
    for number, entry in enumerate(bundle.get("entry", [])):
        path = f"Bundle.entry[{number}]"
        for name in ("resource", "request"):
            if name not in entry:
                raise MissingElement(f"{path}.{name} is required.", element=f"{path}.{name}")
        for where, what in content_problems(entry["resource"], f"{path}.resource"):
            raise InvalidValue(f"{where} {what}.", element=where)


def _resolved(resource: Json, places: Mapping[str, str]) -> Json:
    """References to other entries replaced by where these are. Raises Unusable for one that leads nowhere."""
    made = copy.deepcopy(resource)
    for path, value in walk(made, resource["resourceType"]):
        target: Any = value.get("reference") if isinstance(value, dict) else None
        if isinstance(target, str) and target.startswith("urn:"):
            if target not in places:
                raise InvalidValue(f"{path}.reference leads to nothing in the bundle.", element=f"{path}.reference")
            value["reference"] = places[target]
    return made


def _require_distinct(entries: list[Json], places: list[str]) -> None:
    if len(set(places)) != len(entries):
        raise InvalidValue("Bundle.entry: two entries mean the same resource.", element="Bundle.entry")
