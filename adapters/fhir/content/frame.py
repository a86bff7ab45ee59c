"""What every resource of one report needs: addresses, times and systems of a reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters.fhir.content.datatypes import dicom_moment, full_url, issuer_system, moment
from gateway import identity
from gateway.case import Reading


@dataclass(frozen=True, slots=True)
class Frame:
    """A reading with the identifier systems of the site (`systems`: issuer as received → URI, "" for no issuer)."""

    reading: Reading
    systems: Mapping[str, str]

    @property
    def case_id(self) -> str:
        return self.reading.run.case_id

    @property
    def issued(self) -> str:
        """The run's time."""
        return self.at(self.reading.run.created_at)

    @property
    def studied(self) -> datetime | None:
        """When the study was made, as its DICOM tags tell."""
        tags = self.tags
        date, time = str(tags.get("StudyDate") or ""), str(tags.get("StudyTime") or "")
        return dicom_moment(date, time, str(tags.get("TimezoneOffsetFromUTC") or ""), self.reading.timezone)

    @property
    def effective(self) -> str:
        """The time that the observed values are about (R4 DiagnosticReport.effective): the study's, else the run's."""
        studied = self.studied
        return self.at(studied) if studied else self.issued

    @property
    def tags(self) -> Mapping[str, Any]:
        """Tags of the first object that was read."""
        instances = self.reading.selection.instances or self.reading.study.instances
        return instances[0].tags

    @property
    def modality(self) -> str:
        return str(self.tags.get("Modality") or self.reading.study.series[0].modality or "OT")

    def at(self, when: datetime) -> str:
        return moment(when, self.reading.timezone)

    def url(self, resource_type: str, *key: str) -> str:
        """`urn:uuid:` address of a resource that belongs to this case."""
        return full_url(resource_type, self.case_id, *key)

    def patient_system(self) -> str:
        """The system of the patient id: the issuer's URI, else one of our own for facility and issuer."""
        patient, order = self.reading.study.patient, self.reading.study.order
        issuer = patient.issuer
        if not issuer and order and order.patient.patient_id == patient.patient_id:
            issuer = order.patient.issuer
        return self._system("patient", issuer)

    def accession_system(self) -> str:
        """The issuer's URI; empty where nobody says who issued the accession number."""
        issuer = self.reading.study.accession_issuer
        return self.systems.get(issuer, "") or issuer_system(issuer) if issuer else ""

    def _system(self, what: str, issuer: str) -> str:
        own = "urn:oid:" + identity.uid("fhir-system", what, self.reading.facility, issuer)
        return self.systems.get(issuer, "") or issuer_system(issuer, own)


def case_value(frame: Frame, *parts: str) -> str:
    """Value of an identifier of ours: it begins with the case id."""
    return ".".join((frame.case_id, *parts))
