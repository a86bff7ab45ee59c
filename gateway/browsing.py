"""What part of the worklist is asked for: a value, the same for page, API, terminal and machine-readable lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.case import CaseState
from gateway.result import Verdict
from gateway.study import Priority


@dataclass(frozen=True, slots=True)
class WorklistFilter:
    """Every field narrows the list; within one field any of the values will do. Empty: no condition.

    `finding`: labels of findings that are present. `text`: every word of it stands in the patient's name or id or in
    the accession number, whatever the case of its letters. `received_from`, `received_to`: aware, [from, to).
    `read`: only cases that a person has read (True) or has not (False). `patient`: (issuer, id), exactly.
    """

    modality: frozenset[str] = frozenset()
    verdict: frozenset[Verdict] = frozenset()
    state: frozenset[CaseState] = frozenset()
    priority: frozenset[Priority] = frozenset()
    pipeline: frozenset[str] = frozenset()
    finding: frozenset[str] = frozenset()
    received_from: datetime | None = None
    received_to: datetime | None = None
    text: str = ""
    read: bool | None = None
    patient: tuple[str, str] | None = None
    study_instance_uid: str = ""


EVERYTHING = WorklistFilter()

Facets = Mapping[str, Mapping[str, int]]
"""Studies in the filtered list by `modality`, `verdict`, `state`, `priority` and `finding`: name → value → how many.

Each facet is counted with the other conditions of the filter but without its own, as a reader expects of a choice.
"""
