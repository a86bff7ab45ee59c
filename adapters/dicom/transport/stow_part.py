"""One part of a Store request: a Part 10 file that goes to the intake while it comes in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from adapters.dicom.content import part10
from adapters.dicom.content.stow_response import ALREADY_EXISTS, Outcome
from adapters.dicom.transport.shelf import Target
from adapters.dicom.transport.storing import DATA_SET_DOES_NOT_MATCH, PROCESSING_FAILURE, failure_status
from gateway.disguise import both_at_once, disguise_of
from gateway.errors import GatewayError, Rejected, Transient, Unreadable, Unusable
from gateway.ports import Intake, Reception
from gateway.study import Sender

PREAMBLE = 128
LONGEST_HEADER = 1024 * 1024
"""Bytes of preamble and file meta information that are kept until they are complete."""


class StowPart:
    """Implements `parts.Taker`. A fault ends this part with a failure and lets the rest of its bytes pass by."""

    def __init__(self, intake: Intake, sender: Sender, study: str, media_type: str,
                 told: Callable[[Outcome], None], stored: Callable[[str], None] = lambda _: None) -> None:
        """`study`: what the URL names, or empty. `told` gets the outcome, once; `stored` the Study Instance UID of what
        is on disk."""
        self._intake, self._sender, self._study, self._told, self._stored = intake, sender, study, told, stored
        self._early = bytearray()
        self._meta = part10.FileMeta("", "", "")
        self._reception: Reception | None = None
        self._failure: Outcome | None = None
        self._remark = self._path = ""
        if media_type not in {"", "application/dicom"}:
            self._failure = Outcome("", "", DATA_SET_DOES_NOT_MATCH, "Only parts of type application/dicom are taken.")

    def write(self, piece: memoryview) -> None:
        """See `parts.Taker.write`."""
        if self._failure is None:
            self._guarded(lambda: self._take_in(piece))

    def end(self) -> None:
        """See `parts.Taker.end`."""
        if self._failure is None:
            self._guarded(self._finish)
        self.close()
        self._told(self._failure or self._success())

    def close(self) -> None:
        """Nothing of what was not completed stays."""
        reception, self._reception = self._reception, None
        if reception is not None:
            reception.abort()

    def _success(self) -> Outcome:
        told = Outcome(self._meta.sop_class_uid, self._meta.sop_instance_uid, path=self._path)
        return replace(told, warning=ALREADY_EXISTS, comment=self._remark) if self._remark else told

    def _guarded(self, step: Callable[[], None]) -> None:
        """Never raises, so that the other parts are unharmed."""
        try:
            step()
        except GatewayError as error:
            self._fail(failure_status(error), error.reason if isinstance(error, Rejected) else str(error),
                       isinstance(error, Transient))
        except Exception:
            structlog.get_logger().exception("object_failed", sender=self._sender.name)
            self._fail(PROCESSING_FAILURE, "The gateway failed to process the object.", False)

    def _fail(self, status: int, why: str, transient: bool) -> None:
        structlog.get_logger().warning("object_refused", sender=self._sender.name, status=f"0x{status:04X}", reason=why)
        self._failure = Outcome(self._meta.sop_class_uid, self._meta.sop_instance_uid, status, why, transient)
        self.close()

    def _take_in(self, piece: memoryview) -> None:
        if self._reception is not None:
            self._reception.write(piece)
            return
        self._early += piece
        length = part10.complete_header(bytes(self._early))
        if length is not None:
            self._begin(length)
        elif len(self._early) > LONGEST_HEADER:
            raise Unreadable("The file meta information is too long.")

    def _begin(self, length: int) -> None:
        """The header is complete: what came after it is the data set's beginning."""
        header = bytes(self._early[:length])
        self._meta = part10.parse(header)
        if disguised := disguise_of(header[:PREAMBLE]):
            raise Unreadable(both_at_once(disguised))
        self._reception = self._intake.receive(self._sender, header)
        self._reception.write(bytes(self._early[length:]))
        self._early.clear()

    def _finish(self) -> None:
        if self._reception is None:
            self._begin(part10.header_length(bytes(self._early)))
        if self._reception is not None:
            tags = self._reception.tags()
            self._require_agreement(tags)
            self._remark = self._reception.finish().remark
            self._path = _place(tags).path
            self._stored(str(tags["StudyInstanceUID"]))

    def _require_agreement(self, tags: Mapping[str, Any]) -> None:
        """Raises Unusable where the URL or the file meta information says something else than the data set."""
        if self._study and tags["StudyInstanceUID"] != self._study:
            raise Unusable("The instance is not of the study that the URL names.", element="StudyInstanceUID")
        for keyword, told in (("SOPClassUID", self._meta.sop_class_uid),
                              ("SOPInstanceUID", self._meta.sop_instance_uid)):
            if told and told != tags[keyword]:
                raise Unusable(f"{keyword} of the data set is not the one in the file meta information.",
                               element=keyword)
        self._meta = part10.FileMeta(tags["SOPClassUID"], tags["SOPInstanceUID"], self._meta.transfer_syntax_uid)


def _place(tags: Mapping[str, Any]) -> Target:
    return Target(*(str(tags[keyword]) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")))
