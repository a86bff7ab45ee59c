"""Which order explains a study: Study Instance UID, else issuer + accession number with agreeing patient.

Many to many. A conflict goes to a person and is never merged by guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.study import Order, Patient

Canonical = Callable[[Patient], tuple[str, str]]
"""Patient → (issuer, id) after following merges (A40 aliases)."""


@dataclass(frozen=True, slots=True)
class Match:
    """`order` explains the study, or `conflict` says why a person must look (never both)."""

    order: Order | None = None
    conflict: str = ""


@dataclass(frozen=True, slots=True)
class StudyKey:
    study_instance_uid: str
    accession_number: str
    accession_issuer: str
    patient: Patient


def identity(patient: Patient) -> tuple[str, str]:
    return patient.issuer, patient.patient_id


def same_patient(one: Patient, other: Patient, canonical: Canonical = identity) -> bool:
    """Equal ids, and equal issuers where both name one: an image rarely carries the issuer that the RIS sends."""
    (issuer, number), (issuer2, number2) = canonical(one), canonical(other)
    return bool(number) and number == number2 and (not issuer or not issuer2 or issuer == issuer2)


def match(study: StudyKey, orders: Sequence[Order], canonical: Canonical = identity) -> Match:
    """The order of a study among candidates. Cancelled orders explain nothing; the newest (last) wins among equals."""
    alive = [o for o in orders if o.status != "cancelled"]
    by_uid = [o for o in alive if o.study_instance_uid and o.study_instance_uid == study.study_instance_uid]
    by_accession = [o for o in alive if study.accession_number and o.accession_number == study.accession_number
                    and (not study.accession_issuer or not o.accession_issuer
                         or o.accession_issuer == study.accession_issuer)
                    and o.study_instance_uid in ("", study.study_instance_uid)]
    candidates = by_uid or by_accession
    if not candidates:
        return Match()
    agreeing = [o for o in candidates if same_patient(o.patient, study.patient, canonical)]
    if not agreeing:
        return Match(conflict="the order with this accession number or study UID is for another patient")
    return Match(order=agreeing[-1])
