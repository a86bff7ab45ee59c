"""What came before: why a case was read again, and what was found in the patient earlier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from gateway.planning import order_facts
from gateway.study import Order


class Change(StrEnum):
    """Why a reading replaced the one before it."""

    OBJECTS = "objects"
    """Objects came or went."""
    ORDER = "order"
    """The order, or the patient it names, changed."""
    READER = "reader"
    """Another model or version of the reader."""
    SETTINGS = "settings"
    """Nothing of these: the configuration changed, or what was sent came again."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a reading was made of. `provenance`: of its result in JSON form, None while there is none."""

    run_id: str
    last_instance_id: int
    order: Order | None
    provenance: Mapping[str, Any] | None


def why_read_again(before: RunFacts, after: RunFacts) -> tuple[Change, ...]:
    """What changed between two readings of a case, as far as it is known; never empty."""
    changed = []
    if before.last_instance_id != after.last_instance_id:
        changed.append(Change.OBJECTS)
    if order_facts(before.order) != order_facts(after.order):
        changed.append(Change.ORDER)
    if before.provenance and after.provenance and _reader(before.provenance) != _reader(after.provenance):
        changed.append(Change.READER)
    return tuple(changed) or (Change.SETTINGS,)


def _reader(provenance: Mapping[str, Any]) -> tuple[Any, ...]:
    models = [(model["name"], model["version"], model["sha256"]) for model in provenance["models"]]
    return provenance["pipeline"], provenance["pipeline_version"], models


@dataclass(frozen=True, slots=True)
class EarlierCase:
    """A case of another study of the same patient. `found`: displays of present findings.

    `case_id` and `state` are empty for a study that is here only to be looked at beside another.
    """

    case_id: str
    modality: str
    description: str
    received_at: datetime
    state: str
    verdict: str
    risk: float | None
    found: tuple[str, ...]
    demonstration: bool


class CaseHistory(Protocol):
    """Port."""

    def changes(self, case_id: str) -> Mapping[str, tuple[Change, ...]]:
        """Run id → why it was made, for every run but the first."""
        ...

    def earlier(self, case_id: str, limit: int = 50) -> tuple[EarlierCase, ...]:
        """Cases of other studies of the patient (same facility, issuer and id), newest first; none without an id."""
        ...
