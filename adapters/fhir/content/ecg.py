"""A 12-lead ECG Observation (R4 10.1, `component.valueSampledData`) → EcgSource."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.datatypes import Json, clean, identifier, parse_instant
from adapters.fhir.content.inbound_subject import bounded, patient_of, type_code
from adapters.fhir.content.leads import LEADS, lead_of
from adapters.fhir.content.refusals import InvalidValue, MissingElement, NotTaken
from adapters.fhir.content.sampled_data import millivolts, period_ms
from adapters.fhir.content.structure import require_code
from gateway import identity
from gateway.ports import EcgSource
from gateway.study import Patient

_READABLE = frozenset({"final", "preliminary", "amended", "corrected", "unknown"})
_RATES = (40.0, 40_000.0)
"""Hz."""


@dataclass(frozen=True, slots=True)
class Recording:
    """An ECG that was sent. `observation_id`: the same for the same recording."""

    observation_id: str
    source: EcgSource


def recording_of(resource: Json, facility: str, accession_number: str = "", study_instance_uid: str = "") -> Recording:
    """An Observation of valid structure as an ECG. The last two: what the order in `basedOn` says.

    It is known by its first identifier, else by its content. Raises Unusable, naming the element.
    """
    if require_code(resource, "status", v.OBSERVATION_STATUS) not in _READABLE:
        raise NotTaken("Observation.status says that there is no valid recording.", element="Observation.status")
    rows, rate = _rows(resource)
    signal = np.stack([rows[lead] for lead in LEADS]).astype(np.float32)
    patient, recorded_at = patient_of(resource), _recorded_at(resource)
    key = _key(resource, facility) or (
        "fhir-content", facility, identity.digest(patient.issuer, patient.patient_id, recorded_at.isoformat(), rate,
                                                  signal.tobytes().hex()))
    source = EcgSource(
        key=key, patient=patient, signal=signal, rate=rate, leads=LEADS, recorded_at=recorded_at,
        accession_number=_accession_number(resource) or accession_number,
        study_instance_uid=study_instance_uid or identity.uid("fhir-ecg-study", *key),
        age_years=age_at(patient, recorded_at), description=_description(resource))
    return Recording(identity.digest("fhir-ecg", *key)[:32], source)


def received(resource: Json, recording: Recording) -> Json:
    """What the sender gets back: its Observation with our id, and the study that it became."""
    study = {"type": "ImagingStudy",
             "identifier": identifier(v.DICOM_UID, f"urn:oid:{recording.source.study_instance_uid}")}
    return {**resource, "id": recording.observation_id, "derivedFrom": [*resource.get("derivedFrom", []), study]}


def _key(resource: Json, facility: str) -> tuple[str, ...]:
    for number, told in enumerate(resource.get("identifier", [])):
        value = bounded(told.get("value"), f"Observation.identifier[{number}].value")
        if value:
            return "fhir", facility, clean(told.get("system")), value
    return ()


def _rows(resource: Json) -> tuple[dict[str, NDArray[np.float64]], float]:
    """(lead → mV, rate in Hz); the limb leads that are missing are derived from I and II."""
    rows: dict[str, NDArray[np.float64]] = {}
    periods: dict[str, float] = {}
    for number, component in enumerate(resource.get("component", [])):
        if "valueSampledData" in component:
            path = f"Observation.component[{number}]"
            lead = _lead(component, path, rows)
            periods[lead] = period_ms(component["valueSampledData"], f"{path}.valueSampledData")
            rows[lead] = millivolts(component["valueSampledData"], f"{path}.valueSampledData")
    if not rows:
        raise NotTaken("Observation.component holds no valueSampledData: only 12-lead ECG recordings are taken.",
                       element="Observation.component")
    if len({row.size for row in rows.values()}) > 1 or len(set(periods.values())) > 1:
        raise InvalidValue("Observation.component: the leads differ in length or period.",
                           element="Observation.component")
    return _complete(rows), _rate(next(iter(periods.values())))


def _rate(period: float) -> float:
    rate = 1000.0 / period
    if not _RATES[0] <= rate <= _RATES[1]:
        raise InvalidValue(f"Observation.component: a period of {period:g} ms is no sampling rate of an ECG.",
                           element="Observation.component[0].valueSampledData.period")
    return rate


def _lead(component: Json, path: str, known: dict[str, NDArray[np.float64]]) -> str:
    lead = lead_of(component["code"])
    if not lead:
        raise InvalidValue(f"{path}.code names no lead of a 12-lead ECG (MDC code such as 131329, or its name).",
                           element=f"{path}.code")
    if lead in known:
        raise InvalidValue(f"{path}.code names lead {lead} a second time.", element=f"{path}.code")
    return lead


def _complete(rows: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """All twelve. III, aVR, aVL and aVF follow from I and II (Einthoven, Goldberger)."""
    if "I" in rows and "II" in rows:
        one, two = rows["I"], rows["II"]
        derived = {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
        rows = derived | rows
    missing = [lead for lead in LEADS if lead not in rows]
    if missing:
        raise MissingElement(f"Observation.component lacks the leads {', '.join(missing)}.",
                             element="Observation.component")
    return rows


def _recorded_at(resource: Json) -> datetime:
    for name, text in (("effectiveDateTime", resource.get("effectiveDateTime")),
                       ("effectiveInstant", resource.get("effectiveInstant")),
                       ("effectivePeriod.start", resource.get("effectivePeriod", {}).get("start"))):
        if text:
            at = parse_instant(str(text))
            if at is None:
                raise InvalidValue(f"Observation.{name} has no time of day with offset.", element=f"Observation.{name}")
            return at
    raise MissingElement("Observation.effectiveDateTime is required: when was it recorded?",
                         element="Observation.effectiveDateTime")


def order_reference(resource: Json) -> str:
    """Id of the ServiceRequest of ours that `basedOn` names; empty where it names none."""
    for told in resource.get("basedOn", []):
        parts = str(told.get("reference", "")).split("/")
        if len(parts) > 1 and parts[-2] == "ServiceRequest":
            return parts[-1]
    return ""


def _accession_number(resource: Json) -> str:
    for number, told in enumerate(resource.get("basedOn", [])):
        if type_code(told.get("identifier", {})) == "ACSN":
            path = f"Observation.basedOn[{number}].identifier.value"
            return bounded(told["identifier"].get("value"), path)
    return ""


def age_at(patient: Patient, at: datetime) -> int | None:
    """Years, where the day of birth is known."""
    if len(patient.birth_date) != 8:
        return None
    born = (int(patient.birth_date[:4]), int(patient.birth_date[4:6]), int(patient.birth_date[6:]))
    years = at.year - born[0] - ((at.month, at.day) < born[1:])
    return years if 0 <= years <= 130 else None


def _description(resource: Json) -> str:
    code = resource["code"]
    return clean(code.get("text")) or clean((code.get("coding") or [{}])[0].get("display"))
