"""Search for Tasks (R4 3.1.1): the worklist from the top, as far as it matches, in its own order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import urlencode

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.refusals import InvalidStructure
from adapters.fhir.content.search import CONTROLS, count_of, require_json, require_printable
from adapters.fhir.content.stored import case_of
from adapters.fhir.content.task import Site, task
from adapters.fhir.content.tokens import parse_tokens
from gateway.browsing import EVERYTHING, WorklistFilter
from gateway.case import CaseState
from gateway.ports import CaseDetail, CaseView, Page

PARAMETERS = (("_id", "token"), ("based-on", "reference"), ("business-status", "token"), ("focus", "reference"),
              ("identifier", "token"), ("patient", "reference"), ("patient.identifier", "token"),
              ("priority", "token"), ("status", "token"))
"""Search parameters and their types; `_sort` by `priority` is the order in any case."""
_SORTS = frozenset({"priority", "-priority"})
_PAGE = 200
Keep = Callable[[Json], bool]


class Lines(Protocol):
    """Port: what a search asks of gateway.ports.Queries."""

    def worklist(self, limit: int, cursor: str | None = None, where: WorklistFilter = EVERYTHING) -> Page: ...

    def case(self, case_id: str) -> CaseDetail | None: ...

    def orders(self, order_id: str) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class TaskSearch:
    """`where`: the part of the worklist that holds everything that may match; `keep`: all must agree."""

    where: WorklistFilter
    keep: tuple[Keep, ...]
    count: int
    cursor: str
    parameters: tuple[tuple[str, str], ...]


def parse(lines: Lines, parameters: Sequence[tuple[str, str]], *, lenient: bool = False) -> TaskSearch:
    """Raises Unreadable with the name of a parameter that is unknown (unless `lenient`) or cannot be read."""
    where, keep, used, controls = EVERYTHING, list[Keep](), list[tuple[str, str]](), dict[str, str]()
    for name, value in parameters:
        require_printable(name, value)
        if name in CONTROLS or name == "_sort":
            controls[name] = value
        elif name in _READERS and value:
            used.append((name, value))
            narrowed, predicate = _READERS[name](lines, value, f"http.{name.lower()}")
            where, keep = _both(where, narrowed), [*keep, predicate]
        elif name not in _READERS and not lenient:
            raise InvalidStructure(f"The search parameter {name} is not known for Task; known are "
                                   f"{', '.join(_READERS)}.", element=f"http.{name.lower()}")
    require_json(controls.get("_format", "json"))
    if sort := controls.get("_sort"):
        if sort not in _SORTS:
            raise InvalidStructure("Tasks are sorted by priority, most urgent first; by nothing else.",
                                   element="http._sort")
        used.append(("_sort", sort))
    return TaskSearch(where, tuple(keep), count_of(controls), controls.get("_page", ""), tuple(used))


def _both(left: WorklistFilter, right: WorklistFilter) -> WorklistFilter:
    """Where both name the same field the first stays: `keep` decides."""
    told = {name: getattr(left, name) or getattr(right, name) for name in ("state", "text", "study_instance_uid")}
    return replace(left, **told, read=left.read if left.read is not None else right.read,
                   patient=left.patient or right.patient)


def answer(lines: Lines, search: TaskSearch, site: Site, base: str) -> Json:
    """The searchset Bundle. `base`: our FHIR base URL without a slash at the end."""
    found, following = _page(lines, search, site)
    links = [{"relation": "self", "url": _url(search, base, search.cursor)}]
    if following:
        links.append({"relation": "next", "url": _url(search, base, following)})
    bundle: Json = {"resourceType": "Bundle", "type": "searchset"}
    if not search.keep:
        bundle["total"] = lines.worklist(1, None, search.where).total
    elif not following and not search.cursor:
        bundle["total"] = len(found)
    bundle["link"] = links
    if found and search.count:
        bundle["entry"] = [{"fullUrl": f"{base}/Task/{r['id']}", "resource": r, "search": {"mode": "match"}}
                           for r in found]
    return bundle


def _page(lines: Lines, search: TaskSearch, site: Site) -> tuple[list[Json], str]:
    """(resources, cursor behind the last of them; empty at the end). `_count=0` counts them all."""
    if not search.keep:
        page = lines.worklist(max(1, search.count), search.cursor or None, search.where)
        return [task(case, site) for case in page.items], page.next or "" if search.count else ""
    found: list[Json] = []
    for position, cursor, case in _walk(lines, search):
        resource = task(case, site)
        if not all(keep(resource) for keep in search.keep):
            continue
        if search.count and len(found) == search.count:
            return found, lines.worklist(position, cursor or None, search.where).next or "" if position else cursor
        found.append(resource)
    return found, ""


def _walk(lines: Lines, search: TaskSearch) -> Iterator[tuple[int, str, CaseView]]:
    """(lines of its page before it, cursor of that page, the line)."""
    cursor = search.cursor
    while True:
        page = lines.worklist(_PAGE, cursor or None, search.where)
        for position, case in enumerate(page.items):
            yield position, cursor, case
        if page.next is None:
            return
        cursor = page.next


def _url(search: TaskSearch, base: str, cursor: str) -> str:
    parameters = [*search.parameters, ("_count", str(search.count)), *([("_page", cursor)] if cursor else [])]
    return f"{base}/Task?{urlencode(parameters)}"


# ---------------------------------------------------------------- one parameter each

Read = tuple[WorklistFilter, Keep]


def _by_id(lines: Lines, value: str, element: str) -> Read:
    ids = {token.value for token in parse_tokens(value, element)}
    return _where_case(lines, ids), lambda task: task["id"] in ids


def _by_identifier(lines: Lines, value: str, element: str) -> Read:
    tokens = parse_tokens(value, element)
    return _where_case(lines, {t.value for t in tokens}), lambda task: any(t.among(task["identifier"]) for t in tokens)


def _where_case(lines: Lines, ids: set[str]) -> WorklistFilter:
    """Of a single case its study; of several everything."""
    detail = lines.case(case_of(next(iter(ids)))) if len(ids) == 1 else None
    return WorklistFilter(study_instance_uid=detail.case.study_instance_uid) if detail else EVERYTHING


def _by_status(_: Lines, value: str, element: str) -> Read:
    wanted = {token.value for token in parse_tokens(value, element)}
    where = EVERYTHING
    if wanted == {"completed"}:
        where = WorklistFilter(read=True)
    elif len(wanted) == 1 and (state := {"cancelled": CaseState.CANCELLED, "draft": CaseState.RECEIVING}.get(
            next(iter(wanted)))):
        where = WorklistFilter(state=frozenset({state}))
    return where, lambda task: task["status"] in wanted


def _by_business_status(_: Lines, value: str, element: str) -> Read:
    tokens = parse_tokens(value, element)
    known = {state.value: state for state in CaseState}
    states = frozenset(known[t.value] for t in tokens if t.value in known)
    return WorklistFilter(state=states), lambda task: any(
        t.value == c["code"] and t.system in (None, c["system"]) for t in tokens
        for c in task["businessStatus"]["coding"])


def _by_priority(_: Lines, value: str, element: str) -> Read:
    wanted = {token.value for token in parse_tokens(value, element)}
    return EVERYTHING, lambda task: task["priority"] in wanted


def _by_patient_identifier(_: Lines, value: str, element: str) -> Read:
    tokens = parse_tokens(value, element)
    text = tokens[0].value if len(tokens) == 1 else ""
    return WorklistFilter(text=text), lambda task: any(t.matches(task["for"]["identifier"]) for t in tokens)


def _by_patient(lines: Lines, value: str, element: str) -> Read:
    """A Patient of ours: its id begins with the id of a case."""
    detail = lines.case(case_of(_target(value, "Patient", element)))
    if detail is None:
        return _NOTHING
    case = detail.case
    if not case.patient_id:
        return _where_case(lines, {case.case_id}), lambda task: bool(task["id"] == case.case_id)
    return WorklistFilter(patient=(case.patient_issuer, case.patient_id)), lambda _: True


def _by_focus(lines: Lines, value: str, element: str) -> Read:
    """An ImagingStudy of ours, or its Study Instance UID."""
    uid = value.removeprefix(f"{v.DICOM_UID}|").removeprefix("urn:oid:")
    if uid == value:
        detail = lines.case(case_of(_target(value, "ImagingStudy", element)))
        if detail is None:
            return _NOTHING
        uid = detail.case.study_instance_uid
    return WorklistFilter(study_instance_uid=uid), lambda task: bool(
        task["focus"]["identifier"]["value"] == f"urn:oid:{uid}")


def _by_order(lines: Lines, value: str, element: str) -> Read:
    """A ServiceRequest that was placed here: the study that it names, else the studies with its accession number."""
    order = lines.orders(_target(value, "ServiceRequest", element))
    if order is None:
        return _NOTHING
    if uid := str(order.get("study_instance_uid") or ""):
        return _by_focus(lines, f"urn:oid:{uid}", element)
    number = str(order.get("accession_number") or "")
    if not number:
        return _NOTHING
    return WorklistFilter(text=number), lambda task: any(
        r["identifier"]["value"] == number for r in task.get("basedOn", ()))


_NOTHING: Read = (WorklistFilter(read=True, state=frozenset({CaseState.RECEIVING})), lambda _: False)


def _target(value: str, resource_type: str, element: str) -> str:
    """The id in `id`, `Type/id` or our address of it. Raises Unreadable for a reference to another type."""
    parts = value.rstrip("/").split("/")
    if len(parts) > 1 and parts[-2] != resource_type:
        raise InvalidStructure(f"The reference must be to a {resource_type}.", element=element)
    return parts[-1]


_READERS: dict[str, Callable[[Lines, str, str], Read]] = {
    "_id": _by_id, "based-on": _by_order, "business-status": _by_business_status, "focus": _by_focus,
    "identifier": _by_identifier, "patient": _by_patient, "patient.identifier": _by_patient_identifier,
    "priority": _by_priority, "status": _by_status}
