"""The Storage service's side of a C-STORE request (PS3.4 Annex B): into the intake, and which status is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import structlog

from adapters.dicom.content import part10, upper_layer
from adapters.dicom.content.layout import Recognised
from adapters.dicom.content.likeness import Likeness, likeness_of
from adapters.dicom.content.pdu_events import Command
from adapters.dicom.content.uids import is_uid
from gateway.errors import GatewayError, Rejected, Transient, Unreadable
from gateway.intake import require_uids
from gateway.ports import Intake, Reception
from gateway.study import Sender

LONGEST_ALIKE = 128 * 1024
"""Bytes of a data set that is compared as a whole: the disk begins with a larger one while the rest is still coming."""
SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
INVALID_INSTANCE = 0x0117
CLASS_NOT_SUPPORTED = 0x0122
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000


def failure_status(error: GatewayError) -> int:
    """The C-STORE status of an error (PS3.4 Table B.2-1)."""
    if isinstance(error, Transient):
        return OUT_OF_RESOURCES
    if isinstance(error, Unreadable):
        return CANNOT_UNDERSTAND
    return DATA_SET_DOES_NOT_MATCH if isinstance(error, Rejected) else PROCESSING_FAILURE


@dataclass(slots=True)
class Tally:
    """What one association did. `sender`: calling AE title and address; `own`: the receiver's AE title.

    `studies`: of the objects that it brought by itself, and not because we had asked for them (C-MOVE).
    """

    sender: Sender
    own: str = ""
    statuses: dict[int, int] = field(default_factory=dict)
    studies: set[str] = field(default_factory=set)


class Alike(NamedTuple):
    """Requests that are compared with one before, and what becomes of them."""

    likeness: Likeness
    meta: part10.FileMeta
    """Of that one."""
    tally: Tally
    study: str


class StoreRequest:
    """One C-STORE request: implements `adapters.dicom.transport.receiving.Store`."""

    def __init__(self, intake: Intake, tally: Tally, command: Command, abstract_syntax: str, transfer_syntax: str,
                 ended: Callable[[], None]) -> None:
        """`ended` is called once, when it has been answered or given up."""
        self._intake, self._tally, self._command, self._ended = intake, tally, command, ended
        self._sop_class = str(command.fields.get(upper_layer.AFFECTED_SOP_CLASS, ""))
        self._sop_instance = str(command.fields.get(upper_layer.AFFECTED_SOP_INSTANCE, ""))
        self._reception: Reception | None = None
        self._uids: Mapping[str, str] = {}
        self.size = 0
        self._remark = ""
        self._lengths: tuple[int, ...] = ()
        """Of the pieces of a data set that came at once."""
        self._failure: tuple[int, str] | None = self._fault_of_command(abstract_syntax)
        if self._failure:
            self._tell(*self._failure)
        self._header = part10.build(part10.FileMeta(self._sop_class, self._sop_instance, transfer_syntax,
                                                    tally.sender.name))

    # What is done with the object never raises, since the peer waits for an answer. What comes after a failure is read
    # and dropped.

    def write(self, piece: memoryview) -> None:
        """See `Store.write`."""
        self.size += len(piece)
        if self._failure is None:
            try:
                self._open().write(piece)
            except Exception as error:
                self._give_up(error)

    def take(self, pieces: Sequence[memoryview]) -> None:
        """See `Store.take`."""
        self._lengths = tuple(map(len, pieces))
        self.size = sum(self._lengths)
        if self._failure is None:
            try:
                self._reception = self._intake.bring(self._tally.sender, self._header, pieces, self._announced())
                self._uids = self._reception.uids()
            except Exception as error:
                self._give_up(error)

    def alike(self) -> Alike | None:
        """What requests are like that may be answered as this was; None where none may."""
        lies = self._reception.lies() if self._reception and not self._remark else None
        own = self._tally.own in (self._command.fields.get(upper_layer.MOVE_ORIGINATOR), "")
        if own or self._failure or not isinstance(lies, Recognised) or self.size > LONGEST_ALIKE:
            return None
        try:
            likeness = likeness_of(self._command, self._lengths, lies, self._response(SUCCESS, ""))
        except (KeyError, ValueError):
            return None
        if likeness is None:
            return None
        return Alike(likeness, self._header.meta, self._tally, self._uids["StudyInstanceUID"])

    def stage(self) -> None:
        """See `Store.stage`."""
        if self._failure is None:
            try:
                reception = self._open()
                self._require_announced(reception)
                reception.stage()
            except Exception as error:
                self._give_up(error)

    def finish(self) -> bytes:
        """See `Store.finish`."""
        if self._failure is None:
            try:
                self._store()
            except Exception as error:
                self._give_up(error)
        status, comment = self._failure or (SUCCESS, self._remark)
        statuses = self._tally.statuses
        statuses[status] = statuses.get(status, 0) + 1
        return self._response(status, comment)

    def abort(self) -> None:
        """See `Store.abort`."""
        try:
            if self._reception is not None:
                self._reception.abort()
        except GatewayError:
            raise
        except Exception:
            self._end()
            raise
        self._end()

    def _end(self) -> None:
        self._reception = None
        ended, self._ended = self._ended, _nothing
        ended()

    def _fail(self, status: int, reason: str) -> None:
        """What has come of the object goes at once: where the disk is full, nothing else makes room."""
        self._failure = status, reason
        reception, self._reception = self._reception, None
        if reception is not None:
            reception.abort()

    def _fault_of_command(self, abstract_syntax: str) -> tuple[int, str] | None:
        if self._sop_class != abstract_syntax:
            return CLASS_NOT_SUPPORTED, "The SOP class is not that of the presentation context."
        if not is_uid(self._sop_instance):
            return INVALID_INSTANCE, "The Affected SOP Instance UID is missing or no UID."
        if not self._command.has_dataset:
            return CANNOT_UNDERSTAND, "The request has no data set."
        return None

    def _open(self) -> Reception:
        if self._reception is None:
            self._reception = self._intake.receive(self._tally.sender, self._header)
        return self._reception

    def _store(self) -> None:
        reception = self._reception or self._open()
        if not self._uids:
            self._require_announced(reception)
        # PS3.4 Table B.2-1 has no warning for it, and the object is safe: success, with words for who reads them
        self._remark = reception.finish().remark
        if self._tally.own not in (self._command.fields.get(upper_layer.MOVE_ORIGINATOR), ""):
            self._tally.studies.add(self._uids["StudyInstanceUID"])

    def _announced(self) -> dict[str, str]:
        return {"SOPClassUID": self._sop_class, "SOPInstanceUID": self._sop_instance}

    def _require_announced(self, reception: Reception) -> None:
        self._uids = reception.uids()
        require_uids(self._uids, self._announced())

    def _give_up(self, error: Exception) -> None:
        if isinstance(error, GatewayError):
            self._fail(failure_status(error), str(error))
            self._tell(failure_status(error), str(error))
        else:
            structlog.get_logger().exception("object_failed", exc_info=error, calling=self._tally.sender.name)
            self._fail(PROCESSING_FAILURE, "The gateway failed to process the object.")

    def _tell(self, status: int, reason: str) -> None:
        structlog.get_logger().warning("object_refused", calling=self._tally.sender.name,
                                       address=self._tally.sender.address, status=f"0x{status:04X}", reason=reason)

    def _response(self, status: int, comment: str) -> bytes:
        request = self._command.fields.get(upper_layer.MESSAGE_ID, 0)
        if status == SUCCESS and not comment and isinstance(request, int):
            return _success(self._sop_class, len(self._sop_instance)).filled(request, self._sop_instance)
        fields = _fields(self._sop_class, self._sop_instance, request, status)
        if comment:
            fields[upper_layer.ERROR_COMMENT] = comment[:64].encode("ascii", "replace").decode()
        return upper_layer.encode_command(fields)


def _fields(sop_class: str, sop_instance: str, request: int | str, status: int) -> dict[int, int | str]:
    return {upper_layer.AFFECTED_SOP_CLASS: sop_class, upper_layer.COMMAND_FIELD: upper_layer.C_STORE_RSP,
            upper_layer.RESPONDED_TO: request, upper_layer.DATA_SET_TYPE: upper_layer.NO_DATA_SET,
            upper_layer.STATUS: status, upper_layer.AFFECTED_SOP_INSTANCE: sop_instance}


class _Form(NamedTuple):
    """A response that says success, around what differs."""

    before: bytes
    between: bytes
    after: bytes

    def filled(self, request: int, sop_instance: str) -> bytes:
        return b"".join((self.before, request.to_bytes(2, "little"), self.between, sop_instance.encode(), self.after))


@lru_cache(maxsize=256)
def _success(sop_class: str, instance_length: int) -> _Form:
    """For instances of so many characters."""
    number, instance = 0xFDFE, "~" * instance_length
    encoded = upper_layer.encode_command(_fields(sop_class, instance, number, SUCCESS))
    before, rest = encoded.split(number.to_bytes(2, "little"))
    between, after = rest.split(instance.encode())
    return _Form(before, between, after)


def _nothing() -> None:
    """Nobody waits any more."""
