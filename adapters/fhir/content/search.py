"""Search parameters (R4 3.1.1) → what to ask the gateway for, what to keep, and where to go on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.dates import date_range
from adapters.fhir.content.refusals import InvalidStructure, Refused
from adapters.fhir.content.stored import case_of, resources_of
from adapters.fhir.content.tokens import Token, parse_tokens
from gateway.ports import ReportQuery, StoredDocument

SEARCHABLE: dict[str, tuple[tuple[str, str], ...]] = {
    "DiagnosticReport": (("_id", "token"), ("_lastUpdated", "date"), ("identifier", "token"),
                         ("patient.identifier", "token"), ("status", "token")),
    "Observation": (("_id", "token"), ("_lastUpdated", "date"), ("identifier", "token"),
                    ("patient.identifier", "token"), ("status", "token")),
    "ImagingStudy": (("_id", "token"), ("_lastUpdated", "date"), ("identifier", "token"),
                     ("patient.identifier", "token"), ("status", "token")),
    "Patient": (("_id", "token"), ("_lastUpdated", "date"), ("identifier", "token")),
    "Device": (("_id", "token"), ("_lastUpdated", "date"), ("identifier", "token")),
}
"""Resource type → its search parameters and their types."""
CONTROLS = frozenset({"_count", "_format", "_page", "_pretty"})
_JSON_FORMATS = frozenset({"json", "application/json", "application/fhir+json", "application/fhir json", "text/json"})
DEFAULT_COUNT, LARGEST_COUNT = 50, 200
_CHUNK = 50
_SHARED = frozenset({"ImagingStudy", "Patient", "Device"})
"""Types whose resources several reports may hold: told once."""

Fetch = Callable[[ReportQuery], tuple[tuple[StoredDocument, ...], int]]
Keep = Callable[[Json, Json], bool]
"""(resource, the patient of its report) → whether it belongs to the answer."""


class Place(NamedTuple):
    """Where in the answer: which alternative, which document of it, which matching resource of that."""

    query: int = 0
    document: int = 0
    resource: int = 0


@dataclass(frozen=True, slots=True)
class Search:
    """`queries`: alternatives that together hold everything that may match; `keep`: all must agree."""

    resource_type: str
    queries: tuple[ReportQuery, ...]
    keep: tuple[Keep, ...]
    count: int
    start: Place
    parameters: tuple[tuple[str, str], ...]

    def matches(self, fetch: Fetch) -> Iterator[tuple[Place, Json]]:
        """From `start` on: each matching resource with its place."""
        for number in range(self.start.query, len(self.queries)):
            first = self.start.document if number == self.start.query else 0
            for offset, document in _documents(replace(self.queries[number], offset=first), fetch):
                skip = self.start.resource if (number, offset) == self.start[:2] else 0
                yield from ((Place(number, offset, nth), resource)
                            for nth, resource in enumerate(self._kept(document)) if nth >= skip)

    def _kept(self, document: StoredDocument) -> list[Json]:
        resources = resources_of(document)
        patient = next((r for r in resources if r["resourceType"] == "Patient"), {})
        return [r for r in resources if r["resourceType"] == self.resource_type
                and all(keep(r, patient) for keep in self.keep)]


def _documents(query: ReportQuery, fetch: Fetch) -> Iterator[tuple[int, StoredDocument]]:
    while True:
        found, _ = fetch(query)
        yield from enumerate(found, query.offset)
        if len(found) < query.limit:
            return
        query = replace(query, offset=query.offset + len(found))


@dataclass(frozen=True, slots=True)
class Answer:
    """One page. `total` None where counting would mean reading everything."""

    resources: tuple[Json, ...]
    following: Place | None
    total: int | None


def answer(search: Search, fetch: Fetch) -> Answer:
    """The page of a search. `_count=0` asks for the total alone (R4 3.1.1.5.4)."""
    found = _once(search.matches(fetch)) if search.resource_type in _SHARED else search.matches(fetch)
    if search.count == 0:
        return Answer((), None, sum(1 for _ in found))
    page = list(itertools.islice(found, search.count + 1))
    following = page[search.count][0] if len(page) > search.count else None
    return Answer(tuple(resource for _, resource in page[:search.count]), following, _total(search, fetch, page))


def _total(search: Search, fetch: Fetch, page: Sequence[tuple[Place, Json]]) -> int | None:
    if len(page) <= search.count and search.start == Place():
        return len(page)
    if search.resource_type == "DiagnosticReport" and len(search.queries) == 1 and not search.keep:
        return fetch(replace(search.queries[0], limit=1))[1]
    return None


def _once(found: Iterable[tuple[Place, Json]]) -> Iterator[tuple[Place, Json]]:
    seen = set()
    for place, resource in found:
        key = tuple((i.get("system"), i.get("value")) for i in resource["identifier"])
        if key not in seen:
            seen.add(key)
            yield place, resource


# ---------------------------------------------------------------- reading the parameters


def parse_search(resource_type: str, parameters: Sequence[tuple[str, str]], *, lenient: bool = False) -> Search:
    """Raises Unreadable with the name of a parameter that is unknown (unless `lenient`) or cannot be read."""
    known = dict(SEARCHABLE[resource_type])
    queries: tuple[ReportQuery, ...] = (ReportQuery(limit=_CHUNK),)
    keep: list[Keep] = []
    used: list[tuple[str, str]] = []
    controls: dict[str, str] = {}
    for name, value in parameters:
        element = f"http.{name.lower()}"
        require_printable(name, value)
        if name in CONTROLS:
            controls[name] = value
        elif name not in known:
            if not lenient:
                raise InvalidStructure(f"The search parameter {name} is not known for {resource_type}; known are "
                                       f"{', '.join(known)}.", element=element)
        elif value:
            used.append((name, value))
            more, predicate = _READERS[name](resource_type, value, element)
            queries = _both(queries, more)
            keep += [predicate] if predicate else []
    require_json(controls.get("_format", "json"))
    return Search(resource_type, queries, tuple(keep), count_of(controls), _place(controls), tuple(used))


def require_printable(name: str, value: str) -> None:
    """Raises Unreadable naming the parameter."""
    if not value.isprintable():
        raise InvalidStructure(f"The value of {name} holds control characters.", element=f"http.{name.lower()}")


def require_json(media_type: str) -> None:
    if media_type.split(";", maxsplit=1)[0].strip().lower() not in _JSON_FORMATS:
        raise Refused(406, "not-supported", "Only JSON is spoken here (application/fhir+json).", element="http._format")


def _both(left: tuple[ReportQuery, ...], right: tuple[ReportQuery, ...]) -> tuple[ReportQuery, ...]:
    """Every alternative of the one narrowed by every alternative of the other.

    Where both name another value of the same field, the one already there stays: `keep` decides.
    """
    made = []
    for one, other in itertools.product(left, right):
        told = {name: getattr(one, name) or getattr(other, name)
                for name in ("case_id", "study_instance_uid", "accession_number", "patient_id", "status")}
        made.append(replace(one, **told, updated=one.updated + other.updated))
    return tuple(dict.fromkeys(made))


Reader = Callable[[str, str, str], tuple[tuple[ReportQuery, ...], Keep | None]]


def _by_id(_: str, value: str, element: str) -> tuple[tuple[ReportQuery, ...], Keep]:
    ids = {token.value for token in parse_tokens(value, element)}
    cases = sorted({case_of(i) for i in ids})
    return tuple(ReportQuery(case_id=c) for c in cases), lambda resource, _: resource["id"] in ids


def _by_update(_: str, value: str, element: str) -> tuple[tuple[ReportQuery, ...], None]:
    return (ReportQuery(updated=date_range(value, element)),), None


def _by_patient(_: str, value: str, element: str) -> tuple[tuple[ReportQuery, ...], Keep]:
    tokens = parse_tokens(value, element)
    return (_any_of(ReportQuery(patient_id=t.value) for t in tokens),
            lambda _, patient: any(t.among(patient.get("identifier", [])) for t in tokens))


def _by_status(resource_type: str, value: str, element: str) -> tuple[tuple[ReportQuery, ...], Keep]:
    wanted = {token.value for token in parse_tokens(value, element)}
    narrowed = resource_type == "DiagnosticReport" and len(wanted) == 1
    query = ReportQuery(status=next(iter(wanted)) if narrowed else "")
    return (query,), lambda resource, _: resource["status"] in wanted


def _by_identifier(resource_type: str, value: str, element: str) -> tuple[tuple[ReportQuery, ...], Keep]:
    tokens = parse_tokens(value, element)
    queries = _any_of(_narrowed(resource_type, token) for token in tokens)
    return queries, lambda resource, _: any(t.among(resource["identifier"]) for t in tokens)


def _narrowed(resource_type: str, token: Token) -> ReportQuery:
    """The reports that can hold a resource with this identifier; identifiers of ours begin with the case id."""
    match resource_type:
        case "Patient":
            return ReportQuery(patient_id="" if token.system == v.CASE_PATIENT else token.value)
        case "ImagingStudy" if token.system == v.DICOM_UID or token.value.startswith("urn:oid:"):
            return ReportQuery(study_instance_uid=token.value.removeprefix("urn:oid:"))
        case "ImagingStudy":
            return ReportQuery(accession_number=token.value)
        case "Device":
            return ReportQuery()
    return ReportQuery(case_id=case_of(token.value))


def _any_of(queries: Iterable[ReportQuery]) -> tuple[ReportQuery, ...]:
    """Alternatives; one that narrows nothing holds all the others."""
    told = tuple(dict.fromkeys(queries))
    return (ReportQuery(),) if ReportQuery() in told else told


_READERS: dict[str, Reader] = {
    "_id": _by_id, "_lastUpdated": _by_update, "identifier": _by_identifier, "patient.identifier": _by_patient,
    "status": _by_status}


def count_of(controls: Mapping[str, str]) -> int:
    text = controls.get("_count", str(DEFAULT_COUNT))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidStructure("_count is no whole number.", element="http._count")
    return min(int(text), LARGEST_COUNT)


def _place(controls: dict[str, str]) -> Place:
    parts = controls.get("_page", "0.0.0").split(".")
    if len(parts) != 3 or not all(p.isascii() and p.isdigit() and len(p) < 10 for p in parts):
        raise InvalidStructure("_page is not from a link of ours.", element="http._page")
    return Place(*(int(p) for p in parts))
