"""Whole objects that go through the journal and are made durable by one sync."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapters.files import durable
from adapters.files.filing import LONGEST_JOURNALED, Filings
from adapters.files.journal_records import Entry, check_of
from adapters.files.waiting import Waiting
from gateway.ports import Piece


class Together:
    """Implements `gateway.ports.Together`."""

    def __init__(self, filings: Filings, require_room: Callable[[], None]) -> None:
        """`require_room` raises StorageFull where there is none."""
        self._filings, self._require_room, self._lease = filings, require_room, filings.lease()

    def take(self, header: bytes, dataset: Sequence[Piece], study_instance_uid: str,
             sop_instance_uid: str) -> Waiting | None:
        """See `gateway.ports.Together.take`."""
        self._require_room()
        size = 0
        for piece in dataset:
            size += len(piece)
        if len(header) + size > LONGEST_JOURNALED:
            return None
        entry = Entry("", header, size, check_of(dataset))
        return self._filings.stage((study_instance_uid, sop_instance_uid), entry, [header, *dataset], self._lease)

    def sync(self) -> None:
        """See `gateway.ports.Together.sync`."""
        try:
            self._lease.sync()
        except OSError as error:
            raise durable.as_gateway_error(error) from error

    def end(self) -> None:
        """See `gateway.ports.Together.end`."""
        self._lease.end()
