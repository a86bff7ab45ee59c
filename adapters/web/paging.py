"""What the lists and the records of the API have in common: pages, ids in addresses, tags of versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Path, Query
from pydantic import StringConstraints

from adapters.web.problems import Refusal

Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many items.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before.")]
DEFAULT_LIMIT = 100
_ADDRESS = r"^[0-9A-Za-z]{1,64}$"
CaseId = Annotated[str, Path(pattern=_ADDRESS, examples=["3f2a9c0b71d4e8a65b90"], description="`case_id` of a list.")]
StudyId = Annotated[str, Path(pattern=_ADDRESS, examples=["1f9c2e07ab45d3"], description="`study_id` of a list.")]
PatientKey = Annotated[str, Path(pattern=_ADDRESS, examples=["1b03d7c55e9af2"],
                                 description="`patient_key` of a list: an id of our own, not the hospital's.")]
RowId = Annotated[int, Path(ge=1, le=2**53, examples=[17])]
Plain = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line of text."""
IfMatch = Annotated[str | None, Header(max_length=200, description="ETag of the version that is to be changed, or *.")]
Force = Annotated[bool, Query(description="Delete also what is received, read or under delivery.")]


def tag(version: str) -> str:
    """An entity tag (RFC 9110 8.8.3)."""
    return f'"{version}"'


def version_of(if_match: str | None) -> str | None:
    """The version that a change is meant for, None for `*`. Raises Refusal 428 where none is told (RFC 6585 3)."""
    if if_match is None:
        raise Refusal(428, "Tell which version is to be changed: If-Match with the ETag of the last GET, or *.")
    return None if if_match.strip() == "*" else if_match.strip().removeprefix("W/").strip('"')
