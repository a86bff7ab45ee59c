"""`POST /fhir/Media`: sounds and photographs, answered once the DICOM objects made of them are durable."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from adapters.fhir.content.datatypes import Json
from adapters.fhir.content.ecg import order_reference
from adapters.fhir.content.media import Attached, attached, received
from adapters.fhir.content.refusals import Refused
from adapters.fhir.content.structure import parse_resource
from adapters.fhir.transport.answers import encoded
from adapters.fhir.transport.recordings import Kept, Split
from gateway.media import MediaWriter
from gateway.orders import InboundMessage, MessageLog
from gateway.ports import Intake, Outcome, Queries
from gateway.study import Sender

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class MediaDesk:
    """Blocking; call it off the event loop."""

    queries: Queries
    intake: Intake
    writer: MediaWriter
    split: Split
    facility: str
    log: MessageLog
    kept: Kept
    now: Callable[[], datetime]

    def take(self, body: bytes, sender: Sender) -> tuple[Json, bool]:
        """(the Media with our id, whether it is new).

        Raises Unreadable, Unusable, Refused (409: the same identifier with other content), StorageFull, Transient.
        """
        self.intake.check()
        resource = parse_resource(body, "Media")
        told = self._attached(resource)
        outcomes = {self._store(part10, sender) for part10 in self.writer(told.source)}
        logger.info("fhir_media_stored", media_id=told.media_id, objects=len(outcomes))
        if Outcome.CONFLICT in outcomes:
            raise Refused(409, "conflict", "Other content with this identifier was received before; this is kept "
                          "beside it and not read. Send it under a new identifier.", element="Media.identifier")
        content = encoded(received(resource, told))
        message = InboundMessage(sender, _control_id(told.media_id), self.now(), _without_data(resource), content)
        first: Json = json.loads(self.log.record([message])[0])
        return first, Outcome.STORED in outcomes

    def read(self, media_id: str) -> Json:
        """The Media as it was answered when it came. Raises Refused (404)."""
        content = self.kept(_control_id(media_id))
        if content is None:
            raise Refused(404, "not-found", "There is no such Media.")
        resource: Json = json.loads(content)
        return resource

    def _attached(self, resource: Json) -> Attached:
        order = self.queries.orders(reference) if (reference := order_reference(resource)) else None
        told = order or {}
        return attached(resource, self.facility, str(told.get("accession_number", "")),
                        str(told.get("study_instance_uid", "")))

    def _store(self, part10: bytes, sender: Sender) -> Outcome:
        header, dataset = self.split(part10)
        return self.intake.take(sender, header, [dataset]).outcome


def _without_data(resource: Json) -> bytes:
    """The message as it is kept: its bytes lie in the store already."""
    content = {name: value for name, value in resource["content"].items() if name != "data"}
    return encoded({**resource, "content": content})


def _control_id(media_id: str) -> str:
    return f"Media/{media_id}"
