"""Objects that come together: written one after another, made durable by one sync, read when they get their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from gateway.errors import GatewayError
from gateway.ports import Kept, Piece, Received, Stored, TagStreamer, Together
from gateway.study import Sender


class Intake(Protocol):
    """What of `gateway.intake.ObjectIntake` is needed here."""

    stream_tags: TagStreamer
    clock: Callable[[], float]
    count: Callable[[str, Stored | None], None]

    def is_shut(self) -> bool: ...

    def note(self, sender: Sender, tags: Mapping[str, Any], stored: Stored, at: float) -> None: ...


class _Alike:
    """Implements gateway.ports.Received: its tags are not read yet."""

    __slots__ = ("_at", "_intake", "_kept", "_sender", "size")

    def __init__(self, intake: Intake, sender: Sender, kept: Kept) -> None:
        self._intake, self._sender, self.size, self._at = intake, sender, kept.size, intake.clock()
        self._kept: Kept | None = kept

    def abort(self) -> None:
        kept = self._kept
        if kept is None:
            return
        content = kept.read()  # first: with its file the journal may go on over it
        stored = kept.file(kept.stored)
        self._kept = None
        self._intake.count(self._sender.protocol, stored)
        if content is not None:
            header, dataset = content
            stream = self._intake.stream_tags(header)
            stream.feed_whole([memoryview(dataset)])
            self._intake.note(self._sender, stream.tags(), stored, self._at)


class TakenTogether:
    """Implements gateway.ports.ReceptionTogether."""

    def __init__(self, intake: Intake, together: Together) -> None:
        self._intake, self._together = intake, together
        self._staged: list[Kept] = []

    def is_open(self) -> bool:
        return not self._intake.is_shut()

    def take(self, sender: Sender, header: bytes, dataset: Sequence[Piece], study_instance_uid: str,
             sop_instance_uid: str) -> Received | None:
        if self._intake.is_shut():
            return None
        try:
            kept = self._together.take(header, dataset, study_instance_uid, sop_instance_uid)
        except GatewayError:
            return None
        if kept is None:
            return None
        self._staged.append(kept)
        return _Alike(self._intake, sender, kept)

    def sync(self) -> bool:
        staged, self._staged = self._staged, []
        try:
            self._together.sync()
        except GatewayError:
            for kept in staged:
                kept.abort()
            return False
        return True

    def end(self) -> None:
        self._together.end()
