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

    __slots__ = ("_at", "_intake", "_kept", "_sender", "_tags", "size")

    def __init__(self, intake: Intake, sender: Sender, kept: Kept) -> None:
        self._intake, self._sender, self._kept, self.size = intake, sender, kept, kept.size
        self._at = intake.clock()
        self._tags: Mapping[str, Any] | None = None

    def abort(self) -> None:
        kept = self._kept
        if self._tags is None:
            self._tags = self._read(kept.read())
        stored = kept.file(kept.finish("", ""))
        self._intake.count(self._sender.protocol, stored)
        self._intake.note(self._sender, self._tags, stored, self._at)

    def _read(self, content: bytes) -> Mapping[str, Any]:
        stream = self._intake.stream_tags(content[:self._kept.header])
        stream.feed_whole([memoryview(content)[self._kept.header:]])
        return stream.tags()


class TakenTogether:
    """Implements gateway.ports.ReceptionTogether."""

    def __init__(self, intake: Intake, together: Together) -> None:
        self._intake, self._together = intake, together
        self._staged: list[Kept] = []

    def is_open(self) -> bool:
        return not self._intake.is_shut()

    def take(self, sender: Sender, header: bytes, dataset: Sequence[Piece], study_instance_uid: str,
             sop_instance_uid: str) -> Received | None:
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
