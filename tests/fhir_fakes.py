"""Fakes of our own ports for the FHIR tests, FHIR resources to send, and an app served on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import numpy as np
import uvicorn

from adapters.fhir.content.claims import claims_of
from adapters.fhir.content.report import DiagnosticReportEncoder
from gateway.case import Reading
from gateway.delivery import Kind
from gateway.identity import digest
from gateway.media import MediaSource
from gateway.orders import InboundMessage, PlaceOrder
from gateway.ports import EcgSource, Outcome, ReportQuery, Stored, StoredDocument
from gateway.study import Principal, Sender

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
MDC_CODES = dict(zip(LEADS, ("131329", "131330", "131389", "131390", "131391", "131392", "131331", "131332", "131333",
                             "131334", "131335", "131336"), strict=True))


def stored(reading: Reading) -> StoredDocument:
    document = DiagnosticReportEncoder().encode(reading, None, "")
    assert document
    return StoredDocument(reading.run.case_id, reading.run.run_id, Kind.DIAGNOSTIC_REPORT, document.identity, "",
                          document.content, reading.run.created_at)


class Queries:
    """What FHIR asks of gateway.ports.Queries, over lists."""

    def __init__(self, documents: Sequence[StoredDocument] = ()) -> None:
        self.documents = list(documents)
        self.placed: dict[str, Mapping[str, Any]] = {}
        self.asked: list[ReportQuery] = []

    def orders(self, order_id: str) -> Mapping[str, Any] | None:
        return self.placed.get(order_id)

    def reports(self, query: ReportQuery) -> tuple[tuple[StoredDocument, ...], int]:
        self.asked.append(query)
        newest_first = sorted(self.documents, key=lambda d: d.created_at, reverse=True)
        found = [d for d in newest_first if _matches(d, query)]
        return tuple(found[query.offset:query.offset + query.limit]), len(found)


def _matches(document: StoredDocument, query: ReportQuery) -> bool:
    claims = claims_of(document.content)
    wanted = ((query.case_id, document.case_id), (query.study_instance_uid, claims.study_instance_uid),
              (query.accession_number, claims.accession_number), (query.patient_id, claims.patient_id),
              (query.status, "preliminary"))
    return all(not asked or asked == told for asked, told in wanted) and all(
        document.created_at >= at if prefix == "ge" else document.created_at < at for prefix, at in query.updated)


class MessageLog:
    """gateway.orders.MessageLog that applies at once. `failure` is raised instead of recording."""

    def __init__(self, queries: Queries) -> None:
        self.queries = queries
        self.messages: dict[tuple[str, str], InboundMessage] = {}
        self.failure: Exception | None = None

    def record(self, batch: Sequence[InboundMessage]) -> list[bytes]:
        if self.failure:
            raise self.failure
        return [self._one(message) for message in batch]

    def kept(self, control_id: str) -> bytes | None:
        return next((m.answer for (_, known), m in self.messages.items() if known == control_id), None)

    def _one(self, message: InboundMessage) -> bytes:
        key = (message.sender.name, message.control_id)
        if key not in self.messages:
            self.messages[key] = message
            for event in message.events:
                assert isinstance(event, PlaceOrder)
                self.queries.placed[event.order.order_id] = asdict(event.order)
        return self.messages[key].answer


class Intake:
    """gateway.ports.Intake that keeps data sets by header (which stands for the SOP Instance UID)."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.senders: list[Sender] = []
        self.refusal: Exception | None = None

    def check(self) -> None:
        if self.refusal:
            raise self.refusal

    def take(self, sender: Sender, header: bytes, dataset: Sequence[bytes]) -> Stored:
        self.senders.append(sender)
        content = b"".join(dataset)
        known = self.kept.setdefault(header, content)
        fresh = len(self.senders) == len({*self.kept}) and known is content
        outcome = Outcome.STORED if fresh else Outcome.DUPLICATE if known == content else Outcome.CONFLICT
        return Stored("/nowhere", digest(content.hex()), len(content), outcome)


def write_ecg(source: EcgSource) -> bytes:
    """Stands for the DICOM writer: identity, then everything that the data set would hold."""
    content = digest(asdict(replace(source, signal=source.signal.tolist())))
    return digest(*source.key).encode() + content.encode()


def write_media(source: MediaSource) -> list[bytes]:
    """Stands for what attachments become."""
    return [digest(*source.key).encode() + digest(asdict(replace(source, content=source.content.hex()))).encode()]


def split(part10: bytes) -> tuple[bytes, bytes]:
    return part10[:64], part10[64:]


def principal_of(_: Any) -> Principal:
    return Principal("EHR")


def service_request(**changes: Any) -> dict[str, Any]:
    """An order with placer number, accession number and a patient whose name is Cyrillic."""
    form: dict[str, Any] = {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order", "priority": "stat",
        "contained": [{
            "resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1961-11-12",
            "identifier": [{"system": "urn:oid:1.2.3.4", "value": "P-1001"}],
            "name": [{"family": "Иванова", "given": ["Анна", "Петровна"]}]}],
        "identifier": [_number("PLAC", "urn:oid:1.2.3.5", "PL-9"), _number("ACSN", "urn:oid:1.2.3.6", "ACC-9")],
        "code": {"coding": [{"system": "http://loinc.org", "code": "24627-2", "display": "CT Chest"}]},
        "subject": {"reference": "#p"}, "authoredOn": "2026-03-14T09:00:00+03:00",
        "requester": {"display": "Dr. House"}, "reasonCode": [{"text": "Одышка"}], "note": [{"text": "Urgent please."}]}
    return {name: value for name, value in (form | changes).items() if value is not None}


def _number(kind: str, system: str, value: str) -> dict[str, Any]:
    return {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": kind}]},
            "system": system, "value": value}


def ecg_signal(samples: int = 200) -> np.ndarray:
    """µV, 12 × samples, whole numbers; the limb leads agree with Einthoven and Goldberger."""
    random = np.random.default_rng(7)
    one, two = 2 * random.integers(-800, 800, (2, samples))
    limbs = np.stack([one, two, two - one, -(one + two) // 2, one - two // 2, two - one // 2])
    return np.vstack([limbs, random.integers(-1500, 1500, (6, samples))])


def ecg_observation(leads: Sequence[str] = LEADS, **changes: Any) -> dict[str, Any]:
    """A 500 Hz recording in µV with MDC codes."""
    signal = dict(zip(LEADS, ecg_signal(), strict=True))
    form: dict[str, Any] = {
        "resourceType": "Observation", "status": "final", "effectiveDateTime": "2026-03-14T10:15:00+03:00",
        "identifier": [{"system": "urn:oid:1.2.3.7", "value": "ECG-1"}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "11524-6", "display": "EKG study"}]},
        "subject": {"identifier": {"system": "urn:oid:1.2.3.4", "value": "P-1001"}},
        "component": [component(lead, signal[lead]) for lead in leads]}
    return {name: value for name, value in (form | changes).items() if value is not None}


def component(lead: str, samples: Sequence[int], **changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"origin": {"value": 0, "unit": "uV", "system": "http://unitsofmeasure.org", "code": "uV"},
                            "period": 2, "factor": 1, "dimensions": 1, "data": " ".join(str(s) for s in samples)}
    coding = {"system": "urn:iso:std:iso:11073:10101", "code": MDC_CODES[lead]}
    return {"code": {"coding": [coding]}, "valueSampledData": data | changes}


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The app on a free loopback port; connections queue in the kernel until it accepts them."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none",
                                           timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listener.close()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)
