"""The desk of storage commitment: requests of others are verified and answered, answers of others settle deliveries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

import structlog

from gateway.commitment import Copy, Promise, Report, Request, judge, lacks, report_again
from gateway.delivery import DeliveryState, Receipt
from gateway.errors import GatewayError, Transient
from gateway.repository import DeliveryTicket, Engine
from gateway.work import now
from gateway.workers import Workers

log = structlog.get_logger()
PATIENCE = timedelta(seconds=5)
_LOOK_AGAIN = timedelta(seconds=0.5)
_ROUND_SECONDS = 2.0
_AFTER_FAULT = timedelta(seconds=30)
_AT_ONCE = 200
_PEERS_AT_ONCE = 16
_LAST_WORDS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """A file that is held for a SOP Instance UID. `digest`: SHA-256 (hex) of the data set, or of the whole file."""

    sop_class_uid: str
    path: str
    digest: str
    whole_file: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """A peer's request that is to be verified (no report yet) or answered now."""

    commitment_id: int
    request: Request
    asked_at: datetime
    attempts: int
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A destination's answer about an object that we delivered. `deliveries`: those not yet proven, with their state;
    `facts`: for their receipt."""

    commitment_id: int
    promise: Promise
    facts: Mapping[str, Any]
    deliveries: tuple[tuple[int, DeliveryState], ...]


Requested = Callable[[str, str, Sequence[str], datetime], object]
"""Transaction UID, peer, SOP Instance UIDs, when."""


class CommitmentRows(Protocol):
    """Port: what is remembered of commitments. Every method raises Transient when the database does not answer."""

    def accept(self, request: Request, now: datetime) -> None:
        """Durable when it returns; the same request again is answered again.

        Raises Unusable where the transaction UID stands for another request of that peer.
        """
        ...

    def open(self, now: datetime, limit: int) -> Sequence[Open]: ...

    def copies(self, sop_instance_uids: Sequence[str]) -> Mapping[str, Sequence[StoredCopy]]: ...

    def verified(self, commitment_id: int, report: Report, now: datetime) -> None: ...

    def again(self, commitment_id: int, error: str, at: datetime) -> None: ...

    def close(self, commitment_id: int, state: str, error: str, now: datetime) -> None: ...

    def answer(self, report: Report, peer: str, now: datetime) -> bool:
        """Note what a peer says about our requests; False where the transaction UID is none of ours."""
        ...

    def answered(self, now: datetime, limit: int) -> Sequence[Answered]: ...


class Reporter(Protocol):
    """Port: N-EVENT-REPORT, on the association that the request came on while it is open, else on a new one."""

    def report(self, peer: str, report: Report) -> None:
        """Returns once the peer has taken it. Raises Transient, also where the peer's address is not known."""
        ...


class Ledger(Protocol):
    """Port: the deliveries."""

    def settle(self, delivery_id: int, receipt: Receipt, error: str, now: datetime) -> Sequence[DeliveryTicket]: ...

    def hurry(self, delivery_id: int, now: datetime) -> Sequence[DeliveryTicket]: ...


