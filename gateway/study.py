"""What is received: instances, the series and study they add up to, the order that explains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

Tags = Mapping[str, Any]
"""DICOM keyword → value: str, int, float, list of these, or (sequences) list of Tags. JSON-serialisable."""


class Priority(StrEnum):
    """Order priority (ORC-7, TQ1-9, OBR-27; FHIR request-priority)."""

    STAT = "stat"
    URGENT = "urgent"
    ROUTINE = "routine"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who a DIMSE, MLLP or HTTP peer says it is. `protocol`: dicom | hl7 | fhir | dicomweb | upload."""

    protocol: str
    name: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks over HTTP. `roles` is empty until login exists; handlers take it from the first day."""

    name: str
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Patient:
    """Identity = facility + issuer + id. `birth_date` YYYYMMDD, `sex` M | F | O | "".

    `name` is in DICOM PN form (`Family^Given^Middle^Prefix^Suffix`, component groups joined by `=`), as Unicode.
    """

    patient_id: str
    issuer: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What the HL7 or FHIR side said of a study."""

    order_id: str
    facility: str
    patient: Patient
    accession_number: str = ""
    accession_issuer: str = ""
    study_instance_uid: str = ""
    placer_order_number: str = ""
    filler_order_number: str = ""
    priority: Priority = Priority.ROUTINE
    clinical_question: str = ""
    requested_procedure_code: str = ""
    requested_procedure_scheme: str = ""
    requested_procedure_text: str = ""
    referring_physician: str = ""
    status: str = "active"
    """active | cancelled | completed (ORC-1, ServiceRequest.status)."""
    placed_at: str = ""
    sender: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Order fields for routing, e.g. {"OBR-4.1": "71020", "PV1-2": "E"}; FHIR orders fill what has an HL7 twin."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One stored object and the tags that were read from it."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    path: str
    """Absolute path of the Part 10 file."""
    size: int
    digest: str
    """SHA-256 (hex) of the data set as received, without file meta: a re-sent object has the same digest."""
    tags: Tags
    received_at: datetime
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Instances of one SeriesInstanceUID, in the order received."""

    series_instance_uid: str
    modality: str
    instances: tuple[Instance, ...]

    @property
    def tags(self) -> Tags:
        """The first instance's tags."""
        return self.instances[0].tags


@dataclass(frozen=True, slots=True)
class Study:
    """What a pipeline and the documents see: never built empty."""

    facility: str
    study_instance_uid: str
    patient: Patient
    series: tuple[Series, ...]
    accession_number: str = ""
    accession_issuer: str = ""
    order: Order | None = None

    def __post_init__(self) -> None:
        if not self.series:
            raise ValueError("a study has at least one series")

    @property
    def instances(self) -> tuple[Instance, ...]:
        return tuple(i for s in self.series for i in s.instances)

    @property
    def tags(self) -> Tags:
        return self.series[0].tags
