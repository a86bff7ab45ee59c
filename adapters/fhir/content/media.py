"""Media (R4 10.5) with its content → MediaSource."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import datetime

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.datatypes import Json, clean, identifier, parse_instant
from adapters.fhir.content.ecg import age_at
from adapters.fhir.content.inbound_subject import bounded, patient_of, type_code
from adapters.fhir.content.refusals import InvalidValue, MissingElement, NotTaken
from adapters.fhir.content.structure import require_code
from gateway import identity
from gateway.media import MediaSource

_READABLE = frozenset({"completed", "unknown"})


@dataclass(frozen=True, slots=True)
class Attached:
    """A sound or photograph that was sent. `media_id`: the same for the same one."""

    media_id: str
    source: MediaSource


def attached(resource: Json, facility: str, accession_number: str = "", study_instance_uid: str = "") -> Attached:
    """A Media of valid structure. The last two: what the order in `basedOn` says.

    It is known by its first identifier, else by its content. Raises Unusable, naming the element.
    """
    if require_code(resource, "status", v.MEDIA_STATUS) not in _READABLE:
        raise NotTaken("Media.status says that there is nothing to read yet, or no more.", element="Media.status")
    content, recorded_at, patient = _content(resource["content"]), _recorded_at(resource), patient_of(resource)
    key = _key(resource, facility) or (
        "fhir-content", facility, identity.digest(patient.issuer, patient.patient_id, recorded_at.isoformat(),
                                                  hashlib.sha256(content).hexdigest()))
    source = MediaSource(
        key=key, patient=patient, content=content, title=clean(resource["content"].get("title")) or "media",
        recorded_at=recorded_at, accession_number=_accession_number(resource) or accession_number,
        study_instance_uid=study_instance_uid or identity.uid("media study", *key),
        age_years=age_at(patient, recorded_at), body_site=_words(resource.get("bodySite", {})),
        description=_words(resource.get("modality", {})))
    return Attached(identity.digest("fhir-media", *key)[:32], source)


def received(resource: Json, told: Attached) -> Json:
    """What the sender gets back: its Media with our id, without the bytes that it has, and the study that it became."""
    study = {"type": "ImagingStudy",
             "identifier": identifier(v.DICOM_UID, f"urn:oid:{told.source.study_instance_uid}")}
    content = {name: value for name, value in resource["content"].items() if name != "data"}
    digest = base64.b64encode(hashlib.sha1(told.source.content, usedforsecurity=False).digest()).decode()
    return {**resource, "id": told.media_id, "partOf": [*resource.get("partOf", []), study],
            "content": {**content, "size": len(told.source.content), "hash": digest}}


def _content(attachment: Json) -> bytes:
    """The bytes, checked against what is said of them."""
    path = "Media.content"
    if not attachment.get("data"):
        raise MissingElement(f"{path}.data is required: the bytes themselves in base64 (addresses are not followed).",
                             element=f"{path}.data")
    try:
        content = base64.b64decode("".join(str(attachment["data"]).split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidValue(f"{path}.data is no base64.", element=f"{path}.data") from None
    if "size" in attachment and int(attachment["size"]) != len(content):
        raise InvalidValue(f"{path}.size is another than that of the data.", element=f"{path}.size")
    told = attachment.get("hash")
    if told and told != base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode():
        raise InvalidValue(f"{path}.hash is not the SHA-1 of the data.", element=f"{path}.hash")
    return content


def _recorded_at(resource: Json) -> datetime:
    for name, text in (("createdDateTime", resource.get("createdDateTime")),
                       ("createdPeriod.start", resource.get("createdPeriod", {}).get("start")),
                       ("issued", resource.get("issued"))):
        if text:
            at = parse_instant(str(text))
            if at is None:
                raise InvalidValue(f"Media.{name} has no time of day with offset.", element=f"Media.{name}")
            return at
    raise MissingElement("Media.createdDateTime is required: when was it recorded?", element="Media.createdDateTime")


def _key(resource: Json, facility: str) -> tuple[str, ...]:
    for number, told in enumerate(resource.get("identifier", [])):
        value = bounded(told.get("value"), f"Media.identifier[{number}].value")
        if value:
            return "fhir-media", facility, clean(told.get("system")), value
    return ()


def _accession_number(resource: Json) -> str:
    for number, told in enumerate(resource.get("basedOn", [])):
        if type_code(told.get("identifier", {})) == "ACSN":
            return bounded(told["identifier"].get("value"), f"Media.basedOn[{number}].identifier.value")
    return ""


def _words(concept: Json) -> str:
    return clean(concept.get("text")) or clean((concept.get("coding") or [{}])[0].get("display"))