class CommitmentDesk:
    """One thread that looks, and one for each peer that is being answered: who hangs holds up nobody else."""

    def __init__(self, rows: CommitmentRows, reporter: Reporter, ledger: Ledger, engine: Engine,
                 intact: Callable[[StoredCopy], bool], indexed: Callable[[], bool], requested: Requested,
                 clock: Callable[[], datetime] = now, patience: timedelta = PATIENCE) -> None:
        """`intact`: whether a file is there with its digest. `indexed` waits until what was acknowledged so far is in
        the index, False when that takes too long; others that are asked for may still be on their way for as long as
        `patience`. `requested`: tells the studies (see gateway.completion.EvidenceLog)."""
        self._rows, self._reporter, self._ledger, self._engine = rows, reporter, ledger, engine
        self._intact, self._indexed, self._requested, self._clock = intact, indexed, requested, clock
        self._patience = patience
        self._workers = Workers("commitment", _PEERS_AT_ONCE)
        self._poked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="commitment-desk", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What is not answered yet is answered after the next start."""
        self._stopping.set()
        self._poked.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        self._workers.wait(_LAST_WORDS_SECONDS)

    def poke(self) -> None:
        """Something was asked or answered."""
        self._poked.set()

    def take(self, request: Request) -> None:
        """Accept a peer's request. See CommitmentRows.accept."""
        self._rows.accept(request, self._clock())
        self.poke()

    def hear(self, report: Report, peer: str) -> bool:
        """A peer answers one of our requests; False where it is none of ours."""
        known = self._rows.answer(report, peer, self._clock())
        self.poke()
        return known

    # ------------------------------------------------------------ rounds

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._poked.wait(_ROUND_SECONDS)
            self._poked.clear()
            try:
                self.settle_answered()
                self._hand_out()
            except Transient as error:
                log.warning("commitments_wait", error=str(error))
                self._stopping.wait(_ROUND_SECONDS)
            except Exception as error:
                # The desk must outlive any one row that it cannot deal with.
                log.exception("commitment_fault", error=type(error).__name__)
                self._stopping.wait(_ROUND_SECONDS)

    def _hand_out(self) -> None:
        for found in self._rows.open(self._clock(), _AT_ONCE):
            if not self._stopping.is_set():
                # What is left over because its peer is being dealt with is found again in a later round.
                self._workers.start((found.request.peer,), partial(self._deal_with, found))

    def _deal_with(self, found: Open) -> None:
        try:
            self.deal_with(found)
        except Exception as error:
            why = str(error) if isinstance(error, GatewayError) else f"stopped with {type(error).__name__}"
            self._rows.again(found.commitment_id, why, self._clock() + _AFTER_FAULT)
            raise
        finally:
            self.poke()

    # ------------------------------------------------------------ a peer asks

    def deal_with(self, found: Open) -> None:
        """Verify, then tell."""
        report = found.report or self._verify(found)
        if report is not None:
            self._tell(found, report)

    def _verify(self, found: Open) -> Report | None:
        """None while objects that were acknowledged may still be on their way to the index."""
        if not self._indexed():  # what is not in the index yet would be called missing
            raise Transient("the index waits for the database")
        at = self._clock()
        named = [reference.sop_instance_uid for reference in found.request.references]
        self._requested(found.request.transaction_uid, found.request.peer, named, at)
        stored = self._rows.copies(named)
        report = judge(found.request, {uid: [Copy(copy.sop_class_uid, self._intact(copy)) for copy in copies]
                                       for uid, copies in stored.items()})
        if lacks(report) and at < found.asked_at + self._patience:
            self._rows.again(found.commitment_id, "", at + _LOOK_AGAIN)
            return None
        self._rows.verified(found.commitment_id, report, self._clock())
        log.info("commitment_verified", calling=found.request.peer, committed=len(report.committed),
                 failed=len(report.failed))
        return report

    def _tell(self, found: Open, report: Report) -> None:
        peer = found.request.peer
        try:
            self._reporter.report(peer, report)
        except GatewayError as error:
            self._tell_again(found, str(error))
            return
        self._rows.close(found.commitment_id, "reported", "", self._clock())
        log.info("commitment_reported", calling=peer, committed=len(report.committed), failed=len(report.failed))

    def _tell_again(self, found: Open, error: str) -> None:
        at = self._clock()
        after = report_again(found.attempts + 1, found.asked_at, at)
        if after is None:
            self._rows.close(found.commitment_id, "given_up", error, at)
            log.error("commitment_given_up", calling=found.request.peer, error=error)
            return
        self._rows.again(found.commitment_id, error, at + after)
        log.warning("commitment_not_reported", calling=found.request.peer, error=error,
                    again_in_seconds=after.total_seconds())

    # ------------------------------------------------------------ a peer answers

    def settle_answered(self) -> None:
        """What a peer has committed to is delivered; what it has not is dealt with by the next attempt, now."""
        at = self._clock()
        for found in self._rows.answered(at, _AT_ONCE):
            tickets: list[DeliveryTicket] = []
            for delivery_id, state in found.deliveries:
                if found.promise is Promise.COMMITTED:
                    tickets += self._ledger.settle(delivery_id, Receipt(DeliveryState.DELIVERED, found.facts), "", at)
                    log.info("delivery_settled", delivery_id=delivery_id, state=DeliveryState.DELIVERED.value)
                elif state is DeliveryState.PENDING:
                    tickets += self._ledger.hurry(delivery_id, at)
            for ticket in tickets:
                self._engine.enqueue_delivery(ticket)
            if found.promise is Promise.FAILED and any(s is DeliveryState.PENDING for _, s in found.deliveries):
                self._rows.again(found.commitment_id, "", at + _AFTER_FAULT)
            else:
                self._rows.close(found.commitment_id, found.promise.value, "", at)

