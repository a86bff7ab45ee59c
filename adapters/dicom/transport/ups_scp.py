"""UPS Pull and Query SCP (PS3.4 Annex CC): C-FIND and N-GET over the worklist. It is read only: claims are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pynetdicom import evt

from adapters.dicom.content import ups
from adapters.dicom.transport.services import Service, sender_of
from adapters.dicom.transport.workitems import Workitems
from gateway.errors import Rejected, Transient

log = structlog.get_logger()

SUCCESS, PENDING, CANCELLED = 0x0000, 0xFF00, 0xFE00
OUT_OF_RESOURCES, DOES_NOT_MATCH, UNABLE = 0xA700, 0xA900, 0xC001
NOT_AUTHORIZED, NO_SUCH_WORKITEM, PROCESSING_FAILURE = 0x0124, 0xC307, 0x0110
"""PS3.4 Tables CC.2.8-2 and CC.2.1-2, PS3.7 C.5."""
_READ_ONLY = "Read only: a study is read on the page or by its final report"
_INPUTS = "InputInformationSequence"
Answer = tuple[Dataset | int, Dataset | None]


class UpsScp:
    """Handlers for `DicomServer`. No handler raises: the peer waits for an answer."""

    def __init__(self, workitems: Workitems) -> None:
        self._workitems = workitems

    def service(self) -> Service:
        return Service([ups.PULL, ups.WATCH, ups.QUERY], [
            (evt.EVT_C_FIND, self.on_find), (evt.EVT_N_GET, self.on_get), (evt.EVT_N_ACTION, self.on_change),
            (evt.EVT_N_SET, self.on_change)])

    def on_find(self, event: Any) -> Iterator[Answer]:
        """Pending for each match in the worklist's order, until the peer cancels."""
        calling, found = sender_of(event.assoc).name, 0
        try:
            identifier = event.identifier
            wanted = ups.asked(identifier)
            for told in self._workitems.search(wanted, inputs=_INPUTS in identifier):
                if event.is_cancelled:
                    yield CANCELLED, None
                    return
                found += 1
                yield PENDING, ups.answered(identifier, told)
        except Exception as error:
            yield _refusal(error, "worklist_query_failed", calling), None
            return
        log.info("worklist_queried", calling=calling, found=found)

    def on_get(self, event: Any) -> Answer:
        """The attributes asked for, or all (PS3.4 CC.2.7)."""
        try:
            told = self._workitems.get(str(event.request.RequestedSOPInstanceUID))
            if told is None:
                return _status(NO_SUCH_WORKITEM, "There is no such workitem"), None
            whole = ups.to_dataset(told)
            asked = event.request.AttributeIdentifierList
            wanted = {Tag(tag) for tag in (asked if isinstance(asked, list) else [asked] if asked else [])}
            for tag in [t for t in whole.keys() if wanted and t not in wanted]:  # noqa: SIM118
                del whole[tag]
        except Exception as error:
            return _refusal(error, "workitem_get_failed", sender_of(event.assoc).name), None
        return SUCCESS, whole

    def on_change(self, event: Any) -> Answer:
        """N-ACTION (claim, cancel, subscribe) and N-SET."""
        try:
            known = self._workitems.get(str(event.request.RequestedSOPInstanceUID)) is not None
        except Exception as error:
            return _refusal(error, "workitem_change_failed", sender_of(event.assoc).name), None
        log.info("workitem_change_refused", calling=sender_of(event.assoc).name, known=known)
        if not known:
            return _status(NO_SUCH_WORKITEM, "There is no such workitem"), None
        return _status(NOT_AUTHORIZED, _READ_ONLY), None


def _refusal(error: Exception, what: str, calling: str) -> Dataset:
    if isinstance(error, Rejected):
        log.info(what, calling=calling, reason=error.reason)
        return _status(DOES_NOT_MATCH, error.reason)
    if isinstance(error, Transient):
        log.warning(what, calling=calling, error=str(error))
        return _status(OUT_OF_RESOURCES, "The worklist cannot be read now; try again later")
    log.exception(what, calling=calling)
    return _status(UNABLE, "The request cannot be processed")


def _status(status: int, comment: str) -> Dataset:
    response = Dataset()
    response.Status, response.ErrorComment = status, comment[:64].encode("ascii", "replace").decode()
    return response
