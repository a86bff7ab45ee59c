"""SCP of procedure steps and availability notifications: N-CREATE and N-SET (PS3.4 F.7.2, R.3). Kept, then answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt

from adapters.dicom.content import attributes as refusals
from adapters.dicom.content import ian, mpps
from adapters.dicom.content.attributes import Refused
from adapters.dicom.content.elements import EXPLICIT, IMPLICIT, walk
from adapters.dicom.content.uids import is_uid
from adapters.dicom.transport import contexts
from adapters.dicom.transport.services import Service, sender_of
from gateway.completion import Evidence, EvidenceKind, EvidenceLog
from gateway.errors import Transient

log = structlog.get_logger()
SUCCESS = 0x0000
Answer = tuple[Dataset, Dataset | None]


class StepScp:
    """Everything that is answered with success is durable. No handler raises, since the peer waits for an answer."""

    def __init__(self, evidence: EvidenceLog, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._evidence, self._clock = evidence, clock

    def service(self) -> Service:
        return Service([mpps.SOP_CLASS, ian.SOP_CLASS],
                       [(evt.EVT_N_CREATE, self._on_create), (evt.EVT_N_SET, self._on_set)])

    def _on_create(self, event: Any) -> Answer:
        return _answered(event, lambda: self._create(event))

    def _on_set(self, event: Any) -> Answer:
        return _answered(event, lambda: self._set(event))

    def _create(self, event: Any) -> Dataset | None:
        """The response's attributes: the identity that the gateway chose where the peer left that open."""
        asked = event.request.AffectedSOPInstanceUID
        identity = str(asked or generate_uid())
        if not is_uid(identity):
            raise Refused(refusals.INVALID_INSTANCE, "The SOP Instance UID is no UID.", "AffectedSOPInstanceUID")
        said = self._said(event, identity)
        if said and not self._evidence.create(said):
            raise Refused(refusals.DUPLICATE_INSTANCE, "This SOP Instance is known already.", "AffectedSOPInstanceUID")
        log.info("evidence_heard", calling=sender_of(event.assoc).name, studies=len(said),
                 kind=said[0].kind.value if said else "none", instances=len(said[0].instances) if said else 0)
        if asked:
            return None
        chosen = Dataset()
        chosen.AffectedSOPInstanceUID = identity
        return chosen

    def _said(self, event: Any, identity: str) -> Sequence[Evidence]:
        read = ian.notified if event.request.AffectedSOPClassUID == ian.SOP_CLASS else mpps.created
        attributes = _dataset(event, event.request.AttributeList, lambda: event.attribute_list)
        return read(identity, sender_of(event.assoc).name, self._clock(), attributes)

    def _set(self, event: Any) -> None:
        identity = str(event.request.RequestedSOPInstanceUID)
        modifications = _dataset(event, event.request.ModificationList, lambda: event.modification_list)
        known = event.request.RequestedSOPClassUID == mpps.SOP_CLASS and self._evidence.amend(
            EvidenceKind.MPPS, identity, lambda step: mpps.changed(step, self._clock(), modifications))
        if not known:
            raise Refused(refusals.NO_SUCH_INSTANCE, "This SOP Instance is not known.", "RequestedSOPInstanceUID")
        log.info("evidence_changed", calling=sender_of(event.assoc).name, kind=EvidenceKind.MPPS.value)


def _answered(event: Any, act: Callable[[], Dataset | None]) -> Answer:
    calling = sender_of(event.assoc).name
    try:
        return _status(SUCCESS), act()
    except Refused as error:
        log.warning("evidence_refused", calling=calling, status=f"0x{error.status:04X}", reason=error.reason)
        return _status(error.status, error.reason, error.error_id), None
    except Transient as error:
        log.warning("evidence_not_kept", calling=calling, error=str(error))
        return _status(refusals.RESOURCE_LIMITATION, "It could not be kept; try again later."), None
    except Exception:
        log.exception("evidence_failed", calling=calling)
        return _status(refusals.PROCESSING_FAILURE, "The gateway failed to process the request."), None


def _dataset(event: Any, encoded: Any, read: Callable[[], Any]) -> Dataset:
    """What the request carries, to its last element: the library takes what was cut short for a whole data set."""
    if encoded is None:
        raise Refused(refusals.MISSING_ATTRIBUTE, "There is no data set.")
    try:
        implicit = event.context.transfer_syntax == contexts.IMPLICIT_LITTLE_ENDIAN
        for _ in walk(encoded.getvalue(), IMPLICIT if implicit else EXPLICIT):
            pass
        found: Dataset = read()
    except Exception as error:  # the library raises what its decoder happens to meet
        raise Refused(refusals.PROCESSING_FAILURE, "The data set cannot be read.") from error
    return found


def _status(status: int, comment: str = "", error_id: int = 0) -> Dataset:
    response = Dataset()
    response.Status = status
    if comment:
        response.ErrorComment = comment[:64].encode("ascii", "replace").decode()
    if error_id:
        response.ErrorID = error_id
    return response
