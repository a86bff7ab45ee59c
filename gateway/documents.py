"""Encoding one result many ways, and the check that reads the encodings back before anything is released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.case import Reading
from gateway.delivery import Document, Kind
from gateway.errors import Permanent
from gateway.pipeline import Picture

_ROUNDING = 0.00101
"""Documents print three or four decimals, rounded by different libraries: one unit of the third may differ."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a document says, read back from its bytes. None: this kind does not say it (a picture has no findings).

    `findings`: label → (probability rounded to 3 digits, present).
    """

    kind: Kind
    patient_id: str
    study_instance_uid: str
    accession_number: str | None = None
    verdict: str | None = None
    risk: float | None = None
    findings: dict[str, tuple[float, bool]] | None = field(default=None)


class Encoder(Protocol):
    """Port: one module under adapters/ for each kind of document. Pure: the same reading gives the same bytes.

    `per_destination`: the bytes depend on the receiver (MSH-5, MSH-10); `destination` is then its name, else "".
    `encode` returns None where there is nothing to say (no picture). `read_back` parses the bytes with none of the
    objects they were made from.
    """

    @property
    def kind(self) -> Kind: ...

    @property
    def per_destination(self) -> bool: ...

    def encode(self, reading: Reading, picture: Picture | None, destination: str) -> Document | None: ...

    def read_back(self, document: Document) -> Claims: ...


class Disagreement(Permanent):
    """Documents of one result contradict it; none is released."""


def disagreements(reading: Reading, claims: Sequence[Claims]) -> list[str]:
    """Sentences, empty when every claim agrees with the result in verdict, risk, findings, patient and study."""
    result, study = reading.result, reading.study
    expected = {f.label: (round(f.probability, 3), f.present) for f in result.findings}
    found: list[str] = []
    for claim in claims:
        if claim.patient_id != study.patient.patient_id:
            found.append(f"{claim.kind}: another patient")
        if claim.study_instance_uid != study.study_instance_uid:
            found.append(f"{claim.kind}: another study")
        if claim.accession_number is not None and claim.accession_number != study.accession_number:
            found.append(f"{claim.kind}: another accession number")
        if claim.verdict is not None and claim.verdict != result.verdict.value:
            found.append(f"{claim.kind}: verdict {claim.verdict}, the result says {result.verdict.value}")
        if claim.risk is not None and abs(claim.risk - result.risk) > _ROUNDING:
            found.append(f"{claim.kind}: risk {claim.risk}, the result says {result.risk:.3f}")
        if claim.findings is not None:
            found += _differing(claim, expected)
    return found


def _differing(claim: Claims, expected: dict[str, tuple[float, bool]]) -> list[str]:
    said = claim.findings or {}
    found = [f"{claim.kind}: finding {label} is missing" for label in expected.keys() - said.keys()]
    found += [f"{claim.kind}: finding {label} is not in the result" for label in said.keys() - expected.keys()]
    for label in expected.keys() & said.keys():
        (p, present), (q, told) = expected[label], said[label]
        if abs(p - q) > _ROUNDING or present != told:
            found.append(f"{claim.kind}: finding {label} says {q} {told}, the result {p} {present}")
    return sorted(found)


def require_agreement(reading: Reading, claims: Sequence[Claims]) -> None:
    """Raise `Disagreement` unless every document tells the same story."""
    found = disagreements(reading, claims)
    if found:
        raise Disagreement("documents disagree with the result: " + "; ".join(found))


