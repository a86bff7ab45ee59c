"""Refusals with FHIR's own words: HTTP status (R4 3.1.0) and issue type (value set issue-type)."""

from __future__ import annotations

from adapters.fhir.content.datatypes import Json, clean
from gateway.errors import GatewayError, Rejected, StorageFull, Transient, Unreadable, Unusable


class InvalidStructure(Unreadable):
    """An unknown element, a wrong type or format."""

    issue = "structure"


class MissingElement(Unusable):
    issue = "required"


class InvalidCode(Unusable):
    """A code outside its value set."""

    issue = "code-invalid"


class InvalidValue(Unusable):
    issue = "value"


class NotTaken(Unusable):
    """Valid FHIR that the gateway has no use for."""

    issue = "not-supported"


class Refused(Rejected):
    """A refusal with a status of its own (404, 405, 406, 409, 413, 415)."""

    def __init__(self, status: int, issue: str, reason: str, *, element: str = "") -> None:
        super().__init__(reason, element=element)
        self.status = status
        self.issue = issue


_STATUS: tuple[tuple[type[GatewayError], int, str], ...] = (
    (StorageFull, 507, "no-store"), (Transient, 503, "transient"), (Unreadable, 400, "invalid"),
    (Unusable, 422, "processing"), (GatewayError, 500, "exception"))


def status_of(error: GatewayError) -> int:
    """The HTTP status that answers this error."""
    if isinstance(error, Refused):
        return error.status
    return next(status for kind, status, _ in _STATUS if isinstance(error, kind))


def outcome_of(error: GatewayError) -> Json:
    """The OperationOutcome that answers this error: one sentence and the element that it is about."""
    issue = next(issue for kind, _, issue in _STATUS if isinstance(error, kind))
    return outcome(getattr(error, "issue", issue), str(error), getattr(error, "element", ""))


def outcome(issue: str, diagnostics: str, element: str = "", severity: str = "error") -> Json:
    """OperationOutcome (R4 2.28). `element`: FHIRPath, or `http.` + name for a search parameter or header."""
    told: Json = {"severity": severity, "code": issue, "diagnostics": clean(diagnostics) or issue}
    if element:
        told["location" if element.startswith("http.") else "expression"] = [element]
    return {"resourceType": "OperationOutcome", "issue": [told]}
