"""The Store Instances response (PS3.18 10.5.3) as DICOM JSON (PS3.18 Annex F)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ALREADY_EXISTS = 0xB00E
"""Warning Reason of an object that is kept beside another of its UID: a code of our own, as PS3.18 I.2.1 allows."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one part. `failure`: a C-STORE status, 0 for success; `warning`: a Warning Reason of what was
    stored, or 0; `comment`: why it failed or warns; `path`: of the stored instance, below the service's URL."""

    sop_class_uid: str
    sop_instance_uid: str
    failure: int = 0
    comment: str = ""
    transient: bool = False
    warning: int = 0
    path: str = ""


def body(outcomes: Sequence[Outcome], base: str, path: str) -> dict[str, Any]:
    """RetrieveURL of the study (PS3.18 Table I.1-1), ReferencedSOPSequence of what was stored, FailedSOPSequence of
    what was not, and OtherFailuresSequence of parts in which no instance could be told; each failure with its reason
    and a comment.

    `base`: URL of the DICOMweb service, without a slash at the end; `path`: of the study, empty where there are more.
    """
    stored = [_ordered(_reference(o) | _retrieve_url(base, o.path) | _warning(o)) for o in outcomes if not o.failure]
    failed = [_ordered(_reference(o) | _reason(o)) for o in outcomes if o.failure and o.sop_instance_uid]
    other = [_reason(o) for o in outcomes if o.failure and not o.sop_instance_uid]
    sequences = {"00081198": failed, "00081199": stored, "0008119A": other}
    return _retrieve_url(base, path) | {
        tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}


def status(outcomes: Sequence[Outcome]) -> int:
    """200 all stored, 202 some or with warnings, 409 none, 503 none for want of space or the like (PS3.18 Table
    10.5.3-1)."""
    failed = [o for o in outcomes if o.failure]
    if not failed:
        return 202 if any(o.warning for o in outcomes) else 200
    if len(failed) < len(outcomes):
        return 202
    return 503 if all(o.transient for o in failed) else 409


def _ordered(item: dict[str, Any]) -> dict[str, Any]:
    """By tag, as DICOM JSON wants it (PS3.18 F.2.2)."""
    return dict(sorted(item.items()))


def _retrieve_url(base: str, path: str) -> dict[str, Any]:
    """Type 2: there in any case, with a value where there is one."""
    return {"00081190": {"vr": "UR", "Value": [base + path]} if path else {"vr": "UR"}}


def _reference(outcome: Outcome) -> dict[str, Any]:
    return {"00081150": {"vr": "UI", "Value": [outcome.sop_class_uid]},
            "00081155": {"vr": "UI", "Value": [outcome.sop_instance_uid]}}


def _warning(outcome: Outcome) -> dict[str, Any]:
    if not outcome.warning:
        return {}
    return {"00000902": {"vr": "LO", "Value": [outcome.comment]}, "00081196": {"vr": "US", "Value": [outcome.warning]}}


def _reason(outcome: Outcome) -> dict[str, Any]:
    return {"00000902": {"vr": "LO", "Value": [outcome.comment]}, "00081197": {"vr": "US", "Value": [outcome.failure]}}
