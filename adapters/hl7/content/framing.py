"""MLLP framing without I/O (HL7 v3 Transport Specification: MLLP, Release 1): VT, content, FS CR."""

from __future__ import annotations

from dataclasses import dataclass

START = b"\x0b"
END = b"\x1c\r"
HEAD_BYTES = 4096
"""How much of something refused is kept, so that its MSH can still be answered."""
_BLANK = bytes(range(0x21))
_RESTART = START + b"MSH"


@dataclass(frozen=True, slots=True)
class Block:
    """One whole message, without its frame."""

    content: bytes


@dataclass(frozen=True, slots=True)
class TooLong:
    """A message longer than the limit; the framer ignores everything after it. `head`: its first bytes."""

    head: bytes


@dataclass(frozen=True, slots=True)
class Stray:
    """Visible bytes outside of a frame, told once for each run of them. `head`: their beginning."""

    head: bytes


@dataclass(frozen=True, slots=True)
class Truncated:
    """The sender ended before FS CR. `head`: the beginning of what had come."""

    head: bytes


Event = Block | TooLong | Stray | Truncated


def frame(content: bytes) -> bytes:
    """The content between VT and FS CR."""
    return START + content + END


class Framer:
    """Takes bytes as they come, in any pieces, and gives whole messages.

    A message that starts again inside an unfinished one (VT MSH, after a sender's timeout) replaces it: only the whole
    one counts. Control characters and blanks between messages are skipped, other bytes are told as `Stray`, unless the
    start of a message comes along with them.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: bytes of the longest message taken."""
        self._limit = limit
        self._buffer = bytearray()
        self._scanned = 0
        self._inside = False
        self._refused = False
        self._stray_told = False
        self.strays = 0
        """Visible bytes seen outside of frames since the last message began."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete, in order."""
        if self._refused:
            return []
        self._buffer += data
        events: list[Event] = []
        while (event := self._next()) is not None:
            events.append(event)
        return events

    def end(self) -> list[Event]:
        """The stream is over: `Truncated` where a message had begun."""
        begun, head = self._inside and not self._refused, bytes(self._buffer[:HEAD_BYTES])
        self._buffer.clear()
        self._refused = True
        return [Truncated(head)] if begun else []

    def _next(self) -> Event | None:
        if not self._inside and not self._open():
            return self._stray()
        end = self._buffer.find(END, self._scanned)
        if end > self._limit or (end < 0 and len(self._buffer) > self._limit + 1):
            return self._refuse()
        if end < 0:
            self._scanned = max(0, len(self._buffer) - 1)
            return None
        return self._close(end)

    def _open(self) -> bool:
        start = self._buffer.find(START)
        if start < 0:
            return False
        del self._buffer[:start + 1]
        self._inside, self._scanned = True, 0
        self._stray_told, self.strays = False, 0
        return True

    def _close(self, end: int) -> Block:
        content = bytes(self._buffer[:end])
        del self._buffer[:end + len(END)]
        self._inside = False
        return Block(content[content.rfind(_RESTART) + 1:] if _RESTART in content else content)

    def _stray(self) -> Stray | None:
        visible = bytes(self._buffer).strip(_BLANK)
        self._buffer.clear()
        self.strays += len(visible)
        if not visible or self._stray_told:
            return None
        self._stray_told = True
        return Stray(visible[:HEAD_BYTES])

    def _refuse(self) -> TooLong:
        head = bytes(self._buffer[:HEAD_BYTES])
        self._buffer.clear()
        self._refused = True
        return TooLong(head)
