"""Deterministic identities: the same run gives the same UIDs, control ids and identifiers; other content never does."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

_NAMESPACE = uuid.UUID("9db2f4f6-6c53-5e6b-8e0c-0a4f9f1d7b25")


def digest(*parts: Any) -> str:
    """SHA-256 (hex) over the canonical JSON of the parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


def uid(*parts: str) -> str:
    """A UID under 2.25 (PS3.5 B.2) from a UUIDv5 over the parts: the same parts give the same UID."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(31).join(parts)).int}"


def case_identity(facility: str, study_instance_uid: str, pipeline: str) -> str:
    """Opaque case id (20 hex digits). `pipeline` is empty for the study before routing or taken by no rule."""
    return digest("case", facility, study_instance_uid, pipeline)[:20]


def run_identity(case_id: str, instances: list[tuple[str, str]], releases: list[str], configuration: str,
                 patient_and_order: Any) -> str:
    """Opaque run id (24 hex digits) over the (SOP Instance UID, digest) pairs selected × models × configuration
    × the patient and order as they stood."""
    return digest("run", case_id, sorted(instances), releases, configuration, patient_and_order)[:24]


def repeated_identity(run_id: str, latest_run_id: str) -> str:
    """Run id when instances, order and configuration are again as in `run_id`, after `latest_run_id` had others."""
    return digest("again", run_id, latest_run_id)[:24]


_CASE_BITS = 80
_WORKITEM = 0x2C5_AD21_F3B7 << _CASE_BITS
"""What marks the UID of a workitem: 42 bits before the 80 of the case id."""


def workitem_uid(case_id: str) -> str:
    """The UID of the workitem that stands for a case: its id within a UUID of version 8 (RFC 9562), and back."""
    told = _WORKITEM | int(case_id, 16)
    high, low = told >> 62, told & (1 << 62) - 1
    return f"2.25.{(high >> 12 << 80) | 0x8 << 76 | (high & 0xFFF) << 64 | 0b10 << 62 | low}"


def case_of_workitem(uid: str) -> str:
    """The case id in the UID of a workitem; empty where it is not one of ours."""
    number = uid.removeprefix("2.25.")
    if not (number.isascii() and number.isdigit()) or int(number) >> 128:
        return ""
    told = (int(number) >> 80 << 12 | int(number) >> 64 & 0xFFF) << 62 | int(number) & (1 << 62) - 1
    case_id = f"{told & (1 << _CASE_BITS) - 1:020x}"
    return case_id if workitem_uid(case_id) == uid else ""


def document_uid(run_id: str, kind: str) -> str:
    """SOP Instance UID of a run's document."""
    return uid("document", run_id, kind)


def document_series_uid(run_id: str, kind: str) -> str:
    return uid("series", run_id, kind)


def control_id(run_id: str, destination: str) -> str:
    """MSH-10 (ST, 20 characters): stable over retries of one run to one destination."""
    return digest("msh", run_id, destination)[:20].upper()
