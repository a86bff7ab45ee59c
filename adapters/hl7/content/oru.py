"""A result as ORU^R01 (HL7 2.5.1), in UTF-8, preliminary; the same bytes for the same run and destination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message

from adapters.hl7.content.observations import Observation, observations
from adapters.hl7.content.oru_claims import claims
from adapters.hl7.content.segments import NULL, escape
from adapters.hl7.content.values import dicom_moment, extended_person_name, extended_provider_name
from gateway.case import Reading
from gateway.delivery import Document, Kind
from gateway.documents import Claims
from gateway.identity import control_id
from gateway.pipeline import Picture
from gateway.settings import Hl7Destination
from gateway.study import Order

VERSION = "2.5.1"
_APPLICATION = "TRIAGE"
_TEXT = 199
"""Longest ST (2.5.1 §2.A.75)."""
_SECTIONS = {"CT": "CT", "ECG": "EC", "MR": "NMR", "US": "RUS", "NM": "NMS", "XA": "RAD", "CR": "RX", "DX": "RX",
             "MG": "RAD", "RF": "RAD"}
"""DICOM modality → OBR-24, HL7 table 0074."""
_SUPERSEDES = {"en": "Supersedes the preliminary result sent as message", "ru": "Заменяет предварительный результат"}


@dataclass(frozen=True, slots=True)
class OruEncoder:
    """gateway.documents.Encoder for `oru`. `destinations`: name → settings, for MSH-5 and MSH-6 (others stay empty).

    `facility`, `application`: MSH-4 (the reading's own where empty) and MSH-3.
    """

    destinations: Mapping[str, Hl7Destination]
    facility: str = ""
    application: str = _APPLICATION
    kind: Kind = Kind.ORU
    per_destination: bool = True

    def encode(self, reading: Reading, picture: Picture | None, destination: str) -> Document:
        """One ORU^R01; `picture` has no place in it. MSH-10 stays the same over retries, OBR-3 over all runs."""
        del picture
        identity = control_id(reading.run.run_id, destination)
        message = Message("ORU_R01", version=VERSION, validation_level=VALIDATION_LEVEL.TOLERANT)
        self._fill_header(message.msh, reading, destination, identity)
        group = message.add_group("ORU_R01_PATIENT_RESULT")
        _fill_patient(group.add_group("ORU_R01_PATIENT").add_segment("PID"), reading)
        _fill_order(group.add_group("ORU_R01_ORDER_OBSERVATION"), reading, destination)
        return Document(Kind.ORU, identity, (message.to_er7() + "\r").encode())

    def read_back(self, document: Document) -> Claims:
        """What the bytes say. Raises Unreadable or Unusable where they are no ORU of ours."""
        return claims(document.content)

    def _fill_header(self, msh: Any, reading: Reading, destination: str, identity: str) -> None:
        receiver = self.destinations.get(destination)
        _set(msh, 3, escape(self.application))
        _set(msh, 4, escape(self.facility or reading.facility))
        if receiver is not None:
            _set(msh, 5, escape(receiver.receiving_application))
            _set(msh, 6, escape(receiver.receiving_facility))
        _set(msh, 7, _time(reading.run.created_at, reading))
        for number, value in ((9, "ORU^R01^ORU_R01"), (10, identity), (11, "P"), (12, VERSION),
                              (18, "UNICODE UTF-8")):
            _set(msh, number, value)


def _fill_patient(pid: Any, reading: Reading) -> None:
    patient = reading.study.patient
    _set(pid, 1, "1")
    _set(pid, 3, f"{escape(patient.patient_id)}^^^{escape(patient.issuer)}^PI" if patient.patient_id else NULL)
    _set(pid, 5, *extended_person_name(patient.name).split("~"))
    _set(pid, 7, patient.birth_date)
    _set(pid, 8, patient.sex)


def _fill_order(group: Any, reading: Reading, destination: str) -> None:
    placer, filler = _placer(reading.study.order), f"{escape(reading.run.case_id)}^{_APPLICATION}"
    orc = group.add_segment("ORC")
    for number, value in ((1, "RE"), (2, placer), (3, filler)):
        _set(orc, number, value)
    _fill_request(group.add_segment("OBR"), reading, placer, filler)
    if reading.run.predecessor_run_id:
        nte = group.add_segment("NTE")
        _set(nte, 1, "1")
        _set(nte, 3, escape(_superseded(reading, destination)))
    for number, observation in enumerate(observations(reading), 1):
        _fill_observation(group.add_group("ORU_R01_OBSERVATION").add_segment("OBX"), number, observation, reading)


def _fill_request(obr: Any, reading: Reading, placer: str, filler: str) -> None:
    study, order, modality = reading.study, reading.study.order, _modality(reading)
    accession = study.accession_number or (order.accession_number or order.filler_order_number if order else "")
    fields = {
        1: "1", 2: placer, 3: filler, 4: _procedure(reading),
        7: dicom_moment(study.tags, ZoneInfo(reading.timezone)),
        13: escape(order.clinical_question[:300]) if order else "",
        16: extended_provider_name(order.referring_physician) if order else "",
        18: escape(accession), 22: _time(reading.run.created_at, reading), 24: _SECTIONS.get(modality, "OTH"), 25: "P",
    }
    for number, value in fields.items():
        _set(obr, number, value)


def _fill_observation(obx: Any, number: int, observation: Observation, reading: Reading) -> None:
    provenance = reading.result.provenance
    models = [f"{escape(m.name)}^{escape(m.version)}" for m in provenance.models]
    fields = {1: str(number), 2: observation.kind, 3: observation.identifier, 4: observation.group,
              5: observation.value, 6: observation.units, 7: observation.usual, 8: observation.flag, 11: "P"}
    for position, value in fields.items():
        _set(obx, position, value)
    _set(obx, 18, *(models or [f"{escape(provenance.pipeline)}^{escape(provenance.pipeline_version)}"]))
    _set(obx, 19, _time(reading.run.created_at, reading))


def _set(segment: Any, number: int, *repetitions: str) -> None:
    """Set a field from ER7 text, one repetition after the other, in place of what hl7apy puts there
    (its own now in MSH-7)."""
    name = f"{segment.name}_{number}"
    for position, text in enumerate(filter(None, repetitions)):
        if position:
            segment.add_field(name).value = text
        else:
            setattr(segment, name.lower(), text)


def _placer(order: Order | None) -> str:
    """EI: the placer's order number with its assigning authority, where the order named one."""
    if order is None or not order.placer_order_number:
        return ""
    return f"{escape(order.placer_order_number)}^{escape(order.fields.get('ORC-2.2', ''))}".rstrip("^")


def _procedure(reading: Reading) -> str:
    """OBR-4: the procedure ordered, else the pipeline's own, else what the study calls itself."""
    order = reading.study.order
    if order is not None and (order.requested_procedure_code or order.requested_procedure_text):
        parts = (order.requested_procedure_code, order.requested_procedure_text, order.requested_procedure_scheme)
        return "^".join(escape(part[:_TEXT]) for part in parts).rstrip("^")
    if reading.procedure is not None:
        value, scheme, meaning = reading.procedure
        return f"{escape(value)}^{escape(meaning)}^{escape(scheme)}"
    pipeline = reading.result.provenance.pipeline
    return f"{escape(pipeline)}^{escape(str(reading.study.tags.get('StudyDescription') or pipeline)[:_TEXT])}^99TRIAGE"


def _modality(reading: Reading) -> str:
    instances = reading.selection.instances
    return str(instances[0].tags.get("Modality", "")) if instances else reading.study.series[0].modality


def _superseded(reading: Reading, destination: str) -> str:
    run = reading.run
    told = f"{_SUPERSEDES[reading.language]} {control_id(run.predecessor_run_id, destination)}"
    return f"{told} (DICOM SR {run.predecessor_sr_uid})" if run.predecessor_sr_uid else told


def _time(at: datetime, reading: Reading) -> str:
    """DTM with offset, in the site's time zone."""
    return at.astimezone(ZoneInfo(reading.timezone)).strftime("%Y%m%d%H%M%S%z")
