"""Which records a model has learned from, and which of its members has not seen each: so that figures stay honest."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.result import ModelRelease
from pipelines.ecg.ptbxl import Row

_BYTES = 3


@dataclass(frozen=True, slots=True)
class Memory:
    """`learned`: fingerprints; `left_out`: `strat_fold` → the member that left it out; `thresholds`: of each member."""

    learned: frozenset[bytes]
    left_out: Mapping[str, int]
    thresholds: Sequence[Mapping[str, float]]

    def member(self, row: Row) -> int | None:
        """The member that has not seen this record; None where none of them has."""
        return self.left_out.get(str(row.fold)) if fingerprint(row) in self.learned else None


def joined(memories: Sequence[Memory]) -> Memory:
    """Of models that learned from the same records with the same members. A record that one of them does not know is
    known to none."""
    first, *others = memories
    learned = first.learned.intersection(*(other.learned for other in others))
    thresholds = [{name: level for of in each for name, level in of.items()}
                  for each in zip(*(memory.thresholds for memory in memories), strict=True)]
    return Memory(learned, first.left_out, thresholds)


def fingerprint(row: Row) -> bytes:
    """Three bytes that tell a record of the training table from another's: of 10,000 others one or two look the same,
    and are then scored by one member alone."""
    return hashlib.sha256(f"{row.record} {row.patient} {row.fold} {row.path.name}".encode()).digest()[:_BYTES]


def parameters(rows: Sequence[Row], left_out: Mapping[str, int],
               thresholds: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """As config.pbtxt holds them."""
    learned = base64.b64encode(b"".join(sorted({fingerprint(row) for row in rows}))).decode()
    told = [{name: round(float(level), 6) for name, level in of.items()} for of in thresholds]
    return {"learned_from": learned, "left_out": json.dumps(left_out), "member_thresholds": json.dumps(told)}


def memory_of(release: ModelRelease) -> Memory:
    """Empty where the model does not say."""
    told = release.parameters
    content = base64.b64decode(told.get("learned_from", ""))
    learned = frozenset(content[at:at + _BYTES] for at in range(0, len(content), _BYTES))
    return Memory(learned, json.loads(told.get("left_out", "{}")), json.loads(told.get("member_thresholds", "[]")))
