"""What a FHIR server answers to a transaction: is it proof, and if not, what does it say?"""

from __future__ import annotations

import json
import re
from typing import Any

from adapters.fhir.content.datatypes import Json

_ISSUE = re.compile(r"[a-z]+(-[a-z]+)*")
_PATH = re.compile(r"[A-Za-z0-9_.\[\]:()]{1,200}")
_STATUS = re.compile(r"[1-5][0-9]{2}( [A-Za-z -]{1,40})?")
_LOCATION = re.compile(r"(DiagnosticReport|Observation)/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?$")


def proof(sent: bytes, answered: bytes) -> Json | None:
    """Facts for the receipt (`statuses` in the order sent, `locations` of report and Observations), None if no proof.

    Proof is a transaction-response with as many entries as were sent, each with a 2xx status (R4 3.1.0.11.3).
    """
    entries = _response_entries(answered)
    if entries is None or len(entries) != len(json.loads(sent)["entry"]):
        return None
    statuses = [str(_response(entry).get("status", "")) for entry in entries]
    if not all(_STATUS.fullmatch(status) and status.startswith("2") for status in statuses):
        return None
    found = (_LOCATION.search(str(_response(entry).get("location", ""))) for entry in entries)
    return {"statuses": statuses, "locations": [place.group() for place in found if place]}


def _response_entries(answered: bytes) -> list[Any] | None:
    try:
        bundle = json.loads(answered)
    except (ValueError, RecursionError):
        return None
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        return None
    entries = bundle.get("entry")
    return entries if bundle.get("type") == "transaction-response" and isinstance(entries, list) else None


def _response(entry: Any) -> Json:
    told = entry.get("response") if isinstance(entry, dict) else None
    return told if isinstance(told, dict) else {}


def complaint(answered: bytes) -> str:
    """Issue types and elements of an OperationOutcome (`invalid at Bundle.entry[2].resource.status`).

    Its texts are left out: servers repeat values of the resource in them. Empty where it is no OperationOutcome.
    """
    try:
        issues = json.loads(answered)["issue"]
        told = [_issue(issue) for issue in issues if issue.get("severity") in ("error", "fatal")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return "; ".join(dict.fromkeys(text for text in told[:5] if text))


def _issue(issue: Json) -> str:
    code = str(issue.get("code", ""))
    paths = issue.get("expression") or issue.get("location") or []
    path = str(paths[0]) if isinstance(paths, list) and paths else ""
    if not _ISSUE.fullmatch(code):
        return ""
    return f"{code} at {path}" if _PATH.fullmatch(path) else code
