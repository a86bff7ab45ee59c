"""`POST /fhir/Observation`: ECG recordings, answered once the DICOM object made of them is durable, and read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.ecg import Recording, order_reference, received, recording_of
from adapters.fhir.content.refusals import Refused
from adapters.fhir.content.structure import parse_resource
from adapters.fhir.transport.answers import encoded
from gateway.orders import InboundMessage, MessageLog
from gateway.ports import EcgWriter, Intake, Outcome, Queries
from gateway.study import Sender

logger = structlog.get_logger()
Split = Callable[[bytes], tuple[bytes, bytes]]
"""DICOM Part 10 bytes → (preamble and file meta, data set)."""
Kept = Callable[[str], bytes | None]
"""Control id of a message of FHIR → what was answered to it, None where there was none."""


@dataclass(frozen=True, slots=True)
class RecordingDesk:
    """Blocking; call it off the event loop."""

    queries: Queries
    intake: Intake
    ecg_writer: EcgWriter
    split: Split
    facility: str
    log: MessageLog
    kept: Kept
    now: Callable[[], datetime]

    def take(self, body: bytes, sender: Sender) -> tuple[Json, bool]:
        """(the Observation with our id, whether it is new).

        Raises Unreadable, Unusable, Refused (409: the same identifier with another recording), StorageFull, Transient.
        """
        self.intake.check()
        resource = parse_resource(body, "Observation")
        recording = self._recording(resource)
        header, dataset = self.split(self.ecg_writer(recording.source))
        stored = self.intake.take(sender, header, [dataset])
        logger.info("fhir_recording_stored", observation_id=recording.observation_id, outcome=stored.outcome.value)
        if stored.outcome is Outcome.CONFLICT:
            raise Refused(409, "conflict", "Another recording with this identifier was received before; this one is "
                          "kept beside it and not read. Send a new recording under a new identifier.",
                          element="Observation.identifier")
        content = encoded(received(resource, recording))
        message = InboundMessage(sender, _control_id(recording.observation_id), self.now(), body, content)
        first: Json = json.loads(self.log.record([message])[0])
        return first, stored.outcome is Outcome.STORED

    def read(self, observation_id: str) -> Json | None:
        """The Observation as it was answered when it came, None where no such recording came."""
        content = self.kept(_control_id(observation_id))
        resource: Json | None = json.loads(content) if content is not None else None
        return resource

    def _recording(self, resource: Json) -> Recording:
        order = self.queries.orders(reference) if (reference := order_reference(resource)) else None
        told = order or {}
        return recording_of(resource, self.facility, str(told.get("accession_number", "")),
                            str(told.get("study_instance_uid", "")))


def _control_id(observation_id: str) -> str:
    return f"Observation/{observation_id}"
