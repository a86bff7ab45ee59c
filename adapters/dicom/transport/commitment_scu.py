"""Storage Commitment Push Model, the side that asks: a delivery is proven once its peer has committed to the object."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from pynetdicom import build_context, evt

from adapters.dicom.content import commitment as content
from adapters.dicom.transport.association import Peer
from adapters.dicom.transport.requestor import NotOffered, answered, associate, destination_peer
from adapters.dicom.transport.scu import DicomDestination
from gateway import settings as configuration
from gateway.commitment import Asked, Promise, Reference, Verdict, Wait, proof, weigh
from gateway.delivery import DeliveryState, Destination, Document, Receipt
from gateway.errors import Permanent, Transient

_KEPT_OPEN_SECONDS = 30.0
_LOOK_SECONDS = 0.5
_MOST_KEPT_OPEN = 16
_BUSY = (0x0110, 0x0213)
_WAITS = "stored; waits for the storage commitment"


class CommitmentLog(Protocol):
    """Port: our own requests, durable when a method returns. Raises Transient when the database does not answer."""

    def ask(self, destination: str, transaction_uid: str, reference: Reference, now: datetime) -> None: ...

    def asked(self, destination: str, sop_instance_uid: str) -> Asked | None: ...

    def end(self, transaction_uid: str, error: str = "") -> None: ...


class CommittingDestination:
    """`gateway.delivery.Destination`: C-STORE, then N-ACTION; delivered once the peer has reported success.

    Until then the receipt is PENDING and says when to look again. The association on which it was asked stays open
    for a while, for peers that report on it; others report on one of their own, to the gateway's receiver.
    """

    def __init__(self, settings: configuration.DicomDestination, stores: DicomDestination, peer: Peer,
                 log: CommitmentLog, on_report: Callable[[Any], Any], clock: Callable[[], datetime]) -> None:
        """`stores`: sends the object itself. `on_report`: handler of N-EVENT-REPORT."""
        self.name, self.kinds = stores.name, stores.kinds
        self._stores, self._peer, self._log = stores, peer, log
        self._on_report, self._clock = on_report, clock
        self._timeout = timedelta(seconds=settings.commitment_timeout_seconds)
        self._room = threading.BoundedSemaphore(_MOST_KEPT_OPEN)

    def probe(self) -> None:
        self._stores.probe()

    def deliver(self, document: Document) -> Receipt:
        """Raises Transient or Permanent as the C-STORE does, and where the peer reports a failure."""
        asked = self._log.asked(self.name, document.identity)
        if asked is None:
            return self._store_and_ask(document)
        decision = weigh(asked, self._clock(), self._timeout)
        if isinstance(decision, Wait):
            return self._waiting(asked, document, decision.left)
        return self._over(asked, document, decision)

    def _over(self, asked: Asked, document: Document, verdict: Verdict) -> Receipt:
        facts = proof(asked, document.identity)
        sentence = f"The peer does not commit to the object: failure reason 0x{asked.reason:04X}."
        match verdict:
            case Verdict.PROVEN:
                self._log.end(asked.transaction_uid)
                return Receipt(DeliveryState.DELIVERED, facts)
            case Verdict.UNPROVEN:
                self._log.end(asked.transaction_uid, "no answer in time")
                return Receipt(DeliveryState.UNPROVEN, facts)
            case Verdict.SEND_AGAIN:
                self._log.end(asked.transaction_uid, sentence)
                raise Transient(sentence)
            case Verdict.REFUSED:
                self._log.end(asked.transaction_uid, sentence)
                raise Permanent(sentence)

    def _store_and_ask(self, document: Document) -> Receipt:
        stored = self._stores.deliver(document)
        reference = Reference(document.sop_class_uid, document.identity)
        asked = Asked(f"2.25.{uuid.uuid4().int}", self._clock())
        self._log.ask(self.name, asked.transaction_uid, reference, asked.asked_at)
        try:
            objection = self._ask(asked, reference)
        except (Transient, Permanent) as error:
            self._log.end(asked.transaction_uid, str(error))
            raise Transient(f"The object is stored, its commitment could not be asked for. {error}") from error
        if objection:
            self._log.end(asked.transaction_uid, objection)
            return Receipt(DeliveryState.UNPROVEN, {**stored.facts, "storage_commitment": objection})
        return self._waiting(asked, document, self._timeout)

    def _waiting(self, asked: Asked, document: Document, left: timedelta) -> Receipt:
        facts = {**proof(asked, document.identity), "waits_for": _WAITS}
        return Receipt(DeliveryState.PENDING, facts, look_again=left)

    def _ask(self, asked: Asked, reference: Reference) -> str:
        """N-ACTION; why the peer does not do such a thing, empty when it took the request."""
        try:
            association = associate(self._peer, [build_context(content.SOP_CLASS)],
                                    handlers=[(evt.EVT_N_EVENT_REPORT, self._on_report)])
        except NotOffered:
            return "not offered by the peer"
        status = answered(association, lambda: association.send_n_action(
            content.request_dataset(asked.transaction_uid, [reference]), content.ASK, content.SOP_CLASS,
            content.SOP_INSTANCE)[0])
        if status == 0:
            self._keep_open(association, reference)
            return ""
        association.release()
        if status in _BUSY:
            raise Transient(f"The peer refused the request for storage commitment with status 0x{status:04X}.")
        return f"refused with status 0x{status:04X}"

    def _keep_open(self, association: Any, reference: Reference) -> None:
        """For a report on this association, without holding up the next delivery."""
        if self._room.acquire(blocking=False):
            threading.Thread(target=self._release, args=(association, reference), name="commitment-open",
                             daemon=True).start()
        else:
            association.release()

    def _release(self, association: Any, reference: Reference) -> None:
        """Once the report has come, here or elsewhere, or the time is over."""
        pause = threading.Event()
        try:
            for _ in range(int(_KEPT_OPEN_SECONDS / _LOOK_SECONDS)):
                if not association.is_established or self._is_answered(reference):
                    break
                pause.wait(_LOOK_SECONDS)
            pause.wait(_LOOK_SECONDS)  # for our own answer to leave
            association.release()
        finally:
            self._room.release()

    def _is_answered(self, reference: Reference) -> bool:
        try:
            asked = self._log.asked(self.name, reference.sop_instance_uid)
        except Transient:
            return False
        return asked is None or asked.promise is not Promise.ASKED


def committing(settings: configuration.Settings, plain: Mapping[str, Destination], log: CommitmentLog,
               on_report: Callable[[Any], Any], clock: Callable[[], datetime]) -> dict[str, Destination]:
    """The destinations, those of them that are to commit wrapped. `on_report`: CommitmentScp.on_event_report."""
    found = dict(plain)
    for wanted in settings.destinations:
        stores = plain.get(wanted.name)
        if (isinstance(wanted, configuration.DicomDestination) and wanted.storage_commitment
                and isinstance(stores, DicomDestination)):
            found[wanted.name] = CommittingDestination(wanted, stores, destination_peer(settings, wanted), log,
                                                       on_report, clock)
    return found
