"""Storage Commitment Push Model, the side that commits: N-ACTION taken, N-EVENT-REPORT sent (PS3.4 J.3)."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Protocol

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_context, build_role, evt
from pynetdicom.dimse_messages import N_ACTION_RSP, N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode

from adapters.dicom.content import commitment as content
from adapters.dicom.transport.association import Peer
from adapters.dicom.transport.requestor import answered, associated
from adapters.dicom.transport.services import Service, sender_of
from gateway.commitment import Report, Request
from gateway.errors import Permanent, Rejected, Transient

log = structlog.get_logger()
SUCCESS = 0x0000
_PROCESSING_FAILURE = 0x0110
_NO_SUCH_INSTANCE = 0x0112
_NO_SUCH_EVENT = 0x0113
_NO_SUCH_ACTION = 0x0123
_GRACE_SECONDS = 0.5
"""Peers that close the association after asking do so at once: those that stay want the report on it."""
_LOOK_SECONDS = 0.05
_MOST_OPEN = 1000
_FIRST_MESSAGE_ID = 0x4000


class Desk(Protocol):
    """Port: where requests and reports are handed in."""

    def take(self, request: Request) -> None:
        """Durable when it returns. Raises Unusable or Transient."""
        ...

    def hear(self, report: Report, peer: str) -> bool:
        """False where the report is about no request of ours. Raises Transient."""
        ...


class CommitmentScp:
    """The service for `DicomServer`, and gateway.commitment_desk.Reporter.

    A report goes out on the association that the request came on while that is open, else on a new one to the
    address that `addresses` knows for the AE title, with the roles reversed.
    """

    def __init__(self, addresses: Mapping[str, Peer], timeout: float = 30.0) -> None:
        """`timeout`: seconds for a peer to answer a report on its own association."""
        self._addresses, self._timeout = addresses, timeout
        self._desk: Desk | None = None
        self._open: dict[tuple[str, str], _OpenAssociation] = {}
        self._lock = threading.Lock()

    def use(self, desk: Desk) -> None:
        """The desk needs the reporter and the reporter the desk: joined once, at start."""
        self._desk = desk

    @property
    def desk(self) -> Desk:
        assert self._desk is not None, "use() was not called"
        return self._desk

    def service(self) -> Service:
        return Service([content.SOP_CLASS], [(evt.EVT_N_ACTION, self._on_action),
                                             (evt.EVT_N_EVENT_REPORT, self.on_event_report)], scp_role=True)

    # ------------------------------------------------------------ asked

    def _on_action(self, event: Any) -> tuple[Any, None]:
        """The peer waits for an answer, so nothing is raised."""
        sender = sender_of(event.assoc)
        try:
            request = self._read(event, sender.name)
            self._remember(event.assoc, request)
            self.desk.take(request)
        except content.BadCommitment as error:
            return self._refused(sender.name, error.status, error.reason)
        except Rejected as error:
            return self._refused(sender.name, content.INVALID_ARGUMENT, error.reason)
        except Transient as error:
            return self._refused(sender.name, _PROCESSING_FAILURE, str(error))
        except Exception:
            log.exception("commitment_request_failed", calling=sender.name)
            return _status(_PROCESSING_FAILURE, "The gateway failed to process the request."), None
        log.info("commitment_requested", calling=sender.name, objects=len(request.references))
        return _status(SUCCESS), None

    @staticmethod
    def _read(event: Any, peer: str) -> Request:
        if event.action_type != content.ASK:
            raise content.BadCommitment(_NO_SUCH_ACTION, "The action type is not 1.", "ActionTypeID")
        if event.request.RequestedSOPInstanceUID != content.SOP_INSTANCE:
            raise content.BadCommitment(_NO_SUCH_INSTANCE, f"The SOP instance is not {content.SOP_INSTANCE}.",
                                        "RequestedSOPInstanceUID")
        return content.read_request(_dataset(lambda: event.action_information), peer)

    @staticmethod
    def _refused(calling: str, status: int, reason: str) -> tuple[Any, None]:
        log.warning("commitment_request_refused", calling=calling, status=f"0x{status:04X}", reason=reason)
        return _status(status, reason), None

    def _remember(self, association: Any, request: Request) -> None:
        with self._lock:
            for key in [key for key, kept in self._open.items() if not kept.open]:
                del self._open[key]
            if len(self._open) < _MOST_OPEN:
                known = [kept for kept in self._open.values() if kept.association is association]
                kept = known[0] if known else _OpenAssociation(association)
                kept.expect_answer()
                self._open[request.peer, request.transaction_uid] = kept

    # ------------------------------------------------------------ told about our own requests

    def on_event_report(self, event: Any) -> tuple[Any, None]:
        """Also bound to the associations that we ask on. The peer waits for an answer, so nothing is raised."""
        peer = sender_of(event.assoc).name if event.assoc.is_acceptor else event.assoc.acceptor.ae_title.strip()
        try:
            if event.event_type not in (content.ALL_COMMITTED, content.FAILURES_EXIST):
                raise content.BadCommitment(_NO_SUCH_EVENT, "The event type is not 1 or 2.", "EventTypeID")
            report = content.read_report(_dataset(lambda: event.event_information))
            if not self.desk.hear(report, peer):
                raise content.BadCommitment(content.INVALID_ARGUMENT, "The transaction UID is not known.",
                                            "TransactionUID")
        except content.BadCommitment as error:
            log.warning("commitment_report_refused", calling=peer, status=f"0x{error.status:04X}", reason=error.reason)
            return _status(error.status, error.reason), None
        except Transient as error:
            return _status(_PROCESSING_FAILURE, str(error)), None
        except Exception:
            log.exception("commitment_report_failed", calling=peer)
            return _status(_PROCESSING_FAILURE, "The gateway failed to process the report."), None
        return _status(SUCCESS), None

    # ------------------------------------------------------------ tell

    def report(self, peer: str, report: Report) -> None:
        """See gateway.commitment_desk.Reporter."""
        with self._lock:
            kept = self._open.pop((peer, report.transaction_uid), None)
        if kept is not None and kept.report(report, self._timeout):
            return
        address = self._addresses.get(peer)
        if address is None:
            raise Transient(f"no address is known for {peer}: name it under dicom.peers, with host and port")
        report_anew(address, report)


def report_anew(address: Peer, report: Report) -> None:
    """N-EVENT-REPORT on an association of our own. Raises Transient."""
    role = build_role(content.SOP_CLASS, scu_role=False, scp_role=True)
    try:
        with associated(address, [build_context(content.SOP_CLASS)], [role]) as association:
            status = answered(association, lambda: association.send_n_event_report(
                content.report_dataset(report), report.event_type, content.SOP_CLASS, content.SOP_INSTANCE)[0])
    except Permanent as error:  # who rejects today may know us tomorrow
        raise Transient(str(error)) from error
    if status != SUCCESS:
        raise Transient(f"The peer refused the report with status 0x{status:04X}.")


class _OpenAssociation:
    """An association that a request came on. The report may cross the peer's own messages: it leaves in one piece, and
    its answer is caught where messages arrive."""

    def __init__(self, association: Any) -> None:
        self.association = association
        self._asked_is_answered = threading.Event()
        self._answers: dict[int, tuple[threading.Event, list[int]]] = {}
        self._numbers = itertools.count(_FIRST_MESSAGE_ID)
        association.bind(evt.EVT_DIMSE_RECV, self._on_received)
        association.bind(evt.EVT_DIMSE_SENT, self._on_sent)

    @property
    def open(self) -> bool:
        return bool(self.association.is_established)

    def expect_answer(self) -> None:
        """Nothing is reported before the N-ACTION that is being dealt with is answered."""
        self._asked_is_answered.clear()

    def report(self, report: Report, timeout: float) -> bool:
        """Whether the peer took it. False: the association is over, or the peer did not answer well."""
        if not self._asked_is_answered.wait(timeout) or self._over_within(_GRACE_SECONDS, threading.Event()):
            return False
        number = next(self._numbers) & 0x7FFF
        answered, statuses = self._answers[number] = threading.Event(), []
        message = self._encoded(report, number)
        try:
            self.association.say(message)
            self._over_within(timeout, answered)
        finally:
            self.association.unsay(message)  # an association that serves something long has not begun with it
            del self._answers[number]
        return bool(statuses) and statuses[0] == SUCCESS

    def _over_within(self, seconds: float, until: threading.Event) -> bool:
        """Whether the association ended in that time; returns sooner once `until` is set."""
        for _ in range(max(1, int(seconds / _LOOK_SECONDS))):
            if not self.open:
                return True
            if until.wait(_LOOK_SECONDS):
                return False
        return not self.open

    def _encoded(self, report: Report, number: int) -> list[Any]:
        association = self.association
        context = next(cx for cx in association.accepted_contexts if cx.abstract_syntax == content.SOP_CLASS)
        message = N_EVENT_REPORT_RQ()
        message.primitive_to_message(_primitive(report, number, context.transfer_syntax[0]))
        message.context_id = context.context_id
        longest = association.requestor.maximum_length
        return list(message.encode_msg(context.context_id, longest))

    def _on_sent(self, event: Any) -> None:
        if isinstance(event.message, N_ACTION_RSP):
            self._asked_is_answered.set()

    def _on_received(self, event: Any) -> None:
        if not isinstance(event.message, N_EVENT_REPORT_RSP):
            return
        command = event.message.command_set
        waiting = self._answers.get(command.get("MessageIDBeingRespondedTo"))
        if waiting is not None:
            waiting[1].append(int(command.get("Status", _PROCESSING_FAILURE)))
            waiting[0].set()


def _primitive(report: Report, number: int, transfer_syntax: UID) -> N_EVENT_REPORT:
    encoded = encode(content.report_dataset(report), transfer_syntax.is_implicit_VR, transfer_syntax.is_little_endian)
    message = N_EVENT_REPORT()
    message.MessageID = number
    message.AffectedSOPClassUID = UID(content.SOP_CLASS)
    message.AffectedSOPInstanceUID = UID(content.SOP_INSTANCE)
    message.EventTypeID = report.event_type
    message.EventInformation = BytesIO(encoded or b"")
    return message


def _dataset(read: Callable[[], Any]) -> Dataset:
    """What a message carries. Raises BadCommitment where that is no data set."""
    try:
        found = read()
    except Exception as error:  # the library raises what its decoder happens to meet
        raise content.BadCommitment(content.INVALID_ARGUMENT, "The data set cannot be read.", "") from error
    if not isinstance(found, Dataset):
        raise content.BadCommitment(content.MISSING_ATTRIBUTE, "There is no data set.", "")
    return found


def _status(status: int, comment: str = "") -> Dataset:
    response = Dataset()
    response.Status = status
    if comment:
        response.ErrorComment = comment[:64].encode("ascii", "replace").decode()
    return response
