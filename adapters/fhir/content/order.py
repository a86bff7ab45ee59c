"""ServiceRequest (R4 12.1) ↔ Order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from adapters.fhir.content import vocabulary as v
from adapters.fhir.content.datatypes import Json, clean, compact, identifier
from adapters.fhir.content.inbound_subject import bounded, contained, patient_of, type_code
from adapters.fhir.content.refusals import InvalidValue, MissingElement, NotTaken
from adapters.fhir.content.structure import require_code
from adapters.fhir.content.subjects import accession_identifier, order_identifiers, patient_resource
from gateway import identity
from gateway.codes import FHIR_SYSTEMS
from gateway.study import Order, Patient, Priority

_PRIORITIES = {"": Priority.ROUTINE, "routine": Priority.ROUTINE, "urgent": Priority.URGENT, "asap": Priority.URGENT,
               "stat": Priority.STAT}
_STATUSES = {"active": "active", "on-hold": "active", "unknown": "active", "revoked": "cancelled",
             "entered-in-error": "cancelled", "completed": "completed"}
"""A held order still explains its study; `draft` is refused."""
_CONTROL_CODES = {"active": "NW", "unknown": "NW", "on-hold": "HD", "revoked": "CA", "entered-in-error": "CA",
                  "completed": "CM"}
"""What ORC-1 would say (HL7 table 0119; CM is ORC-5's)."""
_NO_ORDERS = frozenset({"proposal", "plan", "option"})
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_SCHEMES = {system: scheme for scheme, system in FHIR_SYSTEMS.items()}


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Identifiers of an order by what they are; (system, value) each, ("", "") where absent."""

    placer: tuple[str, str]
    filler: tuple[str, str]
    accession: tuple[str, str]
    study: tuple[str, str]
    first: tuple[str, str]

    def key(self) -> tuple[str, str, str]:
        """What makes it the same order when it is sent again. Raises Unusable without any identifier."""
        for kind in ("placer", "filler", "accession", "study", "first"):
            system, value = getattr(self, kind)
            if value:
                return kind, system, value
        raise MissingElement("ServiceRequest.identifier is required: a placer or filler number, an accession number or "
                             "a Study Instance UID.", element="ServiceRequest.identifier")


def order_of(resource: Json, facility: str, sender: str) -> Order:
    """A ServiceRequest of valid structure as an order. Raises Unusable, naming the element."""
    status = _status(resource)
    priority = require_code(resource, "priority", v.REQUEST_PRIORITY, needed=False)
    numbers = _numbers(resource)
    procedure = _procedure(resource.get("code", {}))
    return Order(
        order_id=identity.digest("fhir-order", facility, *numbers.key())[:32], facility=facility,
        patient=patient_of(resource), accession_number=numbers.accession[1], accession_issuer=numbers.accession[0],
        study_instance_uid=numbers.study[1], placer_order_number=numbers.placer[1],
        filler_order_number=numbers.filler[1], priority=_PRIORITIES[priority],
        clinical_question=_clinical_question(resource), requested_procedure_code=procedure[0],
        requested_procedure_scheme=procedure[1], requested_procedure_text=procedure[2],
        referring_physician=_requester(resource), status=_STATUSES[status],
        placed_at=str(resource.get("authoredOn", "")), sender=sender,
        fields=_fields(status, priority, numbers, procedure))


def _status(resource: Json) -> str:
    status = require_code(resource, "status", v.REQUEST_STATUS)
    if status == "draft":
        raise NotTaken("ServiceRequest.status is draft: send the order when it is active.",
                       element="ServiceRequest.status")
    if require_code(resource, "intent", v.REQUEST_INTENT) in _NO_ORDERS:
        raise NotTaken("ServiceRequest.intent is no order.", element="ServiceRequest.intent")
    if resource.get("doNotPerform"):
        raise NotTaken("ServiceRequest.doNotPerform asks for nothing to be done.",
                       element="ServiceRequest.doNotPerform")
    return status


def _numbers(resource: Json) -> _Numbers:
    found: dict[str, tuple[str, str]] = {}
    for number, told in enumerate(resource.get("identifier", [])):
        path = f"ServiceRequest.identifier[{number}].value"
        pair = (clean(told.get("system")), bounded(told.get("value"), path))
        kind = "study" if pair[0] == v.DICOM_UID else type_code(told)
        if kind == "study":
            pair = (v.DICOM_UID, _study_uid(clean(told.get("value")), path))
        if pair[1]:
            found.setdefault(kind, pair)
            found.setdefault("first", pair)
    none = ("", "")
    return _Numbers(*(found.get(kind, none) for kind in ("PLAC", "FILL", "ACSN", "study", "first")))


def _study_uid(value: str, path: str) -> str:
    uid = value.removeprefix("urn:oid:")
    if len(uid) > 64 or not _UID.fullmatch(uid):
        raise InvalidValue(f"{path} is no DICOM UID (urn:oid: and at most 64 digits and dots).", element=path)
    return uid


def _procedure(code: Json) -> tuple[str, str, str]:
    """(code, scheme designator or system URI, text)."""
    coding = (code.get("coding") or [{}])[0]
    system = clean(coding.get("system"))
    text = clean(code.get("text")) or clean(coding.get("display"))
    return clean(coding.get("code")), _SCHEMES.get(system, system), text


def _clinical_question(resource: Json) -> str:
    reasons = [clean(r.get("text")) or clean((r.get("coding") or [{}])[0].get("display"))
               for r in resource.get("reasonCode", [])]
    notes = [clean(n.get("text")) for n in resource.get("note", [])]
    return "; ".join(text for text in (*reasons, *notes) if text)


def _requester(resource: Json) -> str:
    requester = resource.get("requester", {})
    names = contained(resource, requester, "ServiceRequest.requester").get("name", [])
    told = names[0] if isinstance(names, list) and names else {}
    full = " ".join([*told.get("given", []), told.get("family", "")]).strip() if isinstance(told, dict) else ""
    return clean(requester.get("display")) or clean(full)


def _fields(status: str, priority: str, numbers: _Numbers, procedure: tuple[str, str, str]) -> dict[str, str]:
    """What has an HL7 twin, under its HL7 name, for routing rules."""
    told = {"ORC-1": _CONTROL_CODES[status], "ORC-2.1": numbers.placer[1], "ORC-2.3": numbers.placer[0],
            "ORC-3.1": numbers.filler[1], "ORC-3.3": numbers.filler[0], "OBR-4.1": procedure[0],
            "OBR-4.2": procedure[2], "OBR-4.3": procedure[1],
            "TQ1-9.1": {"stat": "S", "asap": "A", "urgent": "A"}.get(priority, "R")}
    return {name: value for name, value in told.items() if value}


def order_resource(order: Order) -> Json:
    """The order as the gateway holds it, with its patient contained."""
    patient = {**patient_resource(order.patient, order.patient.issuer), "id": "patient"}
    identifiers = order_identifiers(order)
    if order.accession_number:
        identifiers.append(accession_identifier(order.accession_issuer, order.accession_number))
    if order.study_instance_uid:
        identifiers.append(identifier(v.DICOM_UID, f"urn:oid:{order.study_instance_uid}"))
    return compact({  # type: ignore[no-any-return]
        "resourceType": "ServiceRequest", "id": order.order_id, "contained": [patient], "identifier": identifiers,
        "status": _told_status(order), "intent": "order", "priority": _PRIORITY_CODES[order.priority],
        "code": _code(order), "subject": {"reference": "#patient", "type": "Patient"},
        "authoredOn": order.placed_at if _FHIR_TIME.fullmatch(order.placed_at) else "",
        "requester": {"display": order.referring_physician}, "reasonCode": [{"text": order.clinical_question}]})


_FHIR_TIME = re.compile(r"\d{4}(-\d{2}(-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2}))?)?)?")
_PRIORITY_CODES = {Priority.ROUTINE: "routine", Priority.URGENT: "urgent", Priority.STAT: "stat"}


def _told_status(order: Order) -> str:
    held = order.status == "active" and order.fields.get("ORC-1") == "HD"
    return "on-hold" if held else {"cancelled": "revoked"}.get(order.status, order.status)


def _code(order: Order) -> Json:
    scheme = order.requested_procedure_scheme
    system = FHIR_SYSTEMS.get(scheme, scheme if ":" in scheme else "")
    coding = {"system": system, "code": order.requested_procedure_code, "display": order.requested_procedure_text}
    return {"coding": [coding] if order.requested_procedure_code else [], "text": order.requested_procedure_text}


_FIELDS = frozenset(field.name for field in fields(Order))


def order_from_json(form: Mapping[str, Any]) -> Order:
    """The stored form (gateway.ports.Queries.orders: the fields of Order by name)."""
    known = {name: value for name, value in form.items() if name in _FIELDS}
    return Order(**(known | {"patient": Patient(**form["patient"]), "priority": Priority(form["priority"])}))
