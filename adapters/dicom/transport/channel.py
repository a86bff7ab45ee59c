"""An association as the dispatcher sees it."""

from __future__ import annotations

from typing import Protocol


class Answered(Protocol):
    """An object that has been answered."""

    size: int
    """Bytes of its data set."""

    def abort(self) -> None:
        """Give it its file, and tell of it. Raises GatewayError: to be asked again."""
        ...


class Channel(Protocol):
    """An association's side of this; all is called in the dispatcher's thread, for which alone `descriptor` is."""

    descriptor: int
    """Of its socket."""
    over: bool
    """Whether it has left, or is about to: its descriptor may be anybody's by now."""
    dispatched: bool
    """Whether it has joined, or is about to."""

    def recalled(self) -> None:
        """It has been made to leave by `Dispatcher.recall`."""
        ...

    def take(self, received: memoryview) -> bool:
        """Act on what has come, nothing where the connection has ended; False: what follows is not for here."""
        ...

    def answer(self) -> Answered | None:
        """Wait for the disk, and answer what is whole."""
        ...

    def say_rest(self, rest: bytes) -> None:
        """Send the end of an answer, whose beginning has left."""
        ...

    def is_quiet(self) -> bool:
        """Whether it has stopped in the middle of a message: it is not for here any more."""
        ...

    @property
    def is_between(self) -> bool:
        """Whether nothing has come of a message but what was acted upon."""
        ...

    def heard(self) -> None:
        """Something came of it."""
        ...

    def takes(self, size: int) -> bool:
        """Whether its peer takes a PDU of so many bytes, head included."""
        ...
