"""Ports of receiving objects that come together: written one after another, durable by one sync, read later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.ports.incoming import Incoming, Piece, Stored
from gateway.study import Sender


class Kept(Incoming, Protocol):
    """What `Together.take` has taken."""

    size: int
    """Bytes of the object."""

    @property
    def stored(self) -> Stored:
        """As it is once it is durable, before it has its file."""
        ...

    def read(self) -> tuple[bytes, bytes] | None:
        """Header and data set; None where it had a file and that has been deleted. Raises Transient."""
        ...


class Together(Protocol):
    """Whole objects that come one after another, and are made durable by one `sync`. One thread."""

    def take(self, header: bytes, dataset: Sequence[Piece], study_instance_uid: str,
             sop_instance_uid: str) -> Kept | None:
        """As `ObjectStore.take`; None where only that can be done. Raises StorageFull, Transient."""
        ...

    def sync(self) -> None:
        """All that was taken is durable when it returns. Raises StorageFull, Transient: what was taken since the last
        one has to be aborted then."""
        ...

    def end(self) -> None:
        """There is a pause: let go of what others could use. All that was taken is durable, or aborted."""
        ...


class Received(Protocol):
    """An object that is durable, and has no file yet."""

    size: int
    """Bytes of it."""

    def abort(self) -> None:
        """Give it its file, and hand it to the index. Raises StorageFull, Transient: nothing is lost, to be called
        again."""
        ...


class ReceptionTogether(Protocol):
    """Objects whose data sets lie like those of others that were taken in: their tags can be read, and are when they
    get their files. One thread."""

    def is_open(self) -> bool:
        """Whether anything may be taken in now."""
        ...

    def take(self, sender: Sender, header: bytes, dataset: Sequence[Piece], study_instance_uid: str,
             sop_instance_uid: str) -> Received | None:
        """A whole object, which is lent; None where it must be brought by itself. Does not raise GatewayErrors."""
        ...

    def sync(self) -> bool:
        """Whether all that was taken since the last time is durable; else nothing of that stays."""
        ...

    def end(self) -> None:
        """There is a pause."""
        ...
