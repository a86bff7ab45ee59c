"""`POST /fhir/Observation`: ECG recordings, answered once the DICOM object made of them is durable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.ecg import Recording, order_reference, received, recording_of
from adapters.fhir.content.refusals import Refused
from adapters.fhir.content.structure import parse_resource
from gateway.ports import EcgWriter, Intake, Outcome, Queries
from gateway.study import Sender

log = structlog.get_logger()
Split = Callable[[bytes], tuple[bytes, bytes]]
"""DICOM Part 10 bytes → (preamble and file meta, data set)."""


@dataclass(frozen=True, slots=True)
class RecordingDesk:
    """Blocking; call it off the event loop."""

    queries: Queries
    intake: Intake
    ecg_writer: EcgWriter
    split: Split
    facility: str

    def take(self, body: bytes, sender: Sender) -> tuple[Json, bool]:
        """(the Observation with our id, whether it is new).

        Raises Unreadable, Unusable, Refused (409: the same identifier with another recording), StorageFull, Transient.
        """
        self.intake.check()
        resource = parse_resource(body, "Observation")
        recording = self._recording(resource)
        header, dataset = self.split(self.ecg_writer(recording.source))
        stored = self.intake.take(sender, header, [dataset])
        log.info("fhir_recording_stored", observation_id=recording.observation_id, outcome=stored.outcome.value)
        if stored.outcome is Outcome.CONFLICT:
            raise Refused(409, "conflict", "Another recording with this identifier was received before; this one is "
                          "kept beside it and not read. Send a new recording under a new identifier.",
                          element="Observation.identifier")
        return received(resource, recording), stored.outcome is Outcome.STORED

    def _recording(self, resource: Json) -> Recording:
        order = self.queries.orders(reference) if (reference := order_reference(resource)) else None
        told = order or {}
        return recording_of(resource, self.facility, str(told.get("accession_number", "")),
                            str(told.get("study_instance_uid", "")))
