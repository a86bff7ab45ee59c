"""The answer to a search: a searchset Bundle (R4 3.1.1.2) with links to itself and to the next page."""

from __future__ import annotations

from urllib.parse import urlencode

from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.search import Answer, Place, Search


def searchset(search: Search, answer: Answer, base: str) -> Json:
    """`base`: our FHIR base URL without a slash at the end."""
    links = [{"relation": "self", "url": _url(search, base, search.start)}]
    if answer.following:
        links.append({"relation": "next", "url": _url(search, base, answer.following)})
    bundle: Json = {"resourceType": "Bundle", "type": "searchset"}
    if answer.total is not None:
        bundle["total"] = answer.total
    bundle["link"] = links
    if answer.resources:
        bundle["entry"] = [{"fullUrl": f"{base}/{r['resourceType']}/{r['id']}", "resource": r,
                            "search": {"mode": "match"}} for r in answer.resources]
    return bundle


def _url(search: Search, base: str, place: Place) -> str:
    parameters = [*search.parameters, ("_count", str(search.count))]
    if place != Place():
        parameters.append(("_page", ".".join(str(number) for number in place)))
    return f"{base}/{search.resource_type}?{urlencode(parameters)}"
